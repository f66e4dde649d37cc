"""The text of a config.pbtxt, complete, so that Triton never has to guess (auto-complete is off).

A graph has two, since offline evaluation and online traffic want opposite things. `evaluation` is
config.pbtxt: the client sends whole planned batches and no two requests are ever merged, so a dynamic
int8 graph, whose outputs depend on the other rows of a batch, gives the same ones in a re-run.
`online` is configs/online.pbtxt, which ``--model-config-name=online`` chooses: small requests of any
length are merged, and refused when too many wait. Triton takes config.pbtxt without a message where the
other file is missing, so each config names its profile in a parameter.

For a GPU (`Serving.device`), both are for the C++ backend of NVIDIA's container alone: the project's own
one answers on the CPU. No machine with a GPU was at hand, so they have been read by Triton's own parser only.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.core.errors import UsageError
from harness.core.tensors import GraphSignature, TensorSpec
from harness.serving.repository.layout import Profile
from harness.text.declaration import TextDeclaration

#: Where the instances of a graph compute.
Device = Literal["cpu", "gpu"]
#: The parameter of a config that names its profile.
PROFILE = "profile"

_TYPES = {"int64": "TYPE_INT64", "float32": "TYPE_FP32"}
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a graph and its text model are served, in both profiles."""

    #: Rows of the largest request in the profile evaluation; Triton refuses a larger one.
    max_batch_size: int = 256
    #: The same in the profile online, and the rows of requests that are merged.
    online_batch_size: int = 64
    #: Stub processes, or sessions of the C++ backend. Each holds its own copy of the weights.
    instances: int = 1
    #: Stub processes of a text model, each with a tokenizer of its own. One has time enough: to read a sentence
    #: takes 0.05 ms, less than a hundredth of what a base graph takes for it. But Triton's batcher, where a queue
    #: has an end, looks for an idle instance only when a request comes or 500 ms have passed
    #: (dynamic_batch_scheduler.cc, default_wait_microseconds): if every client's request comes while the only
    #: instance still finishes its last batch, all of them wait that long. With two, one is idle by then.
    text_instances: int = 2
    #: Of each instance. instances x threads should not exceed the cores: four or more times slower
    #: otherwise (onnxruntime_backend#34).
    threads: int
    #: On gpu, there are so many instances on each card that Triton sees.
    device: Device = "cpu"
    #: Online, how long a request waits for others to be merged with.
    queue_delay_us: int = 2_000
    #: Online, how many requests wait at most; the next one is refused.
    max_queue_size: int = 512
    #: Online, how long a request waits at most: half a minute is longer than callers do.
    timeout_us: int = 30_000_000


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


def _entry(name: str, data_type: str, dims: str, *, ragged: bool = False) -> str:
    flag = " allow_ragged_batch: true" if ragged else ""
    return f"  {{ name: {_quoted(name)} data_type: {data_type} dims: [ {dims} ]{flag} }}"


def _list(field: str, entries: Sequence[str]) -> str:
    return f"{field} [\n" + ",\n".join(entries) + "\n]\n"


def _tensors(field: str, specs: Sequence[TensorSpec], *, ragged: bool = False) -> str:
    entries = [_entry(spec.name, _TYPES[spec.dtype], _dims(spec), ragged=ragged and spec.per_token) for spec in specs]
    return _list(field, entries)


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


def _instances(serving: Serving) -> str:
    # Without a count, Triton starts two on a CPU for a backend of this name.
    group = f"instance_group [ {{ count: {serving.instances} kind: KIND_{serving.device.upper()} }} ]\n"
    if serving.device == "cpu":
        return group
    # Or fp32 products are computed in TF32, with errors of 1e-3 that the gate on the CPU never saw (onnxruntime#19357).
    return group + (
        "optimization { execution_accelerators { gpu_execution_accelerator [\n"
        '  { name: "cuda" parameters { key: "use_tf32" value: "0" } }\n'
        "] } }\n"
    )


