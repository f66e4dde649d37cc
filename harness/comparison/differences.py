"""The difference of two runs in each group, with its interval and a p-value corrected within its family.

Which method serves which data is decided here and by `harness.statistics.intervals`; docs/statistics.md has the
reasons and the simulations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.comparison.alignment import Aligned, AlignedCell, offset, problem_of
from harness.comparison.groups import By, Group, groups
from harness.core.errors import UsageError
from harness.core.progress import Progress
from harness.statistics.estimates import Interval
from harness.statistics.intervals import difference_interval
from harness.statistics.multiplicity import holm
from harness.statistics.paired import Cell, difference
from harness.statistics.proportions import is_plain_proportion
from harness.statistics.significance import Test, mcnemar, paired_test

#: Up to so many differing clusters p-values come from exchanging the systems' answers, since Student's t is an
#: approximation that few differences do not bear out; above it both agree (benchmarks/scores/simulation.py).
FEW = 30
ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDifference:
    """One row: what two runs score in a group, and by how much they differ, in points."""

    left: str
    right: str
    task: str
    group: str
    languages: tuple[str, ...]
    examples: int
    #: Independent clusters of them.
    clusters: int
    left_score: float
    right_score: float
    #: Right minus left.
    value: float
    #: None where the examples say nothing about the error; `problem` says why.
    interval: Interval | None
    interval_method: str
    p_value: float | None
    test: str
    #: What is corrected together, and the corrected p-value.
    family: str
    family_size: int = 0
    corrected: float | None = None
    #: What differs besides the model.
    marks: tuple[str, ...] = ()
    problem: str = ""

    @property
    def significant(self) -> bool:
        """Return whether the corrected p-value shows a difference."""
        return self.corrected is not None and self.corrected <= ALPHA


def differences(aligned: Aligned, by: By, progress: Progress) -> list[GroupDifference]:
    """Return one row for each group and each run after the first, against the first.

    The families of tests: the groups of one task, the means of all tasks, the groups over all tasks; the tests of
    several runs against the first are in one family.
    """
    starts = offset(aligned.tasks)
    every = list(groups(aligned.tasks, by))
    rows = []
    with progress.step("testing", len(every) * (len(aligned.runs) - 1), "groups") as advance:
        for number in range(1, len(aligned.runs)):
            names = aligned.runs[0].name, aligned.runs[number].name
            paired = {id(cell): pair(cell, number, starts) for cell in aligned.cells}
            for group in every:
                rows.append(_row(group, names, number, [paired[id(cell)] for cell in group.cells]))
                advance(1)
    return corrected(rows)


def pair(cell: AlignedCell, number: int, starts: Mapping[str, int]) -> Cell:
    """Return a cell of the first run and another one as the statistics take it.

    Args:
        cell: the answers of all runs.
        number: of the other run.
        starts: task -> what is added to its labels, so that tasks share no cluster.
    """
    return Cell(
        name=cell.name,
        score=cell.score,
        left=cell.counts[0],
        right=cell.counts[number],
        clusters=cell.clusters + starts[cell.task],
    )


def _row(group: Group, names: tuple[str, str], number: int, cells: Sequence[Cell]) -> GroupDifference:
    before = sum(weight * cell.score(cell.left.sum(axis=0)) for cell, weight in zip(cells, group.weights, strict=True))
    after = sum(weight * cell.score(cell.right.sum(axis=0)) for cell, weight in zip(cells, group.weights, strict=True))
    marks = tuple(dict.fromkeys(mark for cell in group.cells for mark in cell.marks[number]))
    row = GroupDifference(
        left=names[0],
        right=names[1],
        task=group.task,
        group=group.name,
        languages=group.languages,
        examples=sum(len(cell.clusters) for cell in cells),
        clusters=len(np.unique(np.concatenate([cell.clusters for cell in cells]))),
        left_score=before,
        right_score=after,
        value=after - before,
        interval=None,
        interval_method="",
        p_value=None,
        test="",
        family=group.family,
        marks=marks,
    )
    try:
        test = judged(cells, group.weights)
        row = replace(row, p_value=test.p_value, test=test.name)
        measured = difference_interval(cells, group.weights)
    except UsageError as error:
        # One cluster has no variance, and equal changes have none either; the row says so instead of an interval.
        return replace(row, problem=problem_of(error))
    return replace(row, interval=measured.interval, interval_method=measured.method)


def judged(cells: Sequence[Cell], weights: Sequence[float]) -> Test:
    """Return the two-sided test of "no difference" that fits the data.

    Right-or-wrong examples of one cell without clusters: McNemar's exact test. Few differing clusters: the cluster
    sign-flip test. All else: Student's t over the cluster-robust error.

    Raises:
        UsageError: there is one cluster only.
    """
    changed = [(cell.left != cell.right).any(axis=1) for cell in cells]
    differing = np.unique(np.concatenate([cell.clusters[flags] for cell, flags in zip(cells, changed, strict=True)]))
    if not len(differing):
        return Test(name="no example differs", p_value=1.0, differing=0)
    only = cells[0]
    plain = len(cells) == 1 and len(np.unique(only.clusters)) == len(only.clusters)
    if plain and all(is_plain_proportion(side, only.score) for side in (only.left, only.right)):
        change = only.right[:, 0] - only.left[:, 0]
        lost, gained = int((change < 0).sum()), int((change > 0).sum())
        return Test(name="exact McNemar", p_value=mcnemar(lost, gained), differing=lost + gained)
    if len(differing) <= FEW:
        return paired_test(cells, weights)
    estimate = difference(cells, weights)
    if estimate.error == 0:
        # Every cluster differs by the same amount, which Student's t cannot judge.
        return paired_test(cells, weights)
    return Test(name="cluster-robust, Student's t", p_value=estimate.p_value(), differing=len(differing))


def corrected(rows: Sequence[GroupDifference]) -> list[GroupDifference]:
    """Return the rows with Holm's corrected p-values, family by family; rows of one cluster are in none."""
    families: dict[str, dict[str, float]] = {}
    for at, row in enumerate(rows):
        if row.p_value is not None and row.clusters > 1:
            families.setdefault(row.family, {})[str(at)] = row.p_value
    found = list(rows)
    for name, values in families.items():
        family = holm(name, values, ALPHA)
        for key, value in family.adjusted.items():
            found[int(key)] = replace(found[int(key)], corrected=value, family_size=family.size)
    return found
