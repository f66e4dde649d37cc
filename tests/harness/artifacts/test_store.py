import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifacts.store import Artifact, ArtifactStore, graph_digests, joined_sha256, read_artifact
from harness.core.errors import ArtifactError


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def large(graph_of: Callable[..., Artifact]) -> Artifact:
    """An artifact whose weights lie in a file of their own."""
    directory = graph_of("mnli").directory
    (directory / "model.onnx.data").write_bytes(b"weights")
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    manifest |= graph_digests(directory / "model.onnx")
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return read_artifact(directory)


def test_graph_in_one_file_has_the_digest_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    assert graph_digests(tmp_path / "model.onnx") == {"graph_sha256": digest(b"graph")}
    assert joined_sha256(digest(b"graph"), None) == digest(b"graph")


def test_digest_of_a_graph_in_two_files_covers_both(tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    found = []
    for own, weights in ((b"graph", b"weights"), (b"graph", b"others"), (b"other", b"weights"), (b"weights", b"graph")):
        graph.write_bytes(own)
        (tmp_path / "model.onnx.data").write_bytes(weights)
        reported = graph_digests(graph)
        assert reported["weights_sha256"] == digest(weights)
        assert reported["graph_sha256"] == joined_sha256(digest(own), digest(weights))
        found.append(reported["graph_sha256"])
    assert len({*found, digest(b"graph")}) == 5


def test_artifact_in_two_files_counts_both(large: Artifact, graph_of: Callable[..., Artifact]) -> None:
    assert [path.name for path in large.graph_files] == ["model.onnx", "model.onnx.data"]
    assert large.graph_bytes == len(b"graph") + len(b"weights")
    assert large.damaged() is None
    small = graph_of("copa")
    assert ([path.name for path in small.graph_files], small.graph_bytes) == (["model.onnx"], len(b"graph"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", None, "model.onnx is missing"),
        ("model.onnx", b"other", "model.onnx is not the file its manifest describes"),
        ("model.onnx.data", None, "model.onnx.data is missing"),
        ("model.onnx.data", b"other", "model.onnx.data is not the file its manifest describes"),
        ("tokenizer.json", None, "tokenizer.json is missing"),
        ("tokenizer.json", b"other", "tokenizer.json is not the file its manifest describes"),
    ],
)
def test_damaged_file_is_named(large: Artifact, name: str, content: bytes | None, message: str) -> None:
    path = large.directory / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert large.damaged() == path
    store = ArtifactStore(large.directory.parents[2])
    with pytest.raises(ArtifactError, match=f"{message}; export it again with `harness export --model tiny --force`"):
        store.find("tiny", "mnli", "fp32")
