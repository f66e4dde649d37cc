"""The text of a config.pbtxt, complete, so that Triton never has to guess (auto-complete is off)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.tensors import GraphSignature, TensorSpec

_TYPES = {"int64": "TYPE_INT64", "float32": "TYPE_FP32"}
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a graph is served. The defaults suit evaluation: the client sends whole planned batches."""

    #: Rows of the largest request; Triton refuses a larger one.
    max_batch_size: int = 256
    #: Stub processes, or sessions of the C++ backend. Each holds its own copy of the weights.
    instances: int = 1
    #: Of each instance. instances x threads should not exceed the cores: four or more times slower
    #: otherwise (onnxruntime_backend#34).
    threads: int
    #: 0: requests merge only while an instance is busy, so that a full batch never waits for company.
    queue_delay_us: int = 0
    max_queue_size: int = 512
    #: Ten minutes: a batch of 256 x 512 tokens takes minutes on a CPU, and the next one queues behind it.
    timeout_us: int = 600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """One row of real token ids that an instance answers before it is ready."""

    name: str
    tokens: int

    def file(self, spec: TensorSpec) -> str:
        """Return the name of the file under ``warmup/`` that holds one input, raw little-endian."""
        return f"{self.name}-{spec.name}"


def check_name(name: str) -> None:
    """Refuse a model name that Triton or a file system could misread.

    Raises:
        UsageError: the name has other characters than letters, digits, ``_``, ``.`` and ``-``.
    """
    if not _NAME.fullmatch(name) or set(name) == {"."}:
        message = f"{name!r} cannot name a served model; use letters, digits, '_', '.' and '-' only"
        raise UsageError(message)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _dims(spec: TensorSpec) -> str:
    if not spec.axes or spec.axes[0] != "rows":
        message = f"{spec.describe()} does not start with the axis rows, which max_batch_size > 0 implies"
        raise ValueError(message)
    return ", ".join("-1" if isinstance(axis, str) else str(axis) for axis in spec.axes[1:])


def _tensors(field: str, specs: Sequence[TensorSpec]) -> str:
    entries = [
        f"  {{ name: {_quoted(spec.name)} data_type: {_TYPES[spec.dtype]} dims: [ {_dims(spec)} ] }}" for spec in specs
    ]
    return f"{field} [\n" + ",\n".join(entries) + "\n]\n"


def _parameters(parameters: Mapping[str, str]) -> str:
    return "".join(
        f"parameters {{ key: {_quoted(key)} value: {{ string_value: {_quoted(value)} }} }}\n"
        for key, value in sorted(parameters.items())
    )


def _warm_up(warm_up: WarmUp, inputs: Sequence[TensorSpec]) -> str:
    lines = [
        f"    inputs {{ key: {_quoted(spec.name)} value: {{ data_type: {_TYPES[spec.dtype]} "
        f"dims: [ {warm_up.tokens} ] input_data_file: {_quoted(warm_up.file(spec))} }} }}\n"
        for spec in inputs
    ]
    return f"model_warmup [\n  {{ name: {_quoted(warm_up.name)} batch_size: 1\n{''.join(lines)}  }}\n]\n"


def _batching(serving: Serving) -> str:
    return (
        "dynamic_batching {\n"
        f"  max_queue_delay_microseconds: {serving.queue_delay_us}\n"
        "  default_queue_policy {\n"
        "    timeout_action: REJECT\n"
        f"    default_timeout_microseconds: {serving.timeout_us}\n"
        f"    max_queue_size: {serving.max_queue_size}\n"
        "  }\n"
        "}\n"
    )


def render_config(
    artifact_name: str,
    signature: GraphSignature,
    serving: Serving,
    *,
    parameters: Mapping[str, str],
    version: int,
    warmup: WarmUp,
) -> str:
    """Return the whole config.pbtxt of a served graph.

    Both backends named onnxruntime read it: the project's Python one and the C++ one of NVIDIA's
    container, which ignores the parameters it does not know.

    Args:
        artifact_name: the model's name, and its folder's.
        signature: inputs and outputs; their first axis must be ``rows``.
        serving: batching, instances and threads.
        parameters: the project's own, ``graph_sha256`` among them; the threads are added.
        version: the one version that is served.
        warmup: the request that each instance answers before it is ready.

    Raises:
        UsageError: the name has characters that a served model cannot have.
    """
    check_name(artifact_name)
    threading = {
        "intra_op_thread_count": str(serving.threads),
        "inter_op_thread_count": "1",
        # Every (rows, width) is a new shape; the pattern of each would be kept (onnxruntime_backend#102).
        "enable_mem_pattern": "0",
    }
    return (
        f"name: {_quoted(artifact_name)}\n"
        'backend: "onnxruntime"\n'
        f"max_batch_size: {serving.max_batch_size}\n"
        f"{_tensors('input', signature.inputs)}"
        f"{_tensors('output', signature.outputs)}"
        f"{_batching(serving)}"
        # Without a count, Triton starts two on a CPU for a backend of this name.
        f"instance_group [ {{ count: {serving.instances} kind: KIND_CPU }} ]\n"
        f"version_policy {{ specific {{ versions: [ {version} ] }} }}\n"
        f"{_parameters({**parameters, **threading})}"
        f"{_warm_up(warmup, signature.inputs)}"
    )
