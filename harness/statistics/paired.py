"""Two systems on the same examples: the difference of their scores in points, and its error.

A metric gives each example a row of additive statistics, and a closing formula turns their sum into a score. A
*cell* is one task in one language, answered by both systems. What is estimated is the weighted sum over cells of
right minus left; equal weights make it a mean over languages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.statistics.clusters import clustering, sum_variance
from harness.statistics.estimates import Estimate

#: (examples, columns) or (columns,).
Counts: TypeAlias = NDArray[np.float64]
#: The number in points (0 to 100) from summed statistics (columns,).
Score: TypeAlias = Callable[[Counts], float]

#: Step of the numerical gradient, as a share of a statistic's sum.
STEP = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """One task in one language, answered by two systems."""

    #: Names the cell in errors: ``xnli sw``.
    name: str
    score: Score
    #: The metric's statistics of both systems on the same examples (examples, columns).
    left: Counts
    right: Counts
    #: (examples,): equal labels belong together, also across the cells of one call.
    clusters: NDArray[np.int64]
    #: Decisions that make up an example: the tags of a sentence; 1 where an example is right or wrong.
    parts: float = 1.0

    def __post_init__(self) -> None:
        if self.left.shape != self.right.shape or self.left.ndim != 2:
            message = (
                f"{self.name}: the systems have statistics of shapes {self.left.shape} and {self.right.shape}; both "
                "need (examples, columns) of the same examples: evaluate both with the same command"
            )
            raise UsageError(message)
        check(self.name, np.hstack([self.left, self.right]), self.clusters)

    @property
    def difference(self) -> float:
        """Return right minus left, in points."""
        return self.score(self.right.sum(axis=0)) - self.score(self.left.sum(axis=0))

    def counted(self) -> "Cell":
        """Return the cell without the examples that count nothing for both: a search's candidates."""
        some = self.left.any(axis=1) | self.right.any(axis=1)
        if some.all():
            return self
        return Cell(
            name=self.name,
            score=self.score,
            left=self.left[some],
            right=self.right[some],
            clusters=self.clusters[some],
            parts=self.parts,
        )


def check(name: str, counts: Counts, clusters: NDArray[np.int64]) -> None:
    """Refuse statistics that give no score.

    Raises:
        UsageError: no example counts anything, a value is not finite, or labels are missing.
    """
    if not counts.any():
        message = f"{name}: no example has statistics; evaluate at least one (--limit 0 or an empty file leaves none)"
        raise UsageError(message)
    if not np.isfinite(counts).all():
        row = int(np.flatnonzero(~np.isfinite(counts).all(axis=1))[0])
        message = f"{name}: the statistics of example {row} hold NaN or infinity; evaluate the run again"
        raise UsageError(message)
    if clusters.shape != counts.shape[:1]:
        message = f"{name}: {clusters.size} cluster labels for {len(counts)} examples; one for each is needed"
        raise UsageError(message)


def gradient(score: Score, totals: Counts) -> Counts:
    """Return the derivatives (columns,) of a closing formula at summed statistics, by central differences.

    A column whose sum is 0 is only increased, since no sum of counts is negative.
    """
    slopes = np.empty(len(totals))
    for column, total in enumerate(totals):
        step = STEP * max(abs(float(total)), 1.0)
        above, below = totals.copy(), totals.copy()
        above[column] += step
        below[column] = max(0.0, total - step) if total >= 0 else total - step
        slopes[column] = (score(above) - score(below)) / (above[column] - below[column])
    return slopes


def effects(score: Score, counts: Counts) -> NDArray[np.float64]:
    """Return what each example adds to a score to first order (examples,), in points.

    The delta method: score(sum of w_i x_i) is about score(sum of x_i) + sum of (w_i - 1) gradient . x_i.
    """
    return np.asarray(counts @ gradient(score, counts.sum(axis=0)), dtype=np.float64)


def weights_of(count: int, weights: Sequence[float] | None) -> NDArray[np.float64]:
    """Return the weights of so many cells; without any, those of a mean.

    Raises:
        UsageError: there is no cell, or another number of weights.
    """
    if not count:
        message = "the systems have no task and language in common; compare runs that answered the same task"
        raise UsageError(message)
    if weights is None:
        return np.full(count, 1 / count)
    if len(weights) != count:
        message = f"{len(weights)} weights for {count} cells; one for each is needed"
        raise UsageError(message)
    return np.asarray(weights, dtype=np.float64)


def difference(cells: Sequence[Cell], weights: Sequence[float] | None = None) -> Estimate:
    """Return right minus left, a weighted sum over cells, with its cluster-robust linearised error.

    The error is that of the sum over clusters of the weighted first-order effects (`effects`, `sum_variance`): the
    sandwich estimator with the factor G / (G - 1). A cluster that several cells share enters once, with all its
    effects, so that parallel languages are not mistaken for independent evidence.

    Args:
        cells: tasks and languages, each answered by both systems.
        weights: one for each cell; None is the mean. A contrast (Latin minus the others) has negative ones.

    Raises:
        UsageError: there is nothing to compare, or one cluster only.
    """
    share = weights_of(len(cells), weights)
    cells = [cell.counted() for cell in cells]
    groups = clustering([cell.clusters for cell in cells])
    total = np.zeros(groups.count)
    for number, (cell, weight) in enumerate(zip(cells, share, strict=True)):
        own = effects(cell.score, cell.right) - effects(cell.score, cell.left)
        total += weight * groups.sums(number, own[:, None])[:, 0]
    variance, freedom = sum_variance(total, groups.strata)
    return Estimate(
        value=float(sum(weight * cell.difference for cell, weight in zip(cells, share, strict=True))),
        error=variance**0.5,
        freedom=freedom,
        examples=sum(len(cell.left) for cell in cells),
        clusters=groups.count,
    )
