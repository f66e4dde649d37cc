"""Score intervals of proportions: Wilson's of one, Tango's of a difference of two on the same examples."""

import math
from collections.abc import Callable

import numpy as np

from harness.statistics.estimates import Interval
from harness.statistics.paired import Counts, Score

#: Halvings of a bracket of width 2: the ends are exact to 2e-12.
HALVINGS = 40


def is_plain_proportion(counts: Counts, score: Score) -> bool:
    """Return whether statistics (examples, columns) are right-or-wrong and the score is their share in percent.

    True where there are two columns, the first 0 or 1 and the second always 1, and the score is 100 times their
    ratio. Whatever else a metric counts is not a plain proportion.
    """
    if counts.shape[1] != 2 or not (counts[:, 1] == 1).all() or not np.isin(counts[:, 0], (0, 1)).all():
        return False
    return all(
        math.isclose(score(np.array(totals, dtype=np.float64)), 100 * totals[0] / totals[1], abs_tol=1e-9)
        for totals in ((1, 4), (3, 4))
    )


def wilson(share: float, examples: float, quantile: float) -> Interval:
    """Return Wilson's score interval of a proportion, in points (Wilson 1927, JASA 22:209-212).

    Args:
        share: the observed proportion, 0 to 1.
        examples: how many there are; an effective number need not be whole.
        quantile: of the normal distribution, 1.96 for 95 %.
    """
    square = quantile**2
    centre = (share + square / (2 * examples)) / (1 + square / examples)
    reach = quantile * math.sqrt(share * (1 - share) / examples + square / (4 * examples**2)) / (1 + square / examples)
    return Interval(100 * max(0.0, centre - reach), 100 * min(1.0, centre + reach))


def tango_statistic(lost: float, gained: float, examples: float, loss: float, correction: float = 0.0) -> float:
    """Return Tango's score statistic of the hypothesis that the true loss is `loss`.

    (lost - gained + correction - n loss) / sqrt(n (2 q + loss (1 - loss))), where q is the probability of a gain
    that is most likely under the hypothesis (Tango 1998, Stat. Med. 17:891-908). It is approximately standard normal,
    falls as the loss grows, and does not vanish where nothing flipped.

    Args:
        lost: examples that only the left system has right; an effective number need not be whole.
        gained: examples that only the right system has right.
        examples: all examples.
        loss: the difference of the proportions, left minus right, -1 to 1.
        correction: of continuity, in examples: +0.5 makes an upper bound conservative, -0.5 a lower one.
    """
    linear = -lost - gained + (2 * examples - lost + gained) * loss
    constant = -gained * loss * (1 - loss)
    gain = (math.sqrt(max(0.0, linear**2 - 8 * examples * constant)) - linear) / (4 * examples)
    variance = examples * (2 * gain + loss * (1 - loss))
    surplus = lost - gained + correction - examples * loss
    if variance <= 0:
        return math.copysign(math.inf, surplus) if surplus else 0.0
    return surplus / math.sqrt(variance)


def tango_upper(lost: float, gained: float, examples: float, quantile: float, correction: float = 0.0) -> float:
    """Return the largest loss, a share, that data do not reject at a quantile (1.645: one-sided 95 %)."""
    return _last(lambda loss: tango_statistic(lost, gained, examples, loss, correction) > -quantile)


def tango_lower(lost: float, gained: float, examples: float, quantile: float, correction: float = 0.0) -> float:
    """Return the smallest loss, a share, that data do not reject at a quantile."""
    return -tango_upper(gained, lost, examples, quantile, -correction)


def tango_interval(lost: float, gained: float, examples: float, quantile: float) -> Interval:
    """Return Tango's score interval of the loss (left minus right), in points, without continuity correction."""
    return Interval(
        100 * tango_lower(lost, gained, examples, quantile), 100 * tango_upper(lost, gained, examples, quantile)
    )


def _last(kept: Callable[[float], bool]) -> float:
    """Return the end of the values from -1 on that are kept, by halving."""
    low, high = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if kept(middle):
            low = middle
        else:
            high = middle
    return high
