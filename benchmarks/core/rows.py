"""Rows of a benchmark: a ratio of two sides, each with its score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.core.timing import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: ours against one baseline, on the same work."""

    work: str
    baseline: str
    #: Ours over the baseline; above 1 we are ahead.
    ratio: float
    #: In percent; None where the weights are random.
    score_baseline: float | None
    score_ours: float | None
    #: Of `ours` and `baseline_value`.
    unit: str
    ours: float
    baseline_value: float
    #: Slowest minus fastest repeat over the median, of each side.
    spreads: Mapping[str, float]
    repeats: int
    #: The wanted ratio; None where there is none.
    target: float | None = None
    #: Further keys of the row.
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Return whether the ratio reaches its target; None where there is none."""
        return None if self.target is None else self.ratio >= self.target

    def to_json(self) -> dict[str, Any]:
        """Return the row as files hold it: the five common keys first."""
        return {
            "work": self.work,
            "baseline": self.baseline,
            "ratio": round(self.ratio, 4),
            "score_baseline": self.score_baseline,
            "score_ours": self.score_ours,
            "unit": self.unit,
            "ours": self.ours,
            "baseline_value": self.baseline_value,
            "spreads": dict(self.spreads),
            "repeats": self.repeats,
            "target": self.target,
            "reached": self.reached,
            **self.details,
        }


@dataclass(frozen=True, slots=True)
class Side:
    """How one side did in a comparison."""

    name: str
    timing: Timing
    #: In percent; None where the weights are random.
    score: float | None


def rate_row(
    work: str, amount: float, unit: str, ours: Side, baseline: Side, *, target: float | None = None, **details: Any
) -> Row:
    """Return a row that compares rates: an amount of work, equal for both, per second.

    Args:
        work: what is done, on which data and model, and how our side does it.
        amount: how much work one repeat is.
        unit: of the rate, such as ``useful tokens/s``.
        ours: our side.
        baseline: the side that it is compared with.
        target: the wanted ratio; None for none.
        details: further keys of the row.
    """
    return Row(
        work=work,
        baseline=baseline.name,
        ratio=baseline.timing.median / ours.timing.median,
        score_baseline=baseline.score,
        score_ours=ours.score,
        unit=unit,
        ours=amount / ours.timing.median,
        baseline_value=amount / baseline.timing.median,
        spreads={"ours": round(ours.timing.spread, 4), "baseline": round(baseline.timing.spread, 4)},
        repeats=len(ours.timing.seconds),
        target=target,
        details={
            "seconds": {"ours": list(ours.timing.seconds), "baseline": list(baseline.timing.seconds)},
            **details,
        },
    )


def less_row(work: str, unit: str, ours: float, baseline: str, theirs: float, **details: Any) -> Row:
    """Return a row of a figure of which less is better, measured once: the ratio is theirs over ours.

    Args:
        work: what is done.
        unit: of both figures.
        ours: our figure, above 0.
        baseline: the other side.
        theirs: its figure.
        details: further keys of the row.
    """
    return Row(
        work=work,
        baseline=baseline,
        ratio=theirs / ours,
        score_baseline=None,
        score_ours=None,
        unit=unit,
        ours=ours,
        baseline_value=theirs,
        spreads={"ours": 0.0, "baseline": 0.0},
        repeats=1,
        details={"ratio_is": "theirs over ours", **details},
    )


def limit_row(work: str, unit: str, values: Sequence[float], limit: float, **details: Any) -> Row:
    """Return a row of a figure that must stay within a limit: the less, the better.

    The limit is the baseline, so the ratio is the limit over ours, and its target is 1.

    Args:
        work: what is done.
        unit: of the figure and of its limit, such as ``seconds``.
        values: the figure in each repeat, above 0; their median counts.
        limit: what it may be at most.
        details: further keys of the row.
    """
    timing = Timing(tuple(values))
    return Row(
        work=work,
        baseline=f"at most {limit:g} {unit}",
        ratio=limit / timing.median,
        score_baseline=None,
        score_ours=None,
        unit=unit,
        ours=timing.median,
        baseline_value=limit,
        spreads={"ours": round(timing.spread, 4), "baseline": 0.0},
        repeats=len(values),
        target=1.0,
        details={"values": list(values), "ratio_is": "limit over ours", **details},
    )


def share_row(work: str, unit: str, part: int, whole: int, **details: Any) -> Row:
    """Return a row of a count that must be a whole one: how much of it is there, in percent.

    Args:
        work: what is counted.
        unit: of the share, such as ``% of the rows``.
        part: how many there are.
        whole: how many there must be, above 0.
        details: further keys of the row.
    """
    return Row(
        work=work,
        baseline="all",
        ratio=part / whole,
        score_baseline=None,
        score_ours=None,
        unit=unit,
        ours=100 * part / whole,
        baseline_value=100.0,
        spreads={"ours": 0.0, "baseline": 0.0},
        repeats=1,
        target=1.0,
        details={"part": part, "whole": whole, **details},
    )


def peak_row(work: str, done: float, peak: float, how: str, *, target: float | None = None, **details: Any) -> Row:
    """Return a row of the operations a second that a work does, against the most that the machine reaches.

    Args:
        work: what is computed.
        done: operations a second.
        peak: the most of them that was measured.
        how: with which product the peak was measured.
        target: the share that is wanted; None for none.
        details: further keys of the row.
    """
    return Row(
        work=work,
        baseline=how,
        ratio=done / peak,
        score_baseline=None,
        score_ours=None,
        unit="GFLOP/s",
        ours=done / 1e9,
        baseline_value=peak / 1e9,
        spreads={"ours": 0.0, "baseline": 0.0},
        repeats=1,
        target=target,
        details=details,
    )


def figure(value: float) -> str:
    """Return a rate or another figure as people read it: whole from 100 on, more digits below."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}"
