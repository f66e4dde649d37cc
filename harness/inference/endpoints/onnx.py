"""A graph in this process: the only module that imports onnxruntime.

`Device` names a provider and a GPU, and an endpoint refuses to open where the installed onnxruntime would use
another one. onnxruntime itself falls back to the CPU and only prints that.
"""

import contextlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, MissingExtra, UsageError, nearest
from harness.core.machine import cores
from harness.core.tensors import GraphSignature, Tensors, TensorSpec, row_problem
from harness.inference.endpoints import Closing, numerics

try:
    import onnxruntime as ort
except ImportError as error:
    raise MissingExtra(package="onnxruntime", extra="cpu") from error

_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}

Kind: TypeAlias = Literal["cpu", "cuda", "tensorrt"]
#: onnxruntime's name of each kind.
PROVIDERS: Mapping[Kind, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
#: Calls in flight at most where many batches wait: each holds the activations of its batch, some 200 MB at base shape.
_CALLS = 4
#: What `--endpoint` calls an endpoint of this module.
NAMES = ("onnx", "onnx:cuda", "onnx:tensorrt")
_NAME = re.compile(r"onnx:(?P<kind>cuda|tensorrt)(?::(?P<number>\d{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """Where a graph computes."""

    kind: Kind = "cpu"
    #: Which GPU; the CPU is one.
    number: int = 0

    @property
    def name(self) -> str:
        """Return what messages and results call it: ``cpu``, ``cuda:0``."""
        return "cpu" if self.kind == "cpu" else f"{self.kind}:{self.number}"

    @property
    def memory(self) -> str:
        """Return onnxruntime's name of its memory."""
        return "cpu" if self.kind == "cpu" else "cuda"

    def providers(self) -> list[tuple[str, dict[str, str]]]:
        """Return what a session is opened with, the wanted one first; it always adds the CPU's at the end.

        fp32 products stay fp32: the CUDA provider would compute them in TF32 by default, with errors of 1e-3
        that PyTorch does not have (onnxruntime#19357). fp16 graphs do not come to it. TensorRT takes no such
        option (onnxruntime#26029) and needs the environment, see `OnnxEndpoint`; what it cannot compute,
        fused attention above all, the CUDA provider does. Varied shapes make the memory arena grow to the
        next power of two each time by default (onnxruntime#14474).
        """
        if self.kind == "cpu":
            return [(PROVIDERS["cpu"], {})]
        number = str(self.number)
        cuda = (
            PROVIDERS["cuda"],
            {"device_id": number, "use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"},
        )
        return [cuda] if self.kind == "cuda" else [(PROVIDERS["tensorrt"], {"device_id": number}), cuda]


def parse_device(endpoint: str) -> Device:
    """Return the device that an endpoint's name means: ``onnx``, ``onnx:cuda``, ``onnx:tensorrt``, ``onnx:cuda:1``.

    Raises:
        UsageError: it is none of these; names the nearest.
    """
    if endpoint == "onnx":
        return Device()
    found = _NAME.fullmatch(endpoint)
    if found is None:
        message = f"no endpoint {endpoint!r}{nearest(endpoint, NAMES)}; it is {', '.join(NAMES)}, or `onnx:cuda:1`"
        raise UsageError(message)
    return Device("cuda" if found["kind"] == "cuda" else "tensorrt", int(found["number"] or 0))


def session_options(threads: int) -> "ort.SessionOptions":
    """Return options for evaluation: explicit threads, and memory that varied shapes cannot grow.

    The arena keeps the memory of each new (rows, width), and a plan has hundreds of shapes
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
    """ONNX Runtime in process, on the CPU or on a GPU.

    On a GPU, inputs and outputs are bound to its memory: one copy there and one back for each batch, and
    none between operators.
    """

    def __init__(
        self,
        graph: Path,
        *,
        threads: int | None = None,
        device: Device | None = None,
        calls: int = 1,
        max_tokens: int | None = None,
    ) -> None:
        """Load a graph.

        Args:
            graph: the ONNX file.
            threads: of each call on the CPU; all cores if not given.
            device: where it computes; the CPU if not given.
            calls: how many calls may be in flight; they share the weights.
            max_tokens: of the longest row that the graph takes; None where it is not known.

        Raises:
            EndpointError: it cannot be loaded, or not on that device.
        """
        self.concurrency = calls
        self._device = device or Device()
        _check_provider(self._device)
        try:
            self._session = ort.InferenceSession(
                str(graph),
                session_options(threads or cores()),
                providers=self._device.providers(),
                # Or it would open the graph on the CPU after all, and print that on stdout.
                enable_fallback=0,
            )
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            message = f"{graph} cannot be loaded by onnxruntime {ort.__version__} on {self._device.name}: {error}"
            raise EndpointError(message) from error
        self._check_device(graph)
        # ONNX Runtime reports dynamic axes by the names that the exporter gave them, so the graph's signature
        # can be compared with the head's.
        self.signature = GraphSignature(
            tuple(_spec(node) for node in self._session.get_inputs()),
            tuple(_spec(node) for node in self._session.get_outputs()),
        )
        self._outputs = [spec.name for spec in self.signature.outputs]
        where = "in process" if self._device.kind == "cpu" else f"in process, {self._device.name}, TF32 off"
        self.backend = f"onnxruntime {ort.__version__} ({where})"
        self.numerics = numerics.onnxruntime(self._device.kind)
        self._graph = graph
        self._max_tokens = max_tokens

    @classmethod
    def of(
        cls, artifact: Artifact, device: Device | None = None, *, threads: int | None = None, calls: int = 1
    ) -> "OnnxEndpoint":
        """Return an endpoint for an artifact's graph, on all cores of the CPU by default."""
        longest = artifact.manifest.max_tokens
        return cls(artifact.graph, threads=threads, device=device, calls=calls, max_tokens=longest)

    @classmethod
    def for_batches(cls, artifact: Artifact) -> "OnnxEndpoint":
        """Return an endpoint on the CPU for many batches, as in an evaluation: several calls at once.

        Threads of one call wait for each other at every operator. Two calls of one thread gave 1.07 to 1.15 times
        the rate of one call of two, at base width in fp32 over the lengths of Tatoeba, XNLI and XQuAD (2 cores).
        """
        calls = min(cores(), _CALLS)
        return cls.of(artifact, threads=max(1, cores() // calls), calls=calls)

    def _check_device(self, graph: Path) -> None:
        """Refuse a session that onnxruntime opened somewhere else: it leaves a provider that fails out of its list."""
        wanted = [name for name, _ in self._device.providers()]
        found = self._session.get_providers()
        if found[: len(wanted)] != wanted:
            message = (
                f"onnxruntime {ort.__version__} opened {graph} with {', '.join(found)} instead of "
                f"{', '.join(wanted)}; check the driver with `nvidia-smi`, and that the CUDA and cuDNN libraries are "
                f"those of `pip install 'onnxruntime-gpu[cuda,cudnn]'`"
            )
            raise EndpointError(message)

    def infer(self, inputs: Tensors) -> Tensors:
        """See `harness.inference.endpoints.Endpoint`."""
        for value in inputs.values():
            if problem := row_problem(value.shape, self._max_tokens):
                message = f"{self._graph} was given {problem}"
                raise EndpointError(message)
        try:
            answers = (
                self._bound(inputs) if self._device.kind != "cpu" else self._session.run(self._outputs, dict(inputs))
            )
        except Exception as error:
            shapes = {name: value.shape for name, value in inputs.items()}
            message = f"{self._graph} failed on inputs of shapes {shapes}: {error}"
            raise EndpointError(message) from error
        return dict(zip(self._outputs, answers, strict=True))

    def _bound(self, inputs: Tensors) -> list[Any]:
        """Return the outputs, after a run on the device's memory."""
        binding = self._session.io_binding()
        for name, value in inputs.items():
            moved = ort.OrtValue.ortvalue_from_numpy(
                np.ascontiguousarray(value), self._device.memory, self._device.number
            )
            binding.bind_ortvalue_input(name, moved)
        for name in self._outputs:
            binding.bind_output(name, self._device.memory, self._device.number)
        self._session.run_with_iobinding(binding)
        answers: list[Any] = binding.copy_outputs_to_cpu()
        return answers


def _check_provider(device: Device) -> None:
    """Refuse a device for which the installed onnxruntime has no provider, or whose rules the environment breaks.

    Raises:
        EndpointError: there is no such provider.
        UsageError: TensorRT would compute in TF32.
    """
    provider = PROVIDERS[device.kind]
    if provider not in ort.get_available_providers():
        message = (
            f"onnxruntime {ort.__version__} has no {provider}, so it cannot answer on {device.name}; "
            f"`pip uninstall onnxruntime` and install the extra gpu (`pip install 'xtreme-harness[gpu]'`)"
        )
        raise EndpointError(message)
    if device.kind == "cpu":
        return
    if device.kind == "tensorrt" and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0":
        message = (
            "TensorRT computes fp32 in TF32 unless the environment forbids it (onnxruntime#26029); "
            "set NVIDIA_TF32_OVERRIDE=0 and run again"
        )
        raise UsageError(message)
    # The libraries of NVIDIA's own wheels, which no linker finds; it has been there since 1.21.
    with contextlib.redirect_stdout(sys.stderr):
        ort.preload_dlls()
