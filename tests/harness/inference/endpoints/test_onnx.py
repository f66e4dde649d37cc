import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, UsageError
from harness.core.tensors import pad
from harness.inference.endpoints import onnx
from harness.inference.endpoints.onnx import PROVIDERS, Device, OnnxEndpoint, parse_device

INPUTS = {"input_ids": np.array([[0, 5, 2], [0, 2, 1]]), "attention_mask": np.array([[1, 1, 1], [1, 1, 0]])}


class Session:
    """What onnxruntime gives on a machine with a GPU, as far as an endpoint looks at it before it infers."""

    opened: list[dict[str, Any]]

    def __init__(self, graph: str, options: object, **settings: Any) -> None:
        self.opened.append(settings)

    def get_inputs(self) -> list[Any]:
        return []

    get_outputs = get_inputs

    def get_providers(self) -> list[str]:
        return [*(name for name, _ in self.opened[-1]["providers"]), PROVIDERS["cpu"]]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Pretend that onnxruntime has every provider, and return with what each session is opened."""
    Session.opened = []
    monkeypatch.setattr(onnx.ort, "InferenceSession", Session)
    monkeypatch.setattr(onnx.ort, "get_available_providers", lambda: list(PROVIDERS.values()))
    monkeypatch.setattr(onnx.ort, "preload_dlls", lambda: sys.stdout.write("a library is missing\n"))
    return Session.opened


@pytest.mark.parametrize(
    ("endpoint", "device"),
    [
        ("onnx", Device()),
        ("onnx:cuda", Device("cuda")),
        ("onnx:cuda:1", Device("cuda", 1)),
        ("onnx:tensorrt:12", Device("tensorrt", 12)),
    ],
)
def test_names_mean_devices(endpoint: str, device: Device) -> None:
    assert parse_device(endpoint) == device


@pytest.mark.parametrize(
    "endpoint", ["onnx:", "onnx:cdua", "onnx:cuda:", "onnx:cuda:x", "onnx:cuda:-1", "onnx:cpu", "cuda"]
)
def test_other_names_are_refused(endpoint: str) -> None:
    with pytest.raises(
        UsageError, match=f"no endpoint '{endpoint}'.* it is onnx, onnx:cuda, onnx:tensorrt, or `onnx:cuda:1`"
    ):
        parse_device(endpoint)


def test_without_a_device_the_cpu_answers(artifact: Callable[..., Artifact]) -> None:
    with OnnxEndpoint.of(artifact()) as endpoint:
        assert endpoint.backend.endswith("(in process)")
        assert endpoint.infer(INPUTS)["embedding"].shape[0] == 2


@pytest.mark.parametrize("form", ["embedding", "token", "span"])
def test_bound_memory_gives_the_same_answers(artifact: Callable[..., Artifact], form: str) -> None:
    with OnnxEndpoint.of(artifact(form)) as endpoint:
        right = endpoint.infer(INPUTS)
        # Tensors need not be contiguous.
        turned = {name: np.asfortranarray(value) for name, value in INPUTS.items()}
        bound = endpoint._bound(turned)
    assert len(bound) == len(right)
    for given, expected in zip(bound, right.values(), strict=True):
        np.testing.assert_array_equal(given, expected)


@pytest.mark.skipif("CUDAExecutionProvider" in onnx.ort.get_available_providers(), reason="onnxruntime-gpu is here")
@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
def test_provider_that_is_not_installed_is_refused(artifact: Callable[..., Artifact], kind: onnx.Kind) -> None:
    with pytest.raises(EndpointError, match=rf"has no {PROVIDERS[kind]}, so it cannot answer on {kind}:0; .*\[gpu\]"):
        OnnxEndpoint.of(artifact(), Device(kind))


def test_cuda_is_opened_without_tf32_on_its_card(opened: list[dict[str, Any]], capfd) -> None:
    endpoint = OnnxEndpoint(Path("graph"), device=Device("cuda", 1))
    ((provider, options),) = opened[0]["providers"]
    assert (provider, options["device_id"], options["use_tf32"]) == ("CUDAExecutionProvider", "1", "0")
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert opened[0]["enable_fallback"] == 0
    assert endpoint.backend.endswith("(in process, cuda:1, TF32 off)")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "a library is missing\n")


def test_tensorrt_leaves_the_rest_to_cuda_and_nothing_in_tf32(
    opened: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    with pytest.raises(UsageError, match="set NVIDIA_TF32_OVERRIDE=0"):
        OnnxEndpoint(Path("graph"), device=Device("tensorrt"))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    OnnxEndpoint(Path("graph"), device=Device("tensorrt"))
    (first, second) = opened[0]["providers"]
    assert first == ("TensorrtExecutionProvider", {"device_id": "0"})
    assert (second[0], second[1]["use_tf32"]) == ("CUDAExecutionProvider", "0")


@pytest.mark.parametrize(
    ("kind", "found"),
    [("cuda", []), ("tensorrt", ["CUDAExecutionProvider"]), ("tensorrt", [])],
)
def test_silent_fallback_is_refused(
    opened: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, kind: onnx.Kind, found: list[str]
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setattr(Session, "get_providers", lambda _: [*found, "CPUExecutionProvider"])
    with pytest.raises(EndpointError, match=f"opened graph with .*CPUExecutionProvider instead of {PROVIDERS[kind]}"):
        OnnxEndpoint(Path("graph"), device=Device(kind))


def test_graph_that_is_none_is_told_with_its_device(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(EndpointError, match=r"model.onnx cannot be loaded by onnxruntime \S+ on cpu"):
        OnnxEndpoint(tmp_path / "model.onnx")


def test_calls_at_once_share_the_graph_and_answer_as_one_does(artifact) -> None:
    from concurrent.futures import ThreadPoolExecutor

    made = artifact("embedding")
    rng = np.random.default_rng(0)
    batches = [pad([rng.integers(4, 40, size=size) for size in (3, 9, width)], 1) for width in range(10, 26)]
    with OnnxEndpoint.of(made) as one, OnnxEndpoint.for_batches(made) as several:
        assert one.concurrency == 1
        assert 1 <= several.concurrency <= 4
        with ThreadPoolExecutor(4) as pool:
            given = list(pool.map(several.infer, batches))
        for batch, answers in zip(batches, given, strict=True):
            np.testing.assert_allclose(answers["embedding"], one.infer(batch)["embedding"], atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (3, 0), (7,)], ids=str)
def test_faults_ids_without_rows_or_tokens_are_refused(
    artifact: Callable[..., Artifact], shape: tuple[int, ...]
) -> None:
    """faults.md, edges: ids of shape (0, 0)."""
    inputs = {name: np.ones(shape, dtype=np.int64) for name in INPUTS}
    with (
        OnnxEndpoint.of(artifact()) as endpoint,
        pytest.raises(EndpointError, match=rf"was given inputs of shape {re.escape(str(shape))}; give at least one"),
    ):
        endpoint.infer(inputs)


def test_faults_a_graphs_limit_is_given_in_tokens(artifact: Callable[..., Artifact]) -> None:
    """faults.md, edges: onnxruntime alone speaks of indices of a Gather node."""
    found = artifact()
    limited = replace(found, manifest=msgspec.structs.replace(found.manifest, max_tokens=512))
    inputs = {name: np.ones((2, 700), dtype=np.int64) for name in INPUTS}
    with (
        OnnxEndpoint.of(limited) as endpoint,
        pytest.raises(EndpointError, match="was given rows of 700 tokens, and this graph takes at most 512 tokens"),
    ):
        endpoint.infer(inputs)
    with OnnxEndpoint.of(limited) as endpoint:
        assert endpoint.infer({name: value[:, :512] for name, value in inputs.items()})
