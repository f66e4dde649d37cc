"""What the export gate found for a graph: `gate.json` beside it."""

from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import ArtifactError
from harness.core.records import Record, read_record

GATE = "gate.json"


class ToleranceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the graph was allowed to lose; None for what was not held."""

    #: Largest absolute difference of an output value.
    difference: float | None = None
    #: Share of predictions that may change.
    flips: float | None = None
    #: Points of score.
    drop: float | None = None


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
    #: In points, with its 95 % interval.
    drop: float
    drop_interval: tuple[float, float]


class GateRecord(Record, frozen=True, kw_only=True):
    """The verdict on a graph, and what it rests on."""

    model: str = ""
    finetune: str = ""
    variant: str = ""
    #: Digest of the checkpoint that the graph was compared with.
    checkpoint: str = ""
    passed: bool
    #: Why it did not pass, one sentence each.
    problems: list[str] = []
    #: Why a graph that did not pass was published all the same.
    accepted: str | None = None
    tolerance: ToleranceRecord = ToleranceRecord()
    #: None where the graph's outputs were unusable, so that nothing was predicted.
    trained: ChanceRecord | None = None
    #: ISO 15924 code -> what was measured.
    scripts: dict[str, ScriptRecord] = {}
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
