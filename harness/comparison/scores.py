"""The interval of each score of a run: what stands after ± beside every number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.comparison.alignment import Aligned, AlignedTask, offset, problem_of
from harness.comparison.groups import By, Group, groups
from harness.core.errors import UsageError
from harness.statistics.clusters import clustering, sum_variance
from harness.statistics.estimates import Estimate
from harness.statistics.intervals import MeasuredScore, ScoredAnswers, score_interval
from harness.statistics.paired import effects


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScore:
    """What one run scores in a group of languages."""

    run: str
    task: str
    group: str
    languages: tuple[str, ...]
    #: Points.
    value: float
    examples: int
    #: None where the examples say nothing about the error; `problem` says why.
    measured: MeasuredScore | None
    #: What the model was taught before, over the languages of the group.
    exposure: tuple[str, ...] = ()
    problem: str = ""

    def text(self) -> str:
        """Return the number as tables print it: ``72.8 ±1.2, n 5,010``."""
        return f"{self.value:.1f}, n {self.examples:,}" if self.measured is None else self.measured.text()


def measured_scores(aligned: Aligned, by: By) -> Iterator[GroupScore]:
    """Yield the score of each run in each group, with its 95 % interval."""
    starts = offset(aligned.tasks)
    every = list(groups(aligned.tasks, by))
    for number, run in enumerate(aligned.runs):
        answers = {
            id(cell): ScoredAnswers(
                name=cell.name,
                score=cell.score,
                counts=cell.counts[number],
                clusters=cell.clusters + starts[cell.task],
            )
            for cell in aligned.cells
        }
        for group in every:
            yield _measured(group, run.name, number, [answers[id(cell)] for cell in group.cells])


def _measured(group: Group, run: str, number: int, cells: Sequence[ScoredAnswers]) -> GroupScore:
    value = sum(weight * cell.score(cell.counts.sum(axis=0)) for cell, weight in zip(cells, group.weights, strict=True))
    found = GroupScore(
        run=run,
        task=group.task,
        group=group.name,
        languages=group.languages,
        value=value,
        examples=sum(int(cell.counts.any(axis=1).sum()) for cell in cells),
        measured=None,
        exposure=tuple(dict.fromkeys(each for cell in group.cells if (each := cell.exposure[number]) is not None)),
    )
    try:
        measured = score_interval(cells, group.weights)
    except UsageError as error:
        return replace(found, problem=problem_of(error))
    return replace(found, measured=measured)


def transfer_gap(task: AlignedTask, number: int) -> Estimate | None:
    """Return English minus the mean of all other languages, in points; None without either.

    The error is cluster-robust: an item that is hard in all languages counts for neither side.

    Args:
        task: the answers of all runs.
        number: of the run.

    Raises:
        UsageError: there is one cluster only.
    """
    others = sum(cell.language != "en" for cell in task.cells)
    if others in (0, len(task.cells)):
        return None
    share = {cell.language: 1.0 if cell.language == "en" else -1.0 / others for cell in task.cells}
    marked = clustering([cell.clusters for cell in task.cells])
    total, value = np.zeros(marked.count), 0.0
    for at, cell in enumerate(task.cells):
        counts, weight = cell.counts[number], share[cell.language]
        value += weight * cell.score(counts.sum(axis=0))
        total += weight * marked.sums(at, effects(cell.score, counts)[:, None])[:, 0]
    variance, freedom = sum_variance(total, marked.strata)
    return Estimate(
        value=value,
        error=variance**0.5,
        freedom=freedom,
        examples=sum(len(cell.clusters) for cell in task.cells),
        clusters=marked.count,
    )
