"""Graphs whose weights lie in a file of their own: tiny ones, with the limit of one file set low."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tiny_checkpoints import finetune, save_checkpoint

import exporters.export
import exporters.external_data
from exporters.export import GateRefusal, export_artifact
from exporters.external_data import move_graph, save_graph
from exporters.variants import VARIANTS
from harness.artifacts.store import Artifact, ArtifactStore
from harness.core.errors import ArtifactError
from harness.core.tensors import pad
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.serving.repository.check import check_version
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish

#: What each variant of the tiny network holds in bytes lies on one side of each: 155,000 in fp32, 60,000 to 80,000
#: in the others.
NOTHING, ALL_BUT_FP32 = 1_000, 100_000


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set how many bytes of weights one file holds."""
    return lambda size: monkeypatch.setattr(exporters.external_data, "MAX_INLINE_BYTES", size)


def product(seed: int) -> onnx.ModelProto:
    """Return a graph of two products with weights of 6,000 and 2,400 bytes, and a shape of 16."""
    numbers = np.random.default_rng(seed)
    weights = {
        "first": numbers.standard_normal((10, 150)).astype(np.float32),
        "second": numbers.standard_normal((150, 4)).astype(np.float32),
        "shape": np.array([2, 2]),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["y"]),
        helper.make_node("MatMul", ["y", "second"], ["z"]),
        helper.make_node("Reshape", ["z", "shape"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 10])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [2, 2])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def weights(path: Path) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def export(checkpoint: Path, name: str, variant: str, out: Path, probes: object) -> Artifact:
    return export_artifact(checkpoint, finetune(name), variant, out, probes, (), accept_drift="random weights")


def test_graph_that_one_file_holds_is_one_file(tmp_path: Path, limit: Callable[[int], None]) -> None:
    limit(8_416)
    (tmp_path / "model.onnx.data").write_bytes(b"of an older graph")
    save_graph(product(0), tmp_path / "model.onnx")
    assert names(tmp_path) == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == product(0).SerializeToString()


def test_weights_of_a_larger_graph_lie_beside_it(tmp_path: Path, limit: Callable[[int], None]) -> None:
    limit(8_415)
    for seed in (1, 0):  # the second replaces the first
        save_graph(product(seed), tmp_path / "model.onnx")
    assert names(tmp_path) == ["model.onnx", "model.onnx.data"]
    assert (tmp_path / "model.onnx.data").stat().st_size == 2 * 4096 + 2_400
    places = {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data}
        for tensor in onnx.load(tmp_path / "model.onnx", load_external_data=False).graph.initializer
    }
    assert places == {
        "first": {"location": "model.onnx.data", "offset": "0", "length": "6000"},
        "second": {"location": "model.onnx.data", "offset": "8192", "length": "2400"},
        "shape": {},
    }
    onnx.checker.check_model(tmp_path / "model.onnx")
    right = {tensor.name: numpy_helper.to_array(tensor) for tensor in product(0).graph.initializer}
    found = weights(tmp_path / "model.onnx")
    assert all(np.array_equal(found[name], value) for name, value in right.items())


def test_moved_graph_leaves_nothing_of_the_one_it_replaces(tmp_path: Path, limit: Callable[[int], None]) -> None:
    source, target = tmp_path / "source" / "model.onnx", tmp_path / "target" / "model.onnx"
    source.parent.mkdir()
    target.parent.mkdir()
    limit(NOTHING)
    save_graph(product(0), source)
    save_graph(product(1), target)
    move_graph(source, target)
    assert names(tmp_path) == ["target/model.onnx", "target/model.onnx.data"]
    assert np.array_equal(weights(target)["first"], numpy_helper.to_array(product(0).graph.initializer[0]))
    limit(10_000)
    save_graph(product(2), source)
    move_graph(source, target)
    assert names(tmp_path) == ["target/model.onnx"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [NOTHING, ALL_BUT_FP32])
def test_every_variant_answers_the_same_from_two_files(
    checkpoints, probes, tmp_path: Path, limit: Callable[[int], None], variant: str, size: int
) -> None:
    whole = export(checkpoints["mnli"], "mnli", variant, tmp_path / "whole", probes)
    limit(size)
    apart = export(checkpoints["mnli"], "mnli", variant, tmp_path / "tiny" / "mnli" / variant, probes)

    two = variant == "fp32" or size == NOTHING
    files = ["gate.json", "manifest.json", "model.onnx", *(["model.onnx.data"] if two else []), "tokenizer.json"]
    assert names(apart.directory) == files
    assert len(apart.graph_files) == 1 + two
    assert ArtifactStore(tmp_path).find("tiny", "mnli", variant) == apart
    rows = pad(probes[:3], 1)
    with OnnxEndpoint(whole.graph) as one, OnnxEndpoint(apart.graph) as other:
        right, found = one.infer(rows)["logits"], other.infer(rows)["logits"]
    assert np.array_equal(right, found)