def render_config(
    artifact_name: str,
    signature: GraphSignature,
    serving: Serving,
    *,
    parameters: Mapping[str, str],
    version: int,
    warmup: WarmUp,
    profile: Profile = "evaluation",
    pad_id: int = 1,
) -> str:
    """Return the whole config.pbtxt of a served graph.

    Both backends named onnxruntime read the profile evaluation: the project's Python one and the C++
    one of NVIDIA's container, which ignores the parameters it does not know. Only the Python one
    reads the profile online: it takes requests of unequal length together, which the C++ one does for
    graphs of rank-1 inputs alone. For a GPU, where there is only the C++ one, requests merge that have
    the same length.

    Args:
        artifact_name: the model's name, and its folder's.
        signature: inputs and outputs; their first axis must be ``rows``.
        serving: batching, instances and threads.
        parameters: the project's own, ``graph_sha256`` among them; the threads are added.
        version: the one version that is served.
        warmup: the request that each instance answers before it is ready.
        profile: whom the config is for; see the module's docstring.
        pad_id: what fills up the shorter rows of merged requests; 1 is XLM-R's. They are masked.

    Raises:
        UsageError: the name has characters that a served model cannot have.
    """
    check_name(artifact_name)
    online = profile == "online"
    own = {
        PROFILE: profile,
        "intra_op_thread_count": str(serving.threads),
        "inter_op_thread_count": "1",
        # Every (rows, width) is a new shape; the pattern of each would be kept (onnxruntime_backend#102).
        "enable_mem_pattern": "0",
    }
    if serving.device == "gpu":
        # By what a shape needs, not to the next power of two each time (onnxruntime_backend#102). The C++ backend
        # takes this one from here: in the accelerator's block it is read, and then overwritten with its default.
        own["arena_extend_strategy"] = "1"
    if online:
        own["pad_id"] = str(pad_id)
    ragged = online and serving.device == "cpu"
    return (
        f"name: {_quoted(artifact_name)}\n"
        'backend: "onnxruntime"\n'
        f"max_batch_size: {serving.online_batch_size if online else serving.max_batch_size}\n"
        f"{_tensors('input', signature.inputs, ragged=ragged)}"
        f"{_tensors('output', signature.outputs)}"
        f"{_batching(serving) if online else ''}"
        f"{_instances(serving)}"
        f"version_policy {{ specific {{ versions: [ {version} ] }} }}\n"
        f"{_parameters({**parameters, **own})}"
        f"{_warm_up(warmup, signature.inputs)}"
    )


def render_text_config(
    name: str, declaration: TextDeclaration, serving: Serving, *, parameters: Mapping[str, str], version: int
) -> str:
    """Return the whole config.pbtxt of a text model, which is for online traffic in either profile of its graph.

    It has no warm-up: that would call the graph, which may not be loaded yet, and so fail the load.

    Args:
        name: the text model's name, and its folder's.
        declaration: which inputs it takes, and whether it answers with JSON or with a vector.
        serving: batching, queue and instances.
        parameters: the project's own, ``graph_sha256`` among them; what the backend needs is added.
        version: the one version that is served.

    Raises:
        UsageError: the name has characters that a served model cannot have.
    """
    check_name(name)
    form = declaration.form
    inputs = [
        _entry(field.name, "TYPE_STRING", "-1" if field.several else "1", ragged=field.several) for field in form.fields
    ]
    if form.vector:
        outputs = [
            *(_entry(spec.name, _TYPES[spec.dtype], _dims(spec)) for spec in declaration.signature.outputs),
            _entry("truncated", "TYPE_BOOL", "1"),
        ]
    else:
        outputs = [_entry("answer", "TYPE_STRING", "1")]
    own = {
        PROFILE: "online",
        "graph": declaration.graph,
        # What the graph takes at once in the profile online; it takes more in the other one.
        "graph_batch_size": str(serving.online_batch_size),
    }
    return (
        f"name: {_quoted(name)}\n"
        'backend: "text"\n'
        f"max_batch_size: {serving.online_batch_size}\n"
        f"{_list('input', inputs)}"
        f"{_list('output', outputs)}"
        f"{_batching(serving)}"
        f"instance_group [ {{ count: {serving.text_instances} kind: KIND_CPU }} ]\n"
        f"version_policy {{ specific {{ versions: [ {version} ] }} }}\n"
        f"{_parameters({**parameters, **own})}"
    )
