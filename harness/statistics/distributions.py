"""Quantiles and tails. scipy is loaded by the functions that need it, so that importing this module is cheap."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_NORMAL = NormalDist()


def normal_quantile(probability: float) -> float:
    """Return the value below which a standard normal variable lies with a probability in (0, 1)."""
    return _NORMAL.inv_cdf(probability)


def normal_tail(value: float) -> float:
    """Return the probability that a standard normal variable is above a value."""
    return 0.5 * math.erfc(value / math.sqrt(2))


def normal_cdf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities that a standard normal variable is below each value."""
    from scipy import special

    return np.asarray(special.ndtr(values), dtype=np.float64)


def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t; with infinite degrees of freedom that of the normal distribution."""
    from scipy import special

    if math.isinf(freedom):
        return normal_quantile(probability)
    return float(special.stdtrit(freedom, probability))


def t_tail(value: float, freedom: float) -> float:
    """Return the probability that Student's t is above a value."""
    from scipy import special

    if math.isinf(freedom):
        return normal_tail(value)
    return float(special.stdtr(freedom, -value))


def fair_coin_below(heads: int, tosses: int) -> float:
    """Return the probability of at most so many heads in so many tosses of a fair coin."""
    from scipy import special

    return float(special.bdtr(heads, tosses, 0.5))


def poisson(counts: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    """Return the probabilities of counts under a Poisson distribution; a mean of 0 is allowed."""
    from scipy import special

    return np.asarray(np.exp(special.xlogy(counts, mean) - mean - special.gammaln(counts + 1)), dtype=np.float64)
