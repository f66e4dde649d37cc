"""The empirical-Bayes estimate of several groups: each is drawn towards their mean, the more the less it knows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledEstimates:
    """Groups with a normal distribution of true values around a common mean."""

    mean: float
    #: The standard error of the mean.
    mean_error: float
    #: The variance of true values between groups.
    between: float
    #: (groups,): the shrunken estimates and their standard errors.
    values: NDArray[np.float64]
    errors: NDArray[np.float64]


def pool(values: NDArray[np.float64], variances: NDArray[np.float64]) -> PooledEstimates:
    """Return the shrunken estimates of groups.

    The variance between groups is DerSimonian and Laird's moment estimate (1986, Control. Clin. Trials 7:177-188),
    max(0, (Q - (k - 1)) / (sum w - sum w^2 / sum w)) with w = 1 / v and Q = sum w (y - mean_w)^2. The mean weighs
    groups by 1 / (v + between). With B = v / (v + between) an estimate is (1 - B) y + B mean, and its
    variance (1 - B) v + B^2 var(mean): the posterior variance and what the mean itself does not know
    (Morris 1983, JASA 78:47-55). One group alone stays as it is.

    Args:
        values: (groups,) the estimates y.
        variances: (groups,) their variances v, above 0.

    Raises:
        UsageError: a variance is not above 0.
    """
    if not (variances > 0).all():
        message = (
            f"a group's variance is {variances.min():g}; it must be above 0: add a pseudo-count where nothing varies"
        )
        raise UsageError(message)
    if len(values) == 1:
        return PooledEstimates(
            mean=float(values[0]),
            mean_error=float(variances[0]) ** 0.5,
            between=0.0,
            values=values.copy(),
            errors=np.sqrt(variances),
        )
    inverse = 1 / variances
    fixed = float((inverse * values).sum() / inverse.sum())
    spread = float((inverse * (values - fixed) ** 2).sum())
    scale = float(inverse.sum() - (inverse**2).sum() / inverse.sum())
    between = max(0.0, (spread - (len(values) - 1)) / scale)
    weights = 1 / (variances + between)
    mean, mean_variance = float((weights * values).sum() / weights.sum()), float(1 / weights.sum())
    towards = variances / (variances + between)
    return PooledEstimates(
        mean=mean,
        mean_error=mean_variance**0.5,
        between=between,
        values=(1 - towards) * values + towards * mean,
        errors=np.sqrt((1 - towards) * variances + towards**2 * mean_variance),
    )
