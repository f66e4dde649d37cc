"""Tiny graphs that are whole artifacts: of a real finetune, with tokenizer and manifest."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifacts.store import Artifact, read_artifact
from harness.benchmark import finetunes
from harness.core.files import file_sha256
from harness.core.heads import describe


@pytest.fixture
def exported(tmp_path: Path, tokenizer_file: Path, artifact: Callable[..., Artifact]) -> Callable[..., Artifact]:
    """Write an artifact that answers mnli: ``exported(seed=1)``; `pieces` makes another tokenizer."""

    def make(*, model: str = "tiny", seed: int = 0, pieces: int = 0) -> Artifact:
        graph = artifact("sequence", model=model, seed=seed).graph
        directory = tmp_path / f"exported-{seed}-{pieces}" / model / "mnli" / "fp32"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "model.onnx").unlink(missing_ok=True)  # a published graph is a link to this file
        shutil.copyfile(graph, directory / "model.onnx")
        (directory / "tokenizer.json").write_bytes(tokenizer_file.read_bytes() + b"\n" * pieces)
        head = finetunes.load("mnli").head
        manifest = {
            "model": model,
            "finetune": "mnli",
            "variant": "fp32",
            "head": describe(head),
            "signature": head.signature(8).to_json(),
            "graph_sha256": file_sha256(directory / "model.onnx"),
            "tokenizer_sha256": file_sha256(directory / "tokenizer.json"),
            "vocabulary": 50,
            "hidden": 8,
            "pad_id": 1,
            "checkpoint": {"digest": "c" * 64, "account": {"phase": "target", "model": model, "seen": {}}},
        }
        (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return read_artifact(directory)

    return make
