"""How many examples are needed, before any is asked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.errors import UsageError
from harness.statistics.distributions import normal_quantile, poisson
from harness.statistics.evidence import CORRECTION
from harness.statistics.noninferiority import Margins
from harness.statistics.sequential import boundaries

#: Growth of the number of examples from one try to the next.
GROWTH = 1.02
#: Where the search ends.
MOST = 10_000_000


def needed(flip_rate: float, margin: float, power: float = 0.9, alpha: float = 0.05) -> int:
    """Return about how many examples show a loss below a margin where there is none.

    flip_rate * (z_alpha + z_power)^2 / margin^2, which is flip_rate * 8.56 / margin^2 at 5 % and 90 % with the margin
    as a share. One look, normal approximation; `sizes` is exact.

    Args:
        flip_rate: the share of examples whose correctness changes, 0 to 1.
        margin: points.
        power: the probability that it is shown.
        alpha: the one-sided error probability.

    Raises:
        UsageError: the flip rate or the margin is not above 0.
    """
    if not (0 < flip_rate <= 1 and margin > 0):
        message = (
            f"a flip rate of {flip_rate:g} and a margin of {margin:g} points; they must be above 0, the rate up to 1"
        )
        raise UsageError(message)
    quantiles = normal_quantile(1 - alpha) + normal_quantile(power)
    return math.ceil(flip_rate * quantiles**2 / (margin / 100) ** 2)


def acceptance(examples: int, flip_rate: float, loss: float, margin: float, critical: float) -> float:
    """Return the probability that one look shows a loss below the margin.

    Lost and gained examples are Poisson counts, every pair of them enumerated: independent right-or-wrong examples, few
    of which flip.

    Args:
        examples: how many are seen.
        flip_rate: the share that flips, as the sum of lost and gained; at least the loss.
        loss: the true loss, points.
        margin: points.
        critical: the normal critical value.

    Raises:
        UsageError: so large a loss needs more flips.
    """
    share, edge = loss / 100, margin / 100
    if abs(share) > flip_rate + 1e-12:
        message = f"a loss of {loss:g} points needs a flip rate of {abs(share):g} or more, not {flip_rate:g}"
        raise UsageError(message)
    means = [examples * max(0.0, flip_rate + sign * share) / 2 for sign in (1, -1)]
    counts = [np.arange(int(mean + 8 * math.sqrt(mean) + 20), dtype=np.float64) for mean in means]
    lost, gained = counts[0][:, None], counts[1][None, :]
    linear = -lost - gained + (2 * examples - lost + gained) * edge
    gain = (np.sqrt(linear**2 + 8 * examples * gained * edge * (1 - edge)) - linear) / (4 * examples)
    surplus = lost - gained + CORRECTION - examples * edge
    shown = surplus <= -critical * np.sqrt(examples * (2 * gain + edge * (1 - edge)))
    left, right = (poisson(count, mean) for count, mean in zip(counts, means, strict=True))
    return float(left @ shown @ right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """So many examples at the last look."""

    script: int
    overall: int
    #: The probability that everything is shown where nothing is lost.
    power: float


def sizes(
    flip_rate: float,
    scripts: int,
    *,
    margins: Margins | None = None,
    power: float = 0.9,
    alpha: float = 0.05,
    looks: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0),
    design_effect: float = 1.0,
) -> Sizes:
    """Return how many examples a script and all together need, so that a graph without loss is published.

    The smallest equal number for each script such that the probability that all scripts *and* all examples together
    are shown at the last look reaches the power; looks before only add to it. The product of the probabilities is
    taken, which is conservative, since scripts and the whole are lucky together.

    Args:
        flip_rate: the share of examples whose correctness changes.
        scripts: how many are judged.
        margins: points.
        power: the probability that a graph without loss is published.
        alpha: the one-sided error probability of each.
        looks: the fractions of the data at which the gate looks.
        design_effect: how much clusters inflate the variance.

    Raises:
        UsageError: no number up to ten million is enough.
    """
    margins = margins or Margins()
    critical = boundaries(tuple(looks), alpha)[-1]
    count = 50.0
    while count * scripts < MOST:
        size = math.ceil(count)
        both = acceptance(size, flip_rate, 0.0, margins.script, critical) ** scripts
        if both >= power:
            both *= acceptance(size * scripts, flip_rate, 0.0, margins.overall, critical)
        if both >= power:
            script = math.ceil(size * design_effect)
            return Sizes(script=script, overall=script * scripts, power=both)
        count *= GROWTH
    message = f"a flip rate of {flip_rate:g} needs more than {MOST:,} examples for these margins; widen them"
    raise UsageError(message)
