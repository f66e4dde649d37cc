"""A torch module to an ONNX graph, through Optimum: the only module that exports ONNX."""

import tempfile
from pathlib import Path
from typing import Any

import onnx
from optimum.exporters.onnx import export
from optimum.exporters.onnx.config import TextEncoderOnnxConfig
from optimum.utils import NormalizedTextConfig
from transformers import PretrainedConfig

from exporters.external_data import save_graph
from exporters.modules import HeadModule
from exporters.quiet import quiet
from harness.core.errors import ArtifactError
from harness.core.tensors import GraphSignature, TensorSpec

#: The least that torch's exporter recommends, and Optimum's default; with it the file gets IR
#: version 8, which every ONNX Runtime since 1.10 reads.
OPSET = 18


class HeadOnnxConfig(TextEncoderOnnxConfig):  # type: ignore[misc]
    """Optimum's description of a text encoder, with names and axes from a head's signature.

    It serves every family and head, those included that Optimum has no description of its own for: ModernBERT's
    question answering and multiple choice.
    """

    NORMALIZED_CONFIG_CLASS = NormalizedTextConfig

    def __init__(self, config: PretrainedConfig, signature: GraphSignature) -> None:
        super().__init__(config, task="feature-extraction")
        self._signature = signature

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """Return the dynamic axes of each input by position."""
        return {spec.name: _dynamic(spec) for spec in self._signature.inputs}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Return the dynamic axes of each output by position."""
        return {spec.name: _dynamic(spec) for spec in self._signature.outputs}


def write_graph(module: HeadModule, signature: GraphSignature, path: Path) -> None:
    """Write a module as an ONNX graph whose names and axes are exactly the signature's.

    Args:
        module: in eval mode.
        signature: of the module's head.
        path: the graph; weights that it cannot hold lie beside it, see `exporters.external_data`.

    Raises:
        ArtifactError: the trace has other outputs.
    """
    # In a folder of its own: above 2 GiB the trace leaves files beside it, under names of Optimum's choice.
    with tempfile.TemporaryDirectory(prefix="trace-", dir=path.parent) as scratch, quiet():
        traced = Path(scratch) / path.name
        # Optimum's own fix of the axes opens a session to guess what the signature states.
        export(module, HeadOnnxConfig(module.config, signature), traced, opset=OPSET, disable_dynamic_axes_fix=True)
        graph = onnx.load(traced)
    _settle_axes(graph.graph, signature)
    save_graph(graph, path)
    # By its path: a graph with its weights in memory is beyond what the checker can be handed.
    onnx.checker.check_model(path)


def graph_versions(path: Path) -> dict[str, int]:
    """Return the operator set and the file format version of a graph, as manifests hold them."""
    graph = onnx.load(path, load_external_data=False)
    opset = next(entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx"))
    return {"opset": opset, "ir_version": graph.ir_version}


def _dynamic(spec: TensorSpec) -> dict[int, str]:
    return {index: axis for index, axis in enumerate(spec.axes) if isinstance(axis, str)}


def _settle_axes(graph: Any, signature: GraphSignature) -> None:
    """Give outputs the signature's axes where the trace invented names for them."""
    for values, specs in ((graph.input, signature.inputs), (graph.output, signature.outputs)):
        names = [value.name for value in values]
        if names != [spec.name for spec in specs]:
            message = f"the exported graph has {', '.join(names)}, the head declares {signature.describe()}"
            raise ArtifactError(message)
        for value, spec in zip(values, specs, strict=True):
            _settle_value(value, spec)


def _settle_value(value: Any, spec: TensorSpec) -> None:
    axes = value.type.tensor_type.shape.dim
    static = [axis.dim_value if axis.HasField("dim_value") else None for axis in axes]
    # A static size of the trace that the head does not declare is a frozen axis, not a name to mend.
    if len(static) != len(spec.axes) or any(
        size is not None and size != axis for size, axis in zip(static, spec.axes, strict=True)
    ):
        message = f"the exported graph gives {value.name} with axes {static}, the head declares {spec.describe()}"
        raise ArtifactError(message)
    for axis, declared in zip(axes, spec.axes, strict=True):
        if isinstance(declared, int):
            axis.dim_value = declared
        else:
            axis.dim_param = declared
