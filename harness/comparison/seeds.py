"""Recipes over several seeds: mean, spread, interval over seeds, and the difference by Welch's t with items."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.artifacts.store import ArtifactStore
from harness.comparison.alignment import Aligned, AlignedCell, offset, problem_of
from harness.comparison.differences import ALPHA
from harness.comparison.groups import By, Group, groups
from harness.comparison.sheets import Sheet, p_text
from harness.comparison.signature import signature
from harness.core.errors import UsageError
from harness.core.progress import Progress
from harness.core.tables import EMPTY
from harness.statistics.estimates import Estimate, Interval
from harness.statistics.multiplicity import holm
from harness.statistics.seeds import SeededScores, SeedSummary, seed_difference, seed_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRow:
    """One recipe, or the difference of two, in one group; points."""

    task: str
    group: str
    languages: tuple[str, ...]
    left: SeedSummary | None
    right: SeedSummary
    estimate: Estimate
    interval: Interval | None
    p_value: float | None
    family: str
    corrected: float | None = None
    family_size: int = 0
    problem: str = ""


def sheets(aligned: Aligned, by: By, store: ArtifactStore, remarks: Sequence[str], progress: Progress) -> list[Sheet]:
    """Return a table for each recipe after the first, or one of the only recipe.

    Raises:
        UsageError: a recipe has one seed only.
    """
    members: dict[str, list[int]] = {}
    for number, run in enumerate(aligned.runs):
        members.setdefault(run.recipe, []).append(number)
    single = [name for name, numbers in members.items() if len(numbers) < 2]
    if single:
        message = (
            f"{', '.join(single)} {'has one seed' if len(single) == 1 else 'have one seed each'}, and the spread over "
            "seeds needs two or more; evaluate another (`harness train RECIPE --seed 2 --export`, then "
            "`harness eval`), or compare without `--seeds`"
        )
        raise UsageError(message)
    first, *others = members
    pairs: list[tuple[str | None, str]] = [(first, name) for name in others]
    pairs = pairs or [(None, first)]
    starts = offset(aligned.tasks)
    found = []
    every = list(groups(aligned.tasks, by))
    with progress.step("testing", len(every) * len(pairs), "groups") as advance:
        for left, right in pairs:
            rows = []
            for group in every:
                sides = [
                    None if name is None else [_cell(cell, members[name], starts) for cell in group.cells]
                    for name in (left, right)
                ]
                rows.append(_row(group, sides[0], sides[1] or []))
                advance(1)
            found.append(_sheet(left, right, by, _corrected(rows), aligned, members, store, remarks))
    return found


def _cell(cell: AlignedCell, numbers: Sequence[int], starts: dict[str, int]) -> SeededScores:
    return SeededScores(
        name=cell.name,
        score=cell.score,
        counts=np.stack([cell.counts[number] for number in numbers]),
        clusters=cell.clusters + starts[cell.task],
    )


def _row(group: Group, left: Sequence[SeededScores] | None, right: Sequence[SeededScores]) -> RecipeRow:
    if left is None:
        estimate, summary = seed_mean(right, group.weights)
        before, test = None, None
    else:
        difference = seed_difference(left, right, group.weights)
        estimate, before, summary = difference.estimate, difference.left, difference.right
        test = estimate
    row = RecipeRow(
        task=group.task,
        group=group.name,
        languages=group.languages,
        left=before,
        right=summary,
        estimate=estimate,
        interval=None,
        p_value=None,
        family=group.family,
    )
    try:
        return replace(row, interval=estimate.interval(), p_value=None if test is None else test.p_value())
    except UsageError as error:
        # Seeds and items that all agree leave the error unknown; the row says so.
        return replace(row, problem=problem_of(error))


def _corrected(rows: Sequence[RecipeRow]) -> list[RecipeRow]:
    found = list(rows)
    for name in dict.fromkeys(row.family for row in rows):
        values = {str(at): row.p_value for at, row in enumerate(rows) if row.family == name and row.p_value is not None}
        if values:
            family = holm(name, values, ALPHA)
            for at, value in family.adjusted.items():
                found[int(at)] = replace(found[int(at)], corrected=value, family_size=family.size)
    return found


def _summary(summary: SeedSummary | None) -> str:
    return EMPTY if summary is None else f"{summary.mean:.1f} (sd {summary.spread:.1f}, {len(summary.scores)} seeds)"


def _sheet(
    left: str | None,
    right: str,
    by: By,
    rows: Sequence[RecipeRow],
    aligned: Aligned,
    members: dict[str, list[int]],
    store: ArtifactStore,
    remarks: Sequence[str],
) -> Sheet:
    shown = [
        [
            row.task,
            row.group,
            str(len(row.languages)),
            f"{row.estimate.examples:,}",
            *([] if left is None else [_summary(row.left)]),
            _summary(row.right),
            *([] if left is None else [f"{row.estimate.value:+.1f}"]),
            EMPTY if row.interval is None else f"[{row.interval.low:+.1f}, {row.interval.high:+.1f}]",
            *([] if left is None else [p_text(row.corrected)]),
            " ".join(
                (["*"] if row.corrected is not None and row.corrected <= ALPHA else [])
                + ([f"({row.problem})"] if row.problem else [])
            ),
        ]
        for row in rows
    ]
    names = [right] if left is None else [left, right]
    tasks = [task.task.name for task in aligned.tasks]
    signatures = [
        f"{aligned.runs[number].path.name}: {signature(aligned.runs[number], store, tasks)}"
        for name in names
        for number in members[name]
    ]
    columns = ["task", "group", "languages", "n", *names]
    columns += ["95 % interval", ""] if left is None else ["difference", "95 % interval", "p (Holm)", ""]
    title = f"{right} over seeds" if left is None else f"{right} minus {left} over seeds"
    return Sheet(
        title=aligned.marked(f"{title} by {by}, percentage points"),
        columns=columns,
        rows=shown,
        records=[_record(row, left, right) for row in rows],
        notes=[
            "* p (Holm) at most 0.05; Welch's t with the item variance (docs/statistics.md); sd is over seeds",
            *signatures,
            *remarks,
            *aligned.remarks,
        ],
        beside={"by": by, "left": left, "right": right},
    )


def _record(row: RecipeRow, left: str | None, right: str) -> dict[str, Any]:
    return {
        "left": left,
        "right": right,
        "task": row.task,
        "group": row.group,
        "languages": list(row.languages),
        "examples": row.estimate.examples,
        "clusters": row.estimate.clusters,
        "left_scores": None if row.left is None else list(row.left.scores),
        "right_scores": list(row.right.scores),
        "value": row.estimate.value,
        "low": None if row.interval is None else row.interval.low,
        "high": None if row.interval is None else row.interval.high,
        "p": row.p_value,
        "p_holm": row.corrected,
        "family": row.family,
        "family_size": row.family_size,
        "problem": row.problem,
    }