def test_only_weights_that_differ_are_another_graph(probes, tmp_path: Path, limit: Callable[[int], None]) -> None:
    limit(NOTHING)
    first, second = (
        export(save_checkpoint(tmp_path / f"{seed}", "copa", seed=seed), "copa", "fp32", tmp_path / f"g{seed}", probes)
        for seed in (0, 1)
    )
    small = [tensor.name for tensor in onnx.load(first.graph, load_external_data=False).graph.initializer]
    assert small == [tensor.name for tensor in onnx.load(second.graph, load_external_data=False).graph.initializer]
    assert first.graph_sha256 != second.graph_sha256


@pytest.mark.parametrize("damage", ["deleted", "shortened", "changed"])
def test_graph_whose_weights_are_damaged_is_exported_again(
    checkpoints, probes, tmp_path: Path, limit: Callable[[int], None], damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(NOTHING)
    first = export(checkpoints["copa"], "copa", "fp32", tmp_path / "out", probes)
    data = first.graph_files[1]
    content = data.read_bytes()
    with monkeypatch.context() as patch:
        patch.delattr(exporters.export, "load_module")
        assert export(checkpoints["copa"], "copa", "fp32", tmp_path / "out", probes) == first
    data.unlink()
    if damage != "deleted":
        data.write_bytes(content[:-1] if damage == "shortened" else content[:-1] + b"\x7f")

    again = export(checkpoints["copa"], "copa", "fp32", tmp_path / "out", probes)

    assert again.graph_sha256 == first.graph_sha256
    assert data.read_bytes() == content


def test_graph_that_fits_one_file_again_leaves_no_weights_behind(
    checkpoints, probes, tmp_path: Path, limit: Callable[[int], None]
) -> None:
    limit(NOTHING)
    export(checkpoints["copa"], "copa", "fp32", tmp_path / "out", probes)
    limit(2**31)

    made = export_artifact(checkpoints["copa"], finetune("copa"), "fp32", tmp_path / "out", probes, (), force=True)

    assert names(tmp_path) == ["out/gate.json", "out/manifest.json", "out/model.onnx", "out/tokenizer.json"]
    assert made.damaged() is None


def test_refused_and_failing_exports_leave_no_weights_behind(
    checkpoints, probes, tmp_path: Path, limit: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(NOTHING)
    with pytest.raises(GateRefusal):  # it is at chance, and nobody accepts that
        export_artifact(checkpoints["mnli"], finetune("mnli"), "int8", tmp_path / "mnli" / "int8", probes, ())
    assert names(tmp_path) == ["mnli/int8.refused/gate.json"]
    shutil.rmtree(tmp_path / "mnli")
    monkeypatch.setattr(exporters.export, "TRACE_TOLERANCE", -1.0)
    with pytest.raises(ArtifactError, match="nothing was written"):
        export(checkpoints["mnli"], "mnli", "fp32", tmp_path / "mnli" / "fp32", probes)
    assert names(tmp_path) == []


def test_directory_with_a_file_of_that_name_does_not_matter(
    checkpoints, probes, tmp_path: Path, limit: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The onnx package refuses to write weights whose name is taken where the command runs."""
    limit(NOTHING)
    (tmp_path / "model.onnx.data").touch()
    monkeypatch.chdir(tmp_path)
    assert export(checkpoints["mnli"], "mnli", "int8", tmp_path / "out", probes).damaged() is None


def test_exported_graph_in_two_files_is_published_in_two(
    checkpoints, probes, tmp_path: Path, limit: Callable[[int], None]
) -> None:
    limit(NOTHING)
    made = export(checkpoints["mnli"], "mnli", "fp32", tmp_path / "out", probes)
    repository = tmp_path / "repository"
    for _ in range(2):
        assert publish(made, repository, Serving(threads=1), probe_ids=made.manifest.probe) == 1
    check_version(repository, made.name, 1)
    folder = repository / made.name / "1"
    assert all((folder / path.name).read_bytes() == path.read_bytes() for path in made.graph_files)
    with OnnxEndpoint(folder / "model.onnx") as served, OnnxEndpoint.of(made) as own:
        rows = pad(probes[:2], 1)
        assert np.array_equal(served.infer(rows)["logits"], own.infer(rows)["logits"])
