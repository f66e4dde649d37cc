"""What a group of examples says about a loss, and score-type bounds of it.

A bound is Tango's score bound with a continuity correction of half an example. Without the correction it is
liberal where few examples flip: by enumeration up to 6.5 % false acceptance at the margin, with it at most
4.9 %. Two things are mapped onto it:

- what is not right-or-wrong: an example's loss is its first-order effect on the score, and the sums of the
  positive and of the negative losses stand for the counts of lost and gained examples, each in units of the usual
  size of a loss that is not zero (sum of squares over sum of sizes, which keeps the variance): 1 where examples are
  right or wrong, about 1/12 where one tag of twelve changes. Few flips say little about it, so it is averaged with a
  prior one, a decision of the example's, that weighs as four flips.
- clusters: counts are divided by a design effect, the cluster-robust variance over that of independent examples, and
  the quantile is Student's t with clusters - 1 degrees of freedom. The design effect is at least 1. Few flips say
  little about it, so it is averaged with a prior one (correlation 0.05 within clusters) that weighs as four flips.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.statistics.clusters import clustering, sum_variance
from harness.statistics.distributions import normal_tail, t_quantile
from harness.statistics.paired import Cell, effects
from harness.statistics.proportions import tango_lower, tango_statistic, tango_upper

#: Half an example, towards the null hypothesis.
CORRECTION = 0.5
#: The correlation of flips within a cluster before any is seen, and the flips that this weighs as.
PRIOR_CORRELATION, PRIOR_FLIPS = 0.05, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a group of examples says about a loss; independent of the margin."""

    #: Sums of the examples' positive and negative losses: counts, where examples are right or wrong.
    lost: float
    gained: float
    examples: int
    clusters: int
    #: The variance of the loss over that of as many independent examples; at least 1.
    design_effect: float = 1.0
    #: The usual size of a loss that is not zero, as a share of an example.
    unit: float = 1.0

    @property
    def loss(self) -> float:
        """Return the observed loss, in points."""
        return 100 * (self.lost - self.gained) / self.examples

    @property
    def flips(self) -> float:
        """Return the share of examples whose correctness changed; reported, not judged."""
        return (self.lost + self.gained) / self.examples

    @property
    def variance(self) -> float:
        """Return the variance of the loss in squared points, with one flip added so that none is never certain."""
        lost, gained, examples = self.effective
        share = (lost + gained + 1) / examples - ((lost - gained) / examples) ** 2
        return 100**2 * share / examples

    @property
    def effective(self) -> tuple[float, float, float]:
        """Return lost, gained and examples as so many independent ones that are right or wrong."""
        size = self.design_effect * self.unit
        return self.lost / size, self.gained / size, self.examples / size

    def quantile(self, critical: float) -> float:
        """Return Student's t for a normal critical value where there are clusters, else the value itself."""
        if self.clusters == self.examples:
            return critical
        return -t_quantile(normal_tail(critical), self.clusters - 1)

    def upper(self, critical: float) -> float:
        """Return the upper bound of the loss at a normal critical value (1.645: one-sided 95 %), in points."""
        return 100 * tango_upper(*self.effective, self.quantile(critical), CORRECTION)

    def lower(self, critical: float) -> float:
        """Return the lower bound of the loss, in points."""
        return 100 * tango_lower(*self.effective, self.quantile(critical), -CORRECTION)

    def below(self, margin: float, critical: float) -> bool:
        """Return whether the upper bound is below a margin in points, without computing it."""
        return tango_statistic(*self.effective, margin / 100, CORRECTION) <= -self.quantile(critical)

    def above(self, margin: float, critical: float) -> bool:
        """Return whether the lower bound is above a margin in points."""
        return tango_statistic(*self.effective, margin / 100, -CORRECTION) >= self.quantile(critical)

    def times(self, factor: float) -> "Evidence":
        """Return what so many times the examples would say if they were like these."""
        return Evidence(
            lost=self.lost * factor,
            gained=self.gained * factor,
            examples=max(1, round(self.examples * factor)),
            clusters=max(1, round(self.clusters * factor)),
            design_effect=self.design_effect,
            unit=self.unit,
        )


def losses(cell: Cell) -> NDArray[np.float64]:
    """Return the loss of each counted example (examples,) as a share; their mean is the loss of the score.

    For right-or-wrong examples they are exactly left minus right: -1, 0 or 1. Aligned with ``cell.counted()``.
    """
    cell = cell.counted()
    own = effects(cell.score, cell.left) - effects(cell.score, cell.right)
    values = (len(own) * (own - own.mean()) - cell.difference) / 100
    # Rounding of the numerical gradient would turn every unchanged example into a tiny flip.
    return np.where(np.abs(values) < 1e-7, 0.0, values)


def evidence(values: NDArray[np.float64], clusters: NDArray[np.int64], parts: float = 1.0) -> Evidence:
    """Return what losses (examples,) with cluster labels (examples,) say, `parts` decisions in each example.

    Raises:
        UsageError: there is one cluster only.
    """
    if not len(values):
        message = "a group has no examples to compare; evaluate at least one paragraph or premise more than one"
        raise UsageError(message)
    groups = clustering([clusters])
    lost, gained = float(np.maximum(values, 0).sum()), float(np.maximum(-values, 0).sum())
    centred = values - values.mean()
    summed = groups.sums(0, centred[:, None])[:, 0]
    clustered = sum_variance(summed, groups.strata)[0]
    count = len(values)
    independent = float((centred**2).sum()) * count / (count - 1)
    sizes = np.bincount(groups.codes[0]).astype(np.float64)
    prior = 1 + PRIOR_CORRELATION * (float((sizes**2).sum()) / count - 1)
    flips = float(np.count_nonzero(values))
    observed = clustered / independent if independent > 0 else 1.0
    effect = (flips * observed + PRIOR_FLIPS * prior) / (flips + PRIOR_FLIPS)
    size = float((values**2).sum()) / (lost + gained) if flips else 1.0
    unit = (flips * size + PRIOR_FLIPS / parts) / (flips + PRIOR_FLIPS)
    return Evidence(
        lost=lost,
        gained=gained,
        examples=count,
        clusters=groups.count,
        design_effect=max(1.0, float(effect)),
        unit=unit,
    )


def gather(scripts: Mapping[str, Sequence[Cell]]) -> tuple[Evidence, dict[str, Evidence]]:
    """Return the evidence over all examples, each with equal weight, and that of each script.

    Args:
        scripts: the cells of each script; clusters that parallel items share may reach over scripts.

    Raises:
        UsageError: there is no script, or one has one cluster only.
    """
    if not any(scripts.values()):
        message = "no script has examples; the gate needs the data of at least one language"
        raise UsageError(message)
    parts = {
        script: (
            np.concatenate([losses(cell) for cell in cells]),
            np.concatenate([cell.counted().clusters for cell in cells]),
            np.concatenate([np.full(len(cell.counted().clusters), 1 / cell.parts) for cell in cells]),
        )
        for script, cells in scripts.items()
    }
    groups = {
        script: (values, clusters, 1 / float(shares.mean())) for script, (values, clusters, shares) in parts.items()
    }
    values, clusters, shares = (np.concatenate(column) for column in zip(*parts.values(), strict=True))
    return evidence(values, clusters, 1 / float(shares.mean())), {
        script: evidence(*group) for script, group in groups.items()
    }
