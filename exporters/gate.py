"""The gate: PyTorch in fp32 against a graph, on real sentences of every script, before anything is published.

What is compared is what a user sees: every output value, every prediction, and the score with an
interval, for each script alone, since quantisation hurts languages unevenly. A model at chance shows
nothing of that, so it cannot vouch for a graph that is not numerically equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scipy.stats import binomtest

from exporters.measure import Infer, SampleComparison, answers, beats_chance, compare_script, unusable
from exporters.modules import Decision
from exporters.samples import GateSample
from harness.artifacts.gate import ChanceRecord, ScriptRecord, ToleranceRecord
from harness.core.tensors import GraphSignature


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a variant may lose in any script: either values are held equal, or predictions and scores are."""

    #: Largest absolute difference of an output value. What flips below it was a tie.
    difference: float | None = None
    #: Share of predictions that may change, tags counted one by one, by what a client decides from the outputs.
    #: A graph is past it, as past `drop`, where the lower end of the 95 % interval is: ten scripts give ten
    #: occasions to be unlucky.
    flips: Mapping[Decision, float] | None = None
    #: Points of score.
    drop: float | None = None

    def record(self, decision: Decision) -> ToleranceRecord:
        """Return what a graph of one kind of decision may lose."""
        flips = None if self.flips is None else self.flips[decision]
        return ToleranceRecord(difference=self.difference, flips=flips, drop=self.drop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate found, and every reason against the graph."""

    tolerance: ToleranceRecord
    #: None where the graph's outputs were unusable.
    trained: ChanceRecord | None = None
    #: ISO 15924 code -> what was measured.
    scripts: Mapping[str, ScriptRecord] = field(default_factory=dict)
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Return whether nothing speaks against the graph."""
        return not self.problems


def judge(
    reference: Infer,
    graph: Infer,
    samples: Sequence[GateSample],
    *,
    pad_id: int,
    signature: GraphSignature,
    decision: Decision,
    tolerance: Tolerance,
) -> Verdict:
    """Compare a graph with the network it came from, script by script.

    Args:
        reference: PyTorch in fp32 on the CPU.
        graph: the variant.
        samples: real examples with their labels.
        pad_id: fills batches up.
        signature: of both.
        decision: what a client reads off the outputs.
        tolerance: what the variant may lose.
    """
    features = [feature for sample in samples for feature in sample.rows()]
    right = answers(reference, features, pad_id, signature)
    given = answers(graph, features, pad_id, signature)
    allowed = tolerance.record(decision)
    problems = unusable(given, signature)
    if problems:
        # Nothing can be predicted from such answers.
        return Verdict(tolerance=allowed, problems=tuple(problems))
    cells = [SampleComparison.of(sample, right, given) for sample in samples]
    scripts = {
        script: compare_script([cell for cell in cells if cell.sample.script == script])
        for script in dict.fromkeys(cell.sample.script for cell in cells)
    }
    for script, found in scripts.items():
        problems += _past(script, found, allowed)
    trained = beats_chance(samples, right, signature)
    if tolerance.difference is None and not trained.above_chance:
        problems.append(
            "the model is no better than answers that ignore the text "
            f"({trained.model:.1f} against {trained.ignoring_the_text:.1f}), so that what this variant loses "
            "cannot be measured"
        )
    return Verdict(tolerance=allowed, trained=trained, scripts=scripts, problems=tuple(problems))


def _past(script: str, found: ScriptRecord, allowed: ToleranceRecord) -> list[str]:
    """Return what a script lost beyond what is allowed."""
    problems = []
    if allowed.difference is not None and found.largest_difference > allowed.difference:
        problems.append(
            f"{script}: an output differs by {found.largest_difference:.2g}, allowed {allowed.difference:.2g}"
        )
    flips = 1.0 if allowed.flips is None else allowed.flips
    changed = binomtest(round(found.flips * found.decisions), max(1, found.decisions))
    if changed.proportion_ci(0.95, method="wilson").low > flips:
        problems.append(f"{script}: {found.flips:.1%} of {found.decisions:,} predictions changed, allowed {flips:.1%}")
    low, high = found.drop_interval
    if allowed.drop is not None and low > allowed.drop:
        problems.append(
            f"{script}: the score fell by {found.drop:.1f} points ({low:.1f} to {high:.1f}), allowed {allowed.drop:.1f}"
        )
    return problems
