"""A graph in this process: the only door to onnxruntime."""

from pathlib import Path
from typing import Any

from harness.artifacts import Artifact
from harness.endpoints import Closing
from harness.errors import EndpointError, MissingExtra
from harness.machine import cores
from harness.tensors import GraphSignature, Tensors, TensorSpec

try:
    import onnxruntime as ort
except ImportError as error:
    raise MissingExtra(package="onnxruntime", extra="cpu") from error

_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}


def session_options(threads: int) -> "ort.SessionOptions":
    """Return options for evaluation: explicit threads, and memory that varied shapes cannot grow.

    The arena keeps what each new (rows, width) asked for, and a plan has hundreds of shapes
    (onnxruntime#13500, #14474), hence no memory pattern.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return options


def _spec(node: Any) -> TensorSpec:
    axes = tuple(int(axis) if isinstance(axis, int) else axis for axis in node.shape)
    return TensorSpec(node.name, _DTYPES.get(node.type, node.type), axes)


class OnnxEndpoint(Closing):
    """ONNX Runtime in process, on the CPU."""

    concurrency = 1

    def __init__(self, graph: Path, *, threads: int | None = None) -> None:
        try:
            self._session = ort.InferenceSession(
                str(graph), session_options(threads or cores()), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            message = f"{graph} cannot be loaded by onnxruntime {ort.__version__}: {error}"
            raise EndpointError(message) from error
        # ONNX Runtime reports dynamic axes by the names the exporter gave them, so the graph's own
        # account can be compared with the head's.
        self.signature = GraphSignature(
            tuple(_spec(node) for node in self._session.get_inputs()),
            tuple(_spec(node) for node in self._session.get_outputs()),
        )
        self._outputs = [spec.name for spec in self.signature.outputs]
        self.backend = f"onnxruntime {ort.__version__} (in process)"
        self._graph = graph

    @classmethod
    def of(cls, artifact: Artifact) -> "OnnxEndpoint":
        """Return an endpoint for an artifact's graph."""
        return cls(artifact.graph)

    def infer(self, inputs: Tensors) -> Tensors:
        """See `harness.endpoints.Endpoint`."""
        try:
            answers = self._session.run(self._outputs, dict(inputs))
        except Exception as error:
            shapes = {name: value.shape for name, value in inputs.items()}
            message = f"{self._graph} failed on inputs of shapes {shapes}: {error}"
            raise EndpointError(message) from error
        return dict(zip(self._outputs, answers, strict=True))
