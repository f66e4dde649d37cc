"""The gate: PyTorch in fp32 against a graph, on real sentences of every script, before anything is published.

A variant that should be numerically equal is held to its values, script by script. One that may lose something has to
*show* that it loses less than the margins: over all examples and in each script, since quantisation hurts languages
unevenly (`harness.statistics.monitor`). Little data shows nothing, so it never passes. Looks at growing data end
as soon as the verdict is certain. A model at chance shows nothing of a loss either, and cannot vouch for such a graph.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from exporters.answers import RowAnswers
from exporters.measure import (
    SampleComparison,
    beats_chance,
    by_script,
    describe_script,
    script_cells,
    unusable,
)
from exporters.modules import Decision
from exporters.samples import GateSample, Wanted
from harness.artifacts.gate import ChanceRecord, LossRecord, ScriptRecord, ToleranceRecord
from harness.core.progress import Progress, Silent
from harness.core.task import Outputs
from harness.core.tensors import GraphSignature
from harness.statistics.evidence import Evidence, gather
from harness.statistics.monitor import Design, Group, Look, look
from harness.statistics.noninferiority import Margins
from harness.statistics.paired import Cell
from harness.statistics.planning import sizes

#: Examples of each task and script where every value is held equal, which few rows show as well as many.
EQUAL_EXAMPLES = 16
#: Fractions of the planned examples at which the gate looks.
LOOKS = (0.2, 0.4, 0.6, 0.8, 1.0)
#: The share of examples whose correctness is expected to change, from what int8 did to the sample's models
#: (docs/export.md). They only decide how many examples are planned: 90 % power at this rate.
FLIP_RATES: Mapping[Decision, float] = {"label": 0.02, "order": 0.03, "position": 0.03, "neighbour": 0.02}
#: With fewer examples than this a graph cannot show its loss by itself; see `exporters.run`.
SMALL = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a variant may lose: either values are held equal, or a loss must be shown to be below margins."""

    #: Largest absolute difference of an output value. What flips below it was a tie.
    difference: float | None = None
    #: Of the score, in points.
    margins: Margins | None = None

    def record(self) -> ToleranceRecord:
        """Return the form of gate.json."""
        margins = self.margins
        return ToleranceRecord(
            difference=self.difference,
            overall=None if margins is None else margins.overall,
            script=None if margins is None else margins.script,
        )

    def wanted(self, decision: Decision) -> Wanted:
        """Return how many examples each script should have, from the number of scripts."""
        margins = self.margins
        if margins is None:
            return lambda scripts: EQUAL_EXAMPLES
        return lambda scripts: sizes(FLIP_RATES[decision], max(1, scripts), margins=margins, looks=LOOKS).script


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate found, and every reason against the graph."""

    tolerance: ToleranceRecord
    #: None where the graph's outputs were unusable.
    trained: ChanceRecord | None = None
    #: ISO 15924 code -> what was measured.
    scripts: Mapping[str, ScriptRecord] = field(default_factory=dict)
    #: The loss over all examples; None where values were held equal.
    overall: LossRecord | None = None
    #: Why it passed or not, in a few words.
    reason: str
    problems: tuple[str, ...]
    #: Examples that there are, looked at or not.
    available: int = 0

    @property
    def passed(self) -> bool:
        """Return whether nothing speaks against the graph."""
        return not self.problems

    @property
    def too_small(self) -> bool:
        """Return whether nothing speaks against the graph but that its tasks have too few examples to show a loss."""
        return (
            self.overall is not None
            and self.trained is not None
            and self.trained.above_chance
            and self.available < SMALL
            and not any(loss.outcome == "refused" for loss in self.losses)
        )

    @property
    def losses(self) -> list[LossRecord]:
        """Return what is known about the loss over all examples and in each script."""
        found = [self.overall, *(script.loss for script in self.scripts.values())]
        return [loss for loss in found if loss is not None]


def judge(
    reference: RowAnswers,
    graph: RowAnswers,
    samples: Sequence[GateSample],
    *,
    signature: GraphSignature,
    tolerance: Tolerance,
    progress: Progress | None = None,
    name: str = "gate",
) -> Verdict:
    """Compare a graph with the network it came from, script by script.

    Args:
        reference: PyTorch in fp32 on the CPU.
        graph: the variant, in the engine that will serve it.
        samples: real examples with their labels.
        signature: of both.
        tolerance: what the variant may lose.
        progress: shows how much of the examples was answered.
        name: of the graph, for the progress.
    """
    progress = progress or Silent()
    if tolerance.margins is not None:
        return _judge_loss(reference, graph, samples, signature, tolerance, tolerance.margins, progress, name)
    rows = [row for sample in samples for row in sample.rows()]
    with progress.step(f"{name}: gate", 2 * len({row.key for row in rows}), "rows") as advance:
        right, given = reference.of(rows, advance), graph.of(rows, advance)
    allowed = tolerance.record()
    if problems := unusable(given, signature):
        return Verdict(tolerance=allowed, reason="outputs are unusable", problems=tuple(problems))
    comparisons = [SampleComparison.of(sample, right, given) for sample in samples]
    scripts = {script: describe_script(group) for script, group in by_script(comparisons).items()}
    limit = tolerance.difference
    problems = [
        f"{script}: an output differs by {found.largest_difference:.2g}, allowed {limit:.2g}"
        for script, found in scripts.items()
        if limit is not None and found.largest_difference > limit
    ]
    return Verdict(
        tolerance=allowed,
        trained=beats_chance(samples, right, signature),
        scripts=scripts,
        reason="values differ" if problems else "values are equal",
        problems=tuple(problems),
        available=sum(sample.scored for sample in samples),
    )


def _judge_loss(
    reference: RowAnswers,
    graph: RowAnswers,
    samples: Sequence[GateSample],
    signature: GraphSignature,
    tolerance: Tolerance,
    margins: Margins,
    progress: Progress,
    name: str,
) -> Verdict:
    """Look at growing parts of the samples until it is certain what the graph loses."""
    allowed = tolerance.record()
    if not samples:
        return Verdict(
            tolerance=allowed,
            reason="not shown",
            problems=("there is no example of its tasks, so that what it loses cannot be measured",),
        )
    right: dict[bytes, Outputs] = {}
    given: dict[bytes, Outputs] = {}
    comparisons: list[SampleComparison] = []
    found: Look | None = None
    written = {sample.script for sample in samples}
    rows = {row.key for sample in samples for row in sample.rows()}
    with progress.step(f"{name}: gate", 2 * len(rows), "rows") as advance:
        for fraction in LOOKS:
            parts = [sample.first(max(1, round(fraction * sample.scored))) for sample in samples]
            new = [row for part in parts for row in part.rows()]
            right |= reference.of(new, advance)
            given |= graph.of(new, advance)
            if problems := unusable(given, signature):
                return Verdict(tolerance=allowed, reason="outputs are unusable", problems=tuple(problems))
            comparisons = [SampleComparison.of(part, right, given) for part in parts]
            found = _look(samples, comparisons, margins, found, last=fraction == LOOKS[-1])
            if found is not None and found.certain and (set(found.scripts) == written or found.outcome == "refused"):
                break
    seen = [comparison.sample for comparison in comparisons]
    trained = beats_chance(seen, right, signature)
    scripts = {script: describe_script(group) for script, group in by_script(comparisons).items()}
    available = sum(sample.scored for sample in samples)
    if found is None:
        return Verdict(
            tolerance=allowed,
            trained=trained,
            scripts=scripts,
            reason="not shown",
            problems=("no script has two independent examples that count, so that a loss cannot be measured",),
            available=available,
        )
    problems = _problems(found)
    if found.outcome != "refused":
        problems += [
            f"{script}: fewer than two independent examples count, so that its loss cannot be measured"
            for script in sorted(written - set(found.scripts))
        ]
    if not trained.above_chance:
        problems.insert(
            0,
            "the model is no better than answers that ignore the text "
            f"({trained.model:.1f} against {trained.ignoring_the_text:.1f}), so that what this variant loses "
            "cannot be measured",
        )
    return Verdict(
        tolerance=allowed,
        trained=trained,
        scripts={
            script: _with_loss(record, found.scripts[script]) if script in found.scripts else record
            for script, record in scripts.items()
        },
        overall=_record(found.overall),
        reason="at chance" if not trained.above_chance else found.text(),
        problems=tuple(problems),
        available=available,
    )


def _look(
    samples: Sequence[GateSample],
    comparisons: Sequence[SampleComparison],
    margins: Margins,
    previous: Look | None,
    *,
    last: bool,
) -> Look | None:
    """Return the verdict on the examples so far; None where nothing can be judged."""
    # A sample in which nothing counts, as sentences without a name, says nothing about a loss.
    counted = [one for one in comparisons if one.right.any() or one.given.any()]
    cells = {script: group for script, group in script_cells(counted).items() if _independent(group) > 1}
    if not cells:
        return None
    overall, scripts = gather(cells)
    planned = {script: sum(sample.scored for sample in samples if sample.script == script) for script in scripts}
    if last:
        # Examples that count nothing were planned too; what is there now is all there is.
        planned = {script: one.examples for script, one in scripts.items()}
    return look(Design(planned=planned, margins=margins), overall, scripts, previous)


def _independent(cells: Sequence[Cell]) -> int:
    return len({int(label) for cell in cells for label in cell.counted().clusters})


def _problems(found: Look) -> list[str]:
    """Return what speaks against a graph: every group that is refused, else what could not be shown."""
    named = {"all examples": found.overall, **found.scripts}
    refused = [
        f"{name}: the score falls by {_points(group.evidence.loss)} points, at least {group.lower:.1f} "
        f"({group.evidence.examples:,} examples), allowed {group.margin:g}"
        for name, group in named.items()
        if group.outcome == "refused"
    ]
    if refused or found.outcome == "shown":
        return refused
    open_groups = {name: group for name, group in named.items() if group.outcome == "not shown"}
    worst = max(open_groups, key=lambda name: open_groups[name].bound / open_groups[name].margin)
    group = open_groups[worst]
    others = f", and {len(open_groups) - 1} more" if len(open_groups) > 1 else ""
    return [
        f"{found.text()} ({worst}: between {group.lower:.1f} and {group.bound:.1f} points lost in "
        f"{group.evidence.examples:,} examples, allowed {group.margin:g}{others})"
    ]


def _points(value: float) -> str:
    return f"{value + 0.0:.1f}"


def _with_loss(record: ScriptRecord, group: Group) -> ScriptRecord:
    return replace(record, loss=_record(group))


def _record(group: Group) -> LossRecord:
    found: Evidence = group.evidence
    return LossRecord(
        outcome=group.outcome,
        margin=group.margin,
        loss=found.loss,
        flips=found.flips,
        bound=group.bound,
        lower=group.lower,
        examples=found.examples,
        clusters=found.clusters,
        design_effect=found.design_effect,
        needed=group.needed,
        looks=list(group.looks),
        own=None if group.pooling is None else group.pooling.own,
        pooled=None if group.pooling is None else group.pooling.pooled,
    )
