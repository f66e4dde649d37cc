"""Intervals by the paired bootstrap: the same examples, drawn again for both sides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Draws of an interval, and its tails: 95 % of them lie between.
DRAWS, TAILS = 300, (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One task and language, answered twice: the metric's statistics, both (examples, columns)."""

    #: The number in percent from summed statistics (columns,).
    score: Callable[[NDArray[np.float64]], float]
    left: NDArray[np.float64]
    right: NDArray[np.float64]

    @property
    def difference(self) -> float:
        """Return left minus right, in points."""
        return self.score(self.left.sum(axis=0)) - self.score(self.right.sum(axis=0))


def paired_interval(pairs: Sequence[Pair], draws: int = DRAWS) -> tuple[float, float]:
    """Return the 95 % interval of the mean over the pairs of left minus right, in points.

    Examples are drawn with replacement within each pair, for both sides alike; equal input gives an
    equal interval.
    """
    rng = np.random.default_rng(0)
    found = np.zeros((len(pairs), draws))
    for place, pair in enumerate(pairs):
        # Candidates of a search count nothing by themselves; a draw of nothing else would have no score.
        counted = (pair.left != 0).any(axis=1) | (pair.right != 0).any(axis=1)
        left, right = pair.left[counted], pair.right[counted]
        if not len(left):
            continue
        drawn = rng.multinomial(len(left), np.full(len(left), 1 / len(left)), size=draws).astype(np.float64)
        found[place] = [pair.score(a) - pair.score(b) for a, b in zip(drawn @ left, drawn @ right, strict=True)]
    low, high = np.percentile(found.mean(axis=0), TAILS)
    return float(low), float(high)
