"""The manifest of an exported graph: what it is, where it came from, how it was checked."""

from pathlib import Path
from typing import Any

import msgspec

from harness.artifacts.checkpoint import Checkpoint, CheckpointMetadata, HeadRecord
from harness.core.errors import ArtifactError
from harness.core.records import Record, read_document, read_record
from harness.core.tensors import GraphSignature

MANIFEST = "manifest.json"


class CheckpointReference(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint that a graph was exported from."""

    digest: str
    #: `phase.json` without its long parts; ``account`` is its key in the file.
    metadata: CheckpointMetadata = msgspec.field(name="account")


class ArtifactManifest(Record, frozen=True, kw_only=True):
    """What `manifest.json` holds, written by the exporter and published with each version."""

    model: str
    finetune: str
    variant: str
    signature: GraphSignature
    graph_sha256: str
    tokenizer_sha256: str
    #: Of the file of the weights; None where they are in the ONNX file.
    weights_sha256: str | None = None
    gate_sha256: str | None = None
    #: The encoder's width.
    hidden: int
    pad_id: int
    checkpoint: CheckpointReference
    #: Graph-to-graph steps that made the variant.
    steps: list[str] = []
    #: Whether an answer depends on the rows that it is batched with.
    batch_dependent: bool = False
    head: HeadRecord | None = None
    #: Rows of the embedding; token ids are below it.
    vocabulary: int | None = None
    layers: int | None = None
    max_tokens: int | None = None
    #: The hidden state that is pooled; None for heads that do not pool one.
    retrieval_layer: int | None = None
    opset: int | None = None
    ir_version: int | None = None
    needs_onnxruntime: str | None = None
    parity: dict[str, Any] = {}
    packages: dict[str, str] = {}
    #: Token ids of a real sentence, which warms a server up.
    probe: list[int] = []
    created: str = ""


def read_manifest(path: Path, model: str = "MODEL") -> ArtifactManifest:
    """Return the manifest in a file.

    Args:
        path: `manifest.json`.
        model: named in the command that makes the file new.

    Raises:
        FileNotFoundError: there is no such file.
        ArtifactError: it is damaged; names file and key.
    """
    return read_record(path, ArtifactManifest, ArtifactError, _fix(model))


def differing_metadata(path: Path, model: str, checkpoint: Checkpoint) -> str | None:
    """Return the first key that a manifest's copy of the checkpoint's metadata has otherwise; None if all are alike.

    Args:
        path: `manifest.json`.
        model: named in the command that makes the file new.
        checkpoint: the checkpoint that the manifest names.

    Raises:
        FileNotFoundError: there is no such file.
        ArtifactError: it is damaged; names file and key.
    """
    _, document = read_document(path, ArtifactManifest, ArtifactError, _fix(model))
    copy = document["checkpoint"]["account"]
    return next(
        (key for key, value in copy.items() if key != "omitted" and checkpoint.document.get(key) != value), None
    )


def _fix(model: str) -> str:
    return f"export again with `harness export --model {model} --force`"
