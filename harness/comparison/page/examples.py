"""Which examples a page shows: those that the models disagree on first, then those that all miss, then the rest.

A page has a budget of bytes. Every task and language gets its share in turn, so that none fills the page alone.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.comparison.alignment import Aligned, AlignedCell
from harness.comparison.page import shown
from harness.comparison.stored import StoredAnswers
from harness.core.progress import Progress
from harness.core.task import AnyTask

#: Bytes of JSON on the page.
BUDGET = 1_500_000
DISAGREE, MISSED, RIGHT = "disagree", "missed", "right"
KINDS = (DISAGREE, MISSED, RIGHT)
#: Examples of each kind that every task and language has at most, where all do not fit.
_EACH = {DISAGREE: 40, MISSED: 6, RIGHT: 3}
#: Examples that a page of all tasks and languages could show at most.
_WHOLE = 6_000
#: A score below this is a miss.
_WHOLE_SCORE = 100 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleView:
    """What a page shows of examples."""

    #: JSON objects, best first.
    items: tuple[str, ...]
    #: How many there are of each kind, and how many of them are shown.
    total: dict[str, int]
    shown: dict[str, int]

    @property
    def size(self) -> int:
        """Return the bytes of the items."""
        return sum(len(item.encode()) for item in self.items)


def view(aligned: Aligned, progress: Progress, budget: int = BUDGET) -> ExampleView:
    """Return the examples of all tasks and languages that fit into a budget of bytes."""
    cells = aligned.cells
    each = {kind: max(count, _WHOLE // max(1, len(cells))) for kind, count in _EACH.items()}
    total, ranked = dict.fromkeys(KINDS, 0), []
    with progress.step("examples", len(cells), "files") as advance:
        for cell, items, counts in cell_items(aligned, each):
            for kind in KINDS:
                total[kind] += counts[kind]
            ranked += [(KINDS.index(kind), rank, cell.name, spread, item) for kind, rank, spread, item in items]
            advance(1)
    found: list[tuple[int, float, str]] = []
    size = 0
    for number, _, _, spread, item in sorted(ranked, key=lambda entry: entry[:3]):
        size += len(item.encode()) + 2
        if size > budget:
            break
        found.append((number, -spread, item))
    found.sort(key=lambda entry: entry[:2])
    counted = {name: sum(number == at for number, _, _ in found) for at, name in enumerate(KINDS)}
    return ExampleView(items=tuple(item for _, _, item in found), total=total, shown=counted)


def cell_items(
    aligned: Aligned, each: dict[str, int] | None
) -> Iterator[tuple[AlignedCell, list[tuple[str, int, float, str]], dict[str, int]]]:
    """Yield for each cell its examples, and how many there are of each kind.

    An example is (kind, rank, largest difference between runs in points, JSON).

    Args:
        aligned: the runs.
        each: how many of each kind at most; all where None.
    """
    opened = [StoredAnswers(run.path) for run in aligned.runs]
    try:
        for task in aligned.tasks:
            for cell in task.cells:
                scores = example_scores(cell, task.task)
                order = ordered(cell, scores)
                kept = [
                    (kind, rank, place)
                    for kind, places in order.items()
                    for rank, place in enumerate(places[: None if each is None else each[kind]])
                ]
                examples = cell.read() if kept else []
                predictions = [run.predictions(cell.task, cell.language) for run in opened] if kept else []
                spread = scores.max(axis=0) - scores.min(axis=0)
                items = [
                    (kind, rank, float(spread[place]), _item(cell, kind, place, scores, examples, predictions))
                    for kind, rank, place in kept
                ]
                yield cell, items, {kind: len(places) for kind, places in order.items()}
    finally:
        for run in opened:
            run.close()


def example_scores(cell: AlignedCell, task: AnyTask) -> NDArray[np.float64]:
    """Return (runs, examples): the score of each example alone, in points.

    A sentence without a chunk in which none was found has an F1 of 0 and all tags right: it is right.
    """
    found = np.array([[cell.score(row) for row in counts] for counts in cell.counts], dtype=np.float64)
    for run, place in zip(*np.nonzero(found == 0), strict=True):
        if max(task.metric.scores(cell.counts[run][place]).values()) >= _WHOLE_SCORE:
            found[run, place] = 100.0
    return found


def ordered(cell: AlignedCell, scores: NDArray[np.float64]) -> dict[str, list[int]]:
    """Return the examples of each kind, largest difference first, then lowest score, then by place."""
    spread = scores.max(axis=0) - scores.min(axis=0)
    differs = np.zeros(scores.shape[1], dtype=bool)
    for counts in cell.counts[1:]:
        differs |= (counts != cell.counts[0]).any(axis=1)
    missed = ~differs & (scores.max(axis=0) < _WHOLE_SCORE)
    order = np.lexsort((np.arange(len(spread)), scores.mean(axis=0), -spread))
    flags = {DISAGREE: differs, MISSED: missed, RIGHT: ~differs & ~missed}
    return {kind: [int(place) for place in order if flags[kind][place]] for kind in KINDS}


def _item(
    cell: AlignedCell,
    kind: str,
    place: int,
    scores: NDArray[np.float64],
    examples: Sequence[Any],
    predictions: Sequence[Sequence[Any]],
) -> str:
    example = examples[int(cell.file_places[place])]
    value = {
        "t": cell.task,
        "l": cell.language,
        "k": kind,
        "i": example.id,
        "x": shown.texts(example),
        "g": shown.gold(example),
        "p": [
            [shown.answer(example, found[int(own[place])]), round(float(score), 1)]
            for found, own, score in zip(predictions, cell.places, scores[:, place], strict=True)
        ],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
