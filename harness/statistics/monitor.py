"""The verdict after each look at growing data: shown, refused, or how many more examples are needed.

Every group (all examples, and each script) has two hypotheses with critical values of their own (`sequential`):

- *shown*: the loss is below the margin, one-sided at alpha. All groups must be shown, so none needs a correction
  (intersection-union test): a graph that reaches the margin anywhere is published with probability alpha at most.
- *refused*: the loss is above the margin, one-sided at alpha divided by the number of groups (Bonferroni), so
  that ten scripts are not ten chances to refuse a graph that is within all margins.

A group that is shown or refused stays so. A group whose planned examples are used up is not looked at again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.core.errors import UsageError
from harness.statistics.evidence import Evidence
from harness.statistics.noninferiority import Margins, ScriptBound, script_bounds
from harness.statistics.sequential import CLOSEST, boundaries

Outcome = Literal["shown", "refused", "not shown"]

#: How many times the examples may be multiplied before more are called useless.
FACTORS = 4096.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is fixed before the first look."""

    #: Examples at the last look: what `planning.sizes` asks, or all there are if those are fewer.
    planned: Mapping[str, int]
    margins: Margins = field(default_factory=Margins)
    alpha: float = 0.05

    @property
    def overall(self) -> int:
        """Return the examples of all scripts at the last look."""
        return sum(self.planned.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All examples, or one script, at a look."""

    evidence: Evidence
    #: Points.
    margin: float
    #: The upper bound of the loss that is judged, and the lower one that refuses, at this look's critical values.
    bound: float
    lower: float
    outcome: Outcome
    #: More examples after which it would be shown if they are like those so far. 0 where nothing is open; None where
    #: the observed loss is at the margin or above it, so that more of the same would not show it.
    needed: int | None
    #: The fractions of the planned examples at the looks so far.
    looks: tuple[float, ...]
    #: How pooling changed it; None for all examples together.
    pooling: ScriptBound | None = None

    @property
    def finished(self) -> bool:
        """Return whether no further look will change the outcome."""
        return self.outcome != "not shown" or self.looks[-1] >= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The verdict so far."""

    overall: Group
    scripts: Mapping[str, Group]

    @property
    def groups(self) -> tuple[Group, ...]:
        """Return all groups."""
        return self.overall, *self.scripts.values()

    @property
    def outcome(self) -> Outcome:
        """Return refused if any group is, shown if all are."""
        outcomes = {group.outcome for group in self.groups}
        if "refused" in outcomes:
            return "refused"
        return "shown" if outcomes == {"shown"} else "not shown"

    @property
    def certain(self) -> bool:
        """Return whether the gate may stop: nothing that follows can change the outcome."""
        return self.outcome != "not shown" or all(group.finished for group in self.groups)

    @property
    def needed(self) -> int | None:
        """Return how many more examples would show what is open, or None where more of the same would not."""
        open_scripts = [group.needed for group in self.scripts.values()]
        if self.overall.needed is None or None in open_scripts:
            return None
        return max(self.overall.needed, sum(count for count in open_scripts if count is not None))

    def text(self) -> str:
        """Return the verdict in words: ``not shown: 1,200 more examples are needed``."""
        if self.outcome != "not shown":
            return self.outcome
        if self.needed is None:
            worst = max(self.groups, key=lambda group: group.evidence.loss - group.margin)
            return (
                f"not shown: the observed loss of {worst.evidence.loss:.1f} points is at the margin of "
                f"{worst.margin:g} or too near it: more examples like these would not show it"
            )
        return f"not shown: {self.needed:,} more examples are needed"


def look(design: Design, overall: Evidence, scripts: Mapping[str, Evidence], previous: Look | None = None) -> Look:
    """Return the verdict on the data so far.

    Args:
        design: what was planned.
        overall: what all examples so far say.
        scripts: what each script's examples so far say; the scripts of the plan.
        previous: the look before this one.

    Raises:
        UsageError: the scripts are not those of the plan, or a script has fewer examples than at the look before.
    """
    if set(scripts) != set(design.planned):
        message = f"evidence of {sorted(scripts)}, but examples are planned of {sorted(design.planned)}; plan them all"
        raise UsageError(message)
    before = {} if previous is None else dict(previous.scripts)
    family = len(scripts) + 1
    looks = {name: _looks(name, one.examples, design.planned[name], before.get(name)) for name, one in scripts.items()}
    critical = {name: boundaries(looks[name], design.alpha)[-1] for name in scripts}
    bounds = script_bounds(scripts, critical)
    groups = {
        name: _group(
            one,
            design.margins.script,
            design.planned[name],
            looks[name],
            design,
            family,
            before.get(name),
            bounds[name],
        )
        for name, one in scripts.items()
    }
    last = None if previous is None else previous.overall
    fractions = _looks("all scripts", overall.examples, design.overall, last)
    return Look(
        overall=_group(overall, design.margins.overall, design.overall, fractions, design, family, last, None),
        scripts=groups,
    )


def _looks(name: str, examples: int, planned: int, before: Group | None) -> tuple[float, ...]:
    """Return the fractions with that of this look, where enough is new."""
    earlier = () if before is None else before.looks
    if before is not None and examples < before.evidence.examples:
        message = (
            f"{name}: {examples} examples after {before.evidence.examples}; a look needs those of the one before too"
        )
        raise UsageError(message)
    fraction = examples / planned
    # What is left would be too little for another look.
    fraction = 1.0 if fraction > 1 - CLOSEST else fraction
    if not earlier:
        return (max(fraction, CLOSEST),)
    if fraction - earlier[-1] >= CLOSEST:
        return (*earlier, fraction)
    return earlier


def _group(
    evidence: Evidence,
    margin: float,
    planned: int,
    looks: tuple[float, ...],
    design: Design,
    family: int,
    before: Group | None,
    pooling: ScriptBound | None,
) -> Group:
    if before is not None and (before.finished or looks == before.looks):
        return before
    critical, refusing = boundaries(looks, design.alpha)[-1], boundaries(looks, design.alpha / family)[-1]
    bound = evidence.upper(critical) if pooling is None else pooling.bound
    outcome: Outcome = "not shown"
    if bound < margin:
        outcome = "shown"
    elif evidence.above(margin, refusing):
        outcome = "refused"
    return Group(
        evidence=evidence,
        margin=margin,
        bound=bound,
        lower=evidence.lower(refusing),
        outcome=outcome,
        needed=0 if outcome != "not shown" else _more(evidence, margin, planned, looks, design.alpha, pooling),
        looks=looks,
        pooling=pooling,
    )


def _more(
    evidence: Evidence, margin: float, planned: int, looks: tuple[float, ...], alpha: float, pooling: ScriptBound | None
) -> int | None:
    """Return how many more examples like these would show the loss below the margin at a last look."""
    critical = boundaries(looks if looks[-1] >= 1 else (*looks, 1.0), alpha)[-1]
    factor = 1.0
    if pooling is not None:
        if pooling.shrunken >= margin:
            return None
        factor = max(factor, (critical * pooling.error / (margin - pooling.shrunken)) ** 2)
    high = factor
    while not evidence.times(high).below(margin, critical):
        high *= 2
        if high > FACTORS:
            return None
    low = max(factor, high / 2)
    while (high - low) * evidence.examples > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if evidence.times(middle).below(margin, critical) else (middle, high)
    # Before the last look the critical value is larger: what the last look would pass is passed there at the latest.
    left = max(1, planned - evidence.examples)
    return left if high == 1 else math.ceil((high - 1) * evidence.examples)
