"""What the export gate found for a graph: `gate.json` beside it."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.core.errors import ArtifactError
from harness.core.records import Record, read_record

GATE = "gate.json"


class ToleranceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the graph was allowed to lose; None for what was not judged."""

    #: Largest absolute difference of an output value.
    difference: float | None = None
    #: Points of score that it must be shown to lose less than: over all examples, and in each script.
    overall: float | None = None
    script: float | None = None
    #: Of gates before non-inferiority tests: share of predictions that may change, and points of score.
    flips: float | None = None
    drop: float | None = None


class LossRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a loss, in points; positive where the graph is worse."""

    outcome: Literal["shown", "refused", "not shown"]
    margin: float
    #: Mean over examples, and the share of them that changed in correctness.
    loss: float
    flips: float
    #: One-sided 95 % bounds over all looks at the data: the upper one shows, the lower one refuses.
    bound: float
    lower: float
    examples: int
    #: Groups of examples that are independent of each other.
    clusters: int
    design_effect: float
    #: More examples like these after which it would be shown; None where more would not show it.
    needed: int | None
    #: The shares of the planned examples at which the gate looked.
    looks: list[float]
    #: A script's bound from its own examples alone, and from the estimate that is pooled over scripts.
    own: float | None = None
    pooled: float | None = None


class ChanceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whether PyTorch's answers are better than answers that no text changes; scores in percent."""

    above_chance: bool
    model: float
    ignoring_the_text: float
    #: Of the gain, in points, 95 %.
    gain_interval: tuple[float, float]


class ScriptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the graph lost in one script; scores are means over its tasks and languages, in percent."""

    #: ``xnli ru``: task and language.
    samples: list[str]
    examples: int
    #: Predictions, tags counted one by one.
    decisions: int
    #: Share of them that changed.
    flips: float
    #: Of an output value, absolute.
    largest_difference: float
    #: Standard deviation of PyTorch's outputs.
    deviation: float
    pytorch: float
    graph: float
    #: In points.
    drop: float
    #: What the verdict rests on; None where values were held equal.
    loss: LossRecord | None = None
    #: Of gates before non-inferiority tests, 95 %.
    drop_interval: tuple[float, float] | None = None


class GateRecord(Record, frozen=True, kw_only=True):
    """The verdict on a graph, and what it rests on."""

    model: str = ""
    finetune: str = ""
    variant: str = ""
    #: Digest of the checkpoint that the graph was compared with.
    checkpoint: str = ""
    passed: bool
    #: Why it was published or not: values were equal, a loss was shown to be below the margins, and so on.
    reason: str = ""
    #: Why it did not pass, one sentence each.
    problems: list[str] = []
    #: Why a graph that did not pass was published all the same.
    accepted: str | None = None
    tolerance: ToleranceRecord = ToleranceRecord()
    #: None where the graph's outputs were unusable, so that nothing was predicted.
    trained: ChanceRecord | None = None
    #: ISO 15924 code -> what was measured.
    scripts: dict[str, ScriptRecord] = {}
    #: The loss over all examples; None where values were held equal.
    overall: LossRecord | None = None
    #: Graphs of the same model and variant whose verdict stands for this one, whose tasks are too small.
    taken_over: list[str] = []
    #: What answered: engine, version and device.
    engine: str = ""
    #: Where it was measured.
    machine: dict[str, Any] = {}


def read_gate(path: Path, model: str) -> GateRecord | None:
    """Return what the gate found; None where the graph was exported without a gate.

    Args:
        path: `gate.json`.
        model: named in the command that makes the file new.

    Raises:
        ArtifactError: the file is damaged; names file and key.
    """
    fix = f"export again with `harness export --model {model} --force`"
    try:
        return read_record(path, GateRecord, ArtifactError, fix)
    except FileNotFoundError:
        return None
