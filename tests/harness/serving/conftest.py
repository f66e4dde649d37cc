"""Tiny graphs that are whole artifacts: of a real finetune, with tokenizer and manifest."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifacts.store import Artifact, read_artifact
from harness.benchmark import finetunes
from harness.core.files import file_sha256
from harness.core.heads import describe


@pytest.fixture(scope="session")
def write_artifact(tokenizer_file: Path, request: pytest.FixtureRequest) -> Callable[..., Artifact]:
    """Write an artifact: ``write_artifact(folder, "mnli", seed=1)``; `pieces` makes another tokenizer."""
    write_graph = request.config.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py")).write_graph

    def make(folder: Path, finetune: str, *, model: str = "tiny", seed: int = 0, pieces: int = 0) -> Artifact:
        directory = folder / model / finetune / "fp32"
        directory.mkdir(parents=True, exist_ok=True)
        head = finetunes.load(finetune).head
        write_graph(directory / "model.onnx", head.signature(8), seed)
        (directory / "tokenizer.json").write_bytes(tokenizer_file.read_bytes() + b"\n" * pieces)
        manifest = {
            "model": model,
            "finetune": finetune,
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


@pytest.fixture
def exported(tmp_path: Path, write_artifact: Callable[..., Artifact]) -> Callable[..., Artifact]:
    """Write an artifact that answers mnli: ``exported(seed=1)``; `pieces` makes another tokenizer."""

    def make(*, model: str = "tiny", seed: int = 0, pieces: int = 0) -> Artifact:
        return write_artifact(tmp_path / f"exported-{seed}-{pieces}", "mnli", model=model, seed=seed, pieces=pieces)

    return make
