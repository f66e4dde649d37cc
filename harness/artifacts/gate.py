"""What the export gate found for a graph: `gate.json` beside it."""

from pathlib import Path
from typing import Any

from harness.core.errors import ArtifactError
from harness.core.records import Record, read_record

GATE = "gate.json"


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
    tolerance: dict[str, Any] = {}
    trained: dict[str, Any] | None = None
    #: What was measured in each script.
    scripts: dict[str, dict[str, Any]] = {}


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
