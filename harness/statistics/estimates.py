"""A value with its standard error, and what follows from both: interval, p-value, equivalence."""

from dataclasses import dataclass

from harness.core.errors import UsageError
from harness.statistics.distributions import t_quantile, t_tail


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends, in points."""

    low: float
    high: float

    @property
    def half(self) -> float:
        """Return half the width: what a table prints after ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A score or a difference, whose error divided into it follows Student's t."""

    #: Points.
    value: float
    #: The standard error, in points.
    error: float
    #: Degrees of freedom of the error.
    freedom: float
    #: Examples and independent clusters of them.
    examples: int
    clusters: int

    def interval(self, level: float = 0.95) -> Interval:
        """Return the two-sided interval.

        Raises:
            UsageError: the error is 0 and the value is not.
        """
        self._measured()
        reach = t_quantile((1 + level) / 2, self.freedom) * self.error
        return Interval(self.value - reach, self.value + reach)

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of the hypothesis that the true value is `null`.

        Raises:
            UsageError: the error is 0 and the value is not.
        """
        self._measured()
        if self.error == 0:
            return 1.0 if self.value == null else 0.0
        return min(1.0, 2 * t_tail(abs(self.value - null) / self.error, self.freedom))

    def _measured(self) -> None:
        if self.error == 0 and self.value != 0:
            message = (
                f"all {self.clusters} clusters differ by the same amount, so that the error of {self.value:+.2f} "
                "points is not known; use the sign-flip test, or evaluate more examples with a larger --limit"
            )
            raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Two one-sided tests: is the true value within the margin on both sides?"""

    #: Points.
    margin: float
    p_value: float
    alpha: float

    @property
    def equivalent(self) -> bool:
        """Return whether the answer to "is there a difference that matters" is a shown "no"."""
        return self.p_value < self.alpha


def equivalence(estimate: Estimate, margin: float, alpha: float = 0.05) -> Equivalence:
    """Return the equivalence test of a difference.

    Two one-sided tests (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657-680): p is the larger of the p-values
    of "the value is at most -margin" and "the value is at least +margin". A difference that is not significant
    is no evidence of "no difference"; this is.

    Raises:
        UsageError: the margin is not above 0, or the error is 0, which shows nothing.
    """
    if margin <= 0:
        message = f"the margin of an equivalence test is {margin:g} points; it must be above 0"
        raise UsageError(message)
    if estimate.error == 0:
        message = (
            f"none of the {estimate.examples} examples differs, which leaves the error unknown; "
            "use the upper bound of `noninferiority` on both sides, or evaluate more examples"
        )
        raise UsageError(message)
    above = t_tail((estimate.value + margin) / estimate.error, estimate.freedom)
    below = t_tail((margin - estimate.value) / estimate.error, estimate.freedom)
    return Equivalence(margin=margin, p_value=max(above, below), alpha=alpha)
