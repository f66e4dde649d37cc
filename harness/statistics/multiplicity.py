"""Holm's correction: many p-values of one family, at most 5 % of families with any false claim."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class HolmFamily:
    """The tests that are read together, with corrected p-values."""

    #: What the tests have in common: ``XNLI by script``.
    name: str
    #: How many tests there are; a table prints it, since every corrected value depends on it.
    size: int
    #: The corrected p-value of each test, in the order of the input.
    adjusted: Mapping[str, float]
    alpha: float

    @property
    def rejected(self) -> tuple[str, ...]:
        """Return the tests that show a difference."""
        return tuple(name for name, value in self.adjusted.items() if value <= self.alpha)


def holm(name: str, p_values: Mapping[str, float], alpha: float = 0.05) -> HolmFamily:
    """Return the family with Holm's step-down correction (Holm 1979, Scand. J. Statist. 6:65-70).

    The i-th smallest of m p-values, i from 0 on, is multiplied by m - i, and none is below the one before it.

    Raises:
        UsageError: there is no p-value, or one outside 0 to 1.
    """
    if not p_values:
        message = f"the family {name!r} has no tests; name at least one task that both runs answered"
        raise UsageError(message)
    values = np.array(list(p_values.values()), dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        wrong = next(key for key, value in p_values.items() if not 0 <= value <= 1)
        message = f"the p-value of {wrong!r} in the family {name!r} is {p_values[wrong]}; it must lie in 0 to 1"
        raise UsageError(message)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, stepped)
    return HolmFamily(
        name=name, size=len(values), adjusted=dict(zip(p_values, map(float, adjusted), strict=True)), alpha=alpha
    )
