"""Several training seeds: means over seeds, and the difference of two recipes by Welch's t with the item variance.

Two things vary: the seed, and the examples that happen to be in the test set. A percentile bootstrap over three
seeds knows neither well: it calls 21 to 25 % of true nulls significant at 0.05. Here each side k has n_k
seeds with scores S_ks, and

    variance = s_left^2 / n_left + s_right^2 / n_right + V_items

    s_k^2    the sample variance of the seeds' scores (n_k - 1 degrees of freedom)
    V_items  the cluster-robust variance of the difference of the sides' seed-averaged scores, less what is left in
             it of the seeds' own noise: V(mean over seeds) - I_left / n_left - I_right / n_right, at least 0, where
             I_k is the mean over a side's seeds of the clustered variance of (one seed - mean over seeds), with
             n_k - 1 in place of n_k. That noise is in s_k^2 already; counted twice it would make the test
             conservative wherever two recipes treat the items alike.

The difference over the root of the variance is compared with Student's t of Welch's and Satterthwaite's degrees of
freedom, (sum of v)^2 / (sum of v^2 / f) over the three parts v with their f (Welch 1947, Biometrika 34:28-35;
Satterthwaite 1946, Biometrics Bull. 2:110-114). This is the two-way random-effects estimate of seeds and items.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.statistics.clusters import Clustering, clustering, sum_variance
from harness.statistics.estimates import Estimate
from harness.statistics.paired import Score, check, effects, weights_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeededScores:
    """One task in one language, answered by every seed of one recipe."""

    #: Names the cell in errors: ``xnli sw``.
    name: str
    score: Score
    #: The metric's statistics (seeds, examples, columns), the same examples for every seed.
    counts: NDArray[np.float64]
    #: (examples,): equal labels belong together, also across cells.
    clusters: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.counts.ndim != 3 or len(self.counts) < 2:
            seeds = len(self.counts) if self.counts.ndim == 3 else 1
            message = (
                f"{self.name}: {seeds} seed; the spread over seeds needs two or more: train another (--seed), "
                "or compare single runs without --seeds"
            )
            raise UsageError(message)
        for counts in self.counts:
            check(self.name, counts, self.clusters)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSummary:
    """The seeds of one recipe."""

    #: The score of each seed, in points.
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean over the seeds."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float:
        """Return the standard deviation over the seeds."""
        return float(np.std(self.scores, ddof=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedDifference:
    """Right minus left over the seeds, with the parts of its variance in squared points."""

    estimate: Estimate
    left: SeedSummary
    right: SeedSummary
    seed_variance: float
    item_variance: float


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    scores: NDArray[np.float64]
    #: (seeds, clusters): first-order effects.
    sums: NDArray[np.float64]

    @property
    def seed_part(self) -> tuple[float, float]:
        """Return the variance of the mean over seeds, and its degrees of freedom."""
        count = len(self.scores)
        return float(self.scores.var(ddof=1)) / count, count - 1.0

    def noise(self, groups: Clustering) -> float:
        """Return the part of the clustered variance of the seed-averaged score that is the seeds' own."""
        count = len(self.scores)
        own = self.sums - self.sums.mean(axis=0)
        return sum(sum_variance(row, groups.strata)[0] for row in own) / (count - 1) / count


def _side(cells: Sequence[SeededScores], weights: NDArray[np.float64], groups: Clustering) -> _Side:
    seeds = {len(cell.counts) for cell in cells}
    if len(seeds) > 1:
        message = f"the cells have {sorted(seeds)} seeds; evaluate every task and language with every seed"
        raise UsageError(message)
    count = seeds.pop()
    scores, sums = np.zeros(count), np.zeros((count, groups.count))
    for number, (cell, weight) in enumerate(zip(cells, weights, strict=True)):
        for seed, counts in enumerate(cell.counts):
            scores[seed] += weight * cell.score(counts.sum(axis=0))
            sums[seed] += weight * groups.sums(number, effects(cell.score, counts)[:, None])[:, 0]
    return _Side(scores, sums)


def _items(sums: NDArray[np.float64], noise: float, groups: Clustering) -> tuple[float, float]:
    variance, freedom = sum_variance(sums, groups.strata)
    return max(0.0, variance - noise), freedom


def _welch(
    value: float, parts: Sequence[tuple[float, float]], cells: Sequence[SeededScores], clusters: int
) -> Estimate:
    variance = sum(part for part, _ in parts)
    spread = sum(part**2 / freedom for part, freedom in parts)
    return Estimate(
        value=value,
        error=math.sqrt(variance),
        freedom=variance**2 / spread if spread else math.inf,
        examples=sum(len(cell.clusters) for cell in cells),
        clusters=clusters,
    )


def seed_difference(
    left: Sequence[SeededScores], right: Sequence[SeededScores], weights: Sequence[float] | None = None
) -> SeedDifference:
    """Return right minus left over several seeds, as the module describes.

    Args:
        left: tasks and languages of one recipe.
        right: the same of the other, in the same order and on the same examples; the seeds need not be as many.
        weights: one for each cell; None is the mean.

    Raises:
        UsageError: a side has one seed only, the examples differ, or there is one cluster only.
    """
    share = weights_of(len(left), weights)
    for one, other in zip(left, right, strict=True):
        if one.counts.shape[1:] != other.counts.shape[1:] or not np.array_equal(one.clusters, other.clusters):
            message = f"{one.name} and {other.name}: the recipes answered other examples; evaluate both alike"
            raise UsageError(message)
    groups = clustering([cell.clusters for cell in left])
    sides = _side(left, share, groups), _side(right, share, groups)
    averaged = sides[1].sums.mean(axis=0) - sides[0].sums.mean(axis=0)
    items = _items(averaged, sum(side.noise(groups) for side in sides), groups)
    seeds = [side.seed_part for side in sides]
    value = float(sides[1].scores.mean() - sides[0].scores.mean())
    summaries = [SeedSummary(scores=tuple(map(float, side.scores))) for side in sides]
    return SeedDifference(
        estimate=_welch(value, [*seeds, items], left, groups.count),
        left=summaries[0],
        right=summaries[1],
        seed_variance=sum(part for part, _ in seeds),
        item_variance=items[0],
    )


def seed_mean(cells: Sequence[SeededScores], weights: Sequence[float] | None = None) -> tuple[Estimate, SeedSummary]:
    """Return the mean score of one recipe over seeds with the same two sources of error, and the seeds themselves.

    Raises:
        UsageError: there is one seed or one cluster only.
    """
    share = weights_of(len(cells), weights)
    groups = clustering([cell.clusters for cell in cells])
    side = _side(cells, share, groups)
    items = _items(side.sums.mean(axis=0), side.noise(groups), groups)
    estimate = _welch(float(side.scores.mean()), [side.seed_part, items], cells, groups.count)
    return estimate, SeedSummary(scores=tuple(map(float, side.scores)))
