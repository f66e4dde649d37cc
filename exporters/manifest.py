"""Writes the manifest of an exported graph: what it is, where it came from, how it was checked."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.modules import Loaded
from exporters.onnx import graph_versions
from exporters.servers import needs, text
from exporters.variants import Variant
from harness.artifacts.gate import GATE
from harness.artifacts.manifest import ArtifactManifest
from harness.artifacts.store import GRAPH, TOKENIZER, graph_digests
from harness.core.files import file_sha256
from harness.core.heads import describe
from harness.core.task import AnyFinetune
from harness.core.tensors import GraphSignature
from training.checkpoint import Checkpoint

_PACKAGES = (
    "xtreme-harness",
    "torch",
    "transformers",
    "optimum",
    "optimum-onnx",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "numpy",
)
#: Characters of JSON above which a part of the checkpoint's metadata stays with the checkpoint.
_BULKY = 4_000
#: What is read from manifests, however long: ``seen`` of a hundred languages decides which scores are zero-shot.
_KEPT = ("recipe", "files", "seen", "mix")
#: Tokens of the row that warms a server up: a sentence's length, not a paragraph's.
_WARM_UP_TOKENS = 16


def manifest(
    draft: Path,
    *,
    checkpoint: Checkpoint,
    finetune: AnyFinetune,
    variant: Variant,
    loaded: Loaded,
    signature: GraphSignature,
    parity: Mapping[str, Any],
    probes: Sequence[NDArray[np.int64]],
) -> dict[str, Any]:
    """Return the manifest of the graph and the tokenizer that lie in `draft`."""
    return {
        "format": ArtifactManifest.newest,
        "model": checkpoint.metadata.model,
        "finetune": finetune.name,
        "variant": variant.name,
        "steps": variant.step_names,
        "batch_dependent": variant.batch_dependent,
        "head": describe(finetune.head),
        "signature": signature.to_json(),
        **graph_digests(draft / GRAPH),
        "tokenizer_sha256": file_sha256(draft / TOKENIZER),
        "gate_sha256": file_sha256(draft / GATE),
        "vocabulary": loaded.vocabulary,
        "pad_id": loaded.pad_id,
        "hidden": loaded.hidden,
        "layers": loaded.layers,
        "max_tokens": loaded.max_tokens,
        "retrieval_layer": loaded.retrieval_layer,
        **graph_versions(draft / GRAPH),
        "needs_onnxruntime": text(needs(draft / GRAPH).onnxruntime),
        "parity": dict(parity),
        "checkpoint": {"digest": checkpoint.digest, "account": _slim(checkpoint.document)},
        "packages": _packages(),
        "probe": warm_up(probes),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def warm_up(probes: Sequence[NDArray[np.int64]]) -> list[int]:
    """Return the ids of the probe whose length is nearest to a sentence's."""
    chosen = min(probes, key=lambda row: abs(len(row) - _WARM_UP_TOKENS))
    return [int(token) for token in chosen]


def _slim(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata without its long parts; `omitted` names them."""
    kept = {
        key: value
        for key, value in metadata.items()
        if key in _KEPT or len(json.dumps(value, ensure_ascii=False)) <= _BULKY
    }
    omitted = sorted(metadata.keys() - kept.keys())
    return {**kept, "omitted": omitted} if omitted else kept


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            # Only one of the two onnxruntime wheels can be there, and a checkout need not be installed.
            continue
    return found
