"""Looks at growing data: critical values so that all looks together err as often as one.

Lan and DeMets (1983, Biometrika 70:659-663) spend the error probability as the data grows. The function spent
here is of O'Brien and Fleming's type, 2 - 2 Phi(z / sqrt(t)) with z the normal quantile of 1 - alpha / 2:
little early, nearly all at the end. Neither the number of looks nor their times need be fixed beforehand;
only the final number of examples. The critical values follow exactly, by the recursive integration of
Armitage, McPherson and Rowe (1969, JRSS A 132:235-244) over the density of the running sum.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.statistics.distributions import normal_cdf, normal_quantile, normal_tail

#: Points of the density's grid, which reaches so many standard deviations.
POINTS, REACH = 1001, 8.0
#: Fractions closer together than this are one look.
CLOSEST = 0.005


def spent(fraction: float, alpha: float) -> float:
    """Return the error probability spent when a fraction (0 to 1) of the data has been seen."""
    if fraction <= 0:
        return 0.0
    if fraction >= 1:
        return alpha
    return 2 * normal_tail(normal_quantile(1 - alpha / 2) / math.sqrt(fraction))


@cache
def boundaries(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """Return the one-sided critical value of each look, for a statistic that is standard normal at each.

    Args:
        fractions: of the final data that each look has, rising, at most 1.
        alpha: the one-sided error probability of all looks together.

    Raises:
        UsageError: the fractions do not rise by at least `CLOSEST`, or leave 0 to 1.
    """
    steps = np.diff([0.0, *fractions])
    if not fractions or (steps < CLOSEST).any() or fractions[-1] > 1:
        message = (
            f"looks at the fractions {', '.join(f'{value:g}' for value in fractions) or 'none'} of the data; each must "
            f"be at least {CLOSEST} after the one before, and the last at most 1"
        )
        raise UsageError(message)
    found: list[float] = []
    grid, density = np.zeros(1), np.ones(1)
    before = 0.0
    for fraction, step in zip(fractions, steps, strict=True):
        spend = max(0.0, spent(fraction, alpha) - spent(before, alpha))
        critical = _critical(grid, density, math.sqrt(step), math.sqrt(fraction), spend)
        found.append(critical)
        end = critical * math.sqrt(fraction)
        points = np.linspace(-REACH * math.sqrt(fraction), end, POINTS)
        kernel = np.exp(-((points[:, None] - grid) ** 2) / (2 * step)) / math.sqrt(2 * math.pi * step)
        # `density` holds the quadrature's weights too.
        density = (kernel @ density) * _simpson(points)
        grid, before = points, fraction
    return tuple(found)


def _critical(
    grid: NDArray[np.float64], density: NDArray[np.float64], step: float, scale: float, spend: float
) -> float:
    """Return the value that the statistic passes with the probability to be spent, by halving."""
    low, high = -REACH, REACH
    for _ in range(60):
        middle = (low + high) / 2
        passing = float(density @ (1 - normal_cdf((middle * scale - grid) / step)))
        low, high = (middle, high) if passing > spend else (low, middle)
    return high


def _simpson(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of Simpson's rule on an odd number of equally spaced points."""
    weights = np.full(len(points), 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return np.asarray(weights * (points[1] - points[0]) / 3, dtype=np.float64)
