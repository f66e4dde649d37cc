"""The interval of a score (``72.8 ±1.2, n 5,010``) and of a difference, by the method that fits the data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.statistics.clusters import clustering, sum_variance
from harness.statistics.distributions import normal_quantile, t_quantile
from harness.statistics.estimates import Interval
from harness.statistics.paired import Cell, Counts, Score, check, difference, effects, weights_of
from harness.statistics.proportions import is_plain_proportion, tango_interval, wilson


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredAnswers:
    """One task in one language, answered by one system."""

    #: Names the cell in errors: ``xnli sw``.
    name: str
    score: Score
    #: The metric's statistics (examples, columns).
    counts: Counts
    #: (examples,): equal labels belong together, also across cells.
    clusters: NDArray[np.int64]

    def __post_init__(self) -> None:
        check(self.name, self.counts, self.clusters)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredScore:
    """A number with its interval."""

    #: Points.
    value: float
    interval: Interval
    examples: int
    clusters: int
    #: How the interval was made, as documents and JSON name it.
    method: str

    def text(self) -> str:
        """Return the number as tables print it: ``72.8 ±1.2, n 5,010``."""
        return f"{self.value:.1f} ±{self.interval.half:.1f}, n {self.examples:,}"


def score_interval(
    cells: Sequence[ScoredAnswers], weights: Sequence[float] | None = None, level: float = 0.95
) -> MeasuredScore:
    """Return a score, or the mean of scores over cells, with its two-sided interval.

    Right-or-wrong examples of one cell without clusters get Wilson's interval. All else gets Wilson's form with
    an effective number of examples, p (1 - p) / V, where V is the cluster-robust linearised variance, and
    Student's t (Korn and Graubard 1998, Surv. Methodol. 24:193-201, with Wilson's interval for the exact one): it
    stays within 0 to 100 and does not vanish at the ends. Where V is 0, clusters are what is counted.

    Args:
        cells: tasks and languages.
        weights: one for each cell, positive, with sum 1; None is the mean.
        level: of confidence.

    Raises:
        UsageError: there is no cell, or one cluster only.
    """
    share = weights_of(len(cells), weights)
    groups = clustering([cell.clusters for cell in cells])
    value = float(sum(w * cell.score(cell.counts.sum(axis=0)) for cell, w in zip(cells, share, strict=True)))
    examples = sum(int(cell.counts.any(axis=1).sum()) for cell in cells)
    if (
        len(cells) == 1
        and groups.count == len(cells[0].counts)
        and is_plain_proportion(cells[0].counts, cells[0].score)
    ):
        interval = wilson(value / 100, examples, normal_quantile((1 + level) / 2))
        return MeasuredScore(value=value, interval=interval, examples=examples, clusters=groups.count, method="Wilson")
    sums = np.zeros(groups.count)
    some = np.zeros(groups.count, dtype=bool)
    for number, (cell, weight) in enumerate(zip(cells, share, strict=True)):
        sums += weight * groups.sums(number, effects(cell.score, cell.counts)[:, None])[:, 0]
        some[groups.codes[number][cell.counts.any(axis=1)]] = True
    variance, freedom = sum_variance(sums[some], groups.strata[some])
    clusters = int(some.sum())
    p = min(1.0, max(0.0, value / 100))
    effective = p * (1 - p) / (variance / 100**2) if variance > 0 and 0 < p < 1 else float(clusters)
    quantile = t_quantile((1 + level) / 2, freedom if variance > 0 else clusters - 1)
    return MeasuredScore(
        value=value,
        interval=wilson(p, effective, quantile),
        examples=examples,
        clusters=clusters,
        method="cluster-robust, Wilson's form",
    )


def difference_interval(
    cells: Sequence[Cell], weights: Sequence[float] | None = None, level: float = 0.95
) -> MeasuredScore:
    """Return right minus left with its two-sided interval.

    Right-or-wrong examples of one cell without clusters get Tango's score interval. All else gets the linearised
    cluster-robust error with Student's t. Where no example differs the interval is Tango's with as many examples as
    there are clusters: no change in 240 examples does not prove that there is none.

    Raises:
        UsageError: there is nothing to compare, or one cluster only.
    """
    weights_of(len(cells), weights)
    quantile = normal_quantile((1 + level) / 2)
    kept = [cell.counted() for cell in cells]
    estimate = difference(kept, weights)
    examples, clusters, value = estimate.examples, estimate.clusters, estimate.value
    only = kept[0]
    if (
        len(kept) == 1
        and clusters == examples
        and all(is_plain_proportion(side, only.score) for side in (only.left, only.right))
    ):
        change = only.right[:, 0] - only.left[:, 0]
        interval = tango_interval(float((change > 0).sum()), float((change < 0).sum()), examples, quantile)
        return MeasuredScore(value=value, interval=interval, examples=examples, clusters=clusters, method="Tango")
    if all(np.array_equal(cell.left, cell.right) for cell in kept):
        interval = tango_interval(0.0, 0.0, clusters, quantile)
        return MeasuredScore(
            value=value, interval=interval, examples=examples, clusters=clusters, method="Tango, over clusters"
        )
    return MeasuredScore(
        value=value,
        interval=estimate.interval(level),
        examples=examples,
        clusters=clusters,
        method="cluster-robust, Student's t",
    )
