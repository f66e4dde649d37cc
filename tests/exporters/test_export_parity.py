from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tiny_checkpoints import HEADS

from exporters.modules import HeadModule, load_module
from exporters.onnx import write_graph
from exporters.parity import parity
from harness.core.errors import ArtifactError
from training.checkpoint import read_checkpoint

TOLERANCE = 1e-4


@dataclass
class Exported:
    module: HeadModule
    graph: Path

    def damage(self, path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
        graph = onnx.load(self.graph)
        change(graph)
        onnx.save(graph, path)
        return path


@pytest.fixture(scope="module")
def exported(checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    loaded = load_module(read_checkpoint(checkpoints["udpos"]), HEADS["udpos"])
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    write_graph(loaded.module, HEADS["udpos"].signature(loaded.hidden), path)
    return Exported(loaded.module, path)


def change_weights(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
    def apply(graph: onnx.ModelProto) -> None:
        weights = next(weights for weights in graph.graph.initializer if weights.name.endswith(name))
        weights.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weights)), weights.name))

    return apply


def test_parity_reports_rows_lengths_and_differences(exported, probes) -> None:
    report = parity(exported.module, exported.graph, probes, 1, TOLERANCE)

    assert report["lengths"] == [3, 7, 16, 32, 62]
    assert report["outputs"]["logits"]["equal_decisions"] == 1.0
    assert 0 <= report["outputs"]["logits"]["max_difference"] < 1e-5


def test_one_weight_off_is_refused_with_value_and_allowance(exported, probes, tmp_path: Path) -> None:
    graph = exported.damage(tmp_path / "damaged.onnx", change_weights("classifier.bias", lambda bias: bias + 0.25))

    with pytest.raises(ArtifactError, match=r"by 0\.25 in logits .*allowed 0\.0001; nothing was written"):
        parity(exported.module, graph, probes, 1, TOLERANCE)


def test_nan_is_refused(exported, probes, tmp_path: Path) -> None:
    graph = exported.damage(
        tmp_path / "damaged.onnx", change_weights("classifier.bias", lambda bias: np.full_like(bias, np.nan))
    )

    with pytest.raises(ArtifactError, match="the graph gives NaN or infinity in logits on probe 0"):
        parity(exported.module, graph, probes, 1, TOLERANCE)


def test_constant_output_is_refused_whatever_the_tolerance(exported, probes, tmp_path: Path) -> None:
    def constant(graph: onnx.ModelProto) -> None:
        last = next(node for node in graph.graph.node if "logits" in node.output)
        last.output[0] = "changing"
        zero = numpy_helper.from_array(np.zeros((), np.float32), "zero")
        graph.graph.initializer.append(zero)
        graph.graph.node.append(onnx.helper.make_node("Mul", ["changing", "zero"], ["logits"]))

    graph = exported.damage(tmp_path / "damaged.onnx", constant)

    with pytest.raises(ArtifactError, match="the graph gives the same logits on all 5 probes"):
        parity(exported.module, graph, probes, 1, 1e9)


def test_ignored_mask_is_refused_although_single_rows_agree(exported, probes, tmp_path: Path) -> None:
    def ignore_mask(graph: onnx.ModelProto) -> None:
        shape = onnx.helper.make_node("Shape", ["input_ids"], ["ids_shape"])
        one = numpy_helper.from_array(np.ones(1, np.int64))
        ones = onnx.helper.make_node("ConstantOfShape", ["ids_shape"], ["all_ones"], value=one)
        for node in graph.graph.node:
            for index, name in enumerate(node.input):
                if name == "attention_mask":
                    node.input[index] = "all_ones"
        graph.graph.node.insert(0, ones)
        graph.graph.node.insert(0, shape)

    graph = exported.damage(tmp_path / "damaged.onnx", ignore_mask)

    with pytest.raises(ArtifactError, match="nothing was written"):
        parity(exported.module, graph, probes, 1, TOLERANCE)


def test_file_that_is_no_graph_is_refused(exported, probes, tmp_path: Path) -> None:
    graph = tmp_path / "damaged.onnx"
    graph.write_bytes(b"not a graph")

    with pytest.raises(ArtifactError, match="cannot be loaded by onnxruntime"):
        parity(exported.module, graph, probes, 1, TOLERANCE)


def test_equal_rows_cannot_show_anything(exported, probes) -> None:
    with pytest.raises(ValueError, match="two different rows"):
        parity(exported.module, exported.graph, [probes[0], probes[0]], 1, TOLERANCE)
