import dataclasses
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, UsageError
from harness.core.tensors import Tensors, pad
from harness.inference.endpoints import check_signature
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.endpoints.triton import Deadline, TritonEndpoint, parse_hosts
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from harness.serving.server.local import LocalTriton
from harness.serving.server.process import free_ports

KINDS = ["sequence", "choice", "token", "span", "embedding"]
#: Of float32: both run the same ONNX Runtime on the same graph, only in batches of other sizes.
TOLERANCE = 1e-6


def batch(rows: int, seed: int = 0, width: int = 12) -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(seed)
    lengths = [width, *numbers.integers(2, width + 1, rows - 1)]
    return pad([numbers.integers(3, 50, length) for length in lengths], pad_id=1)


def assert_equal(given: Tensors, expected: Tensors) -> None:
    assert list(given) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(given[name], value, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


def merged(host: str, name: str) -> tuple[int, int]:
    """Requests that were answered so far, and runs of the graph that took."""
    with InferenceServerClient(host) as client:
        (entry,) = client.get_inference_statistics(name).model_stats
        return entry.inference_stats.success.count, entry.execution_count


@pytest.mark.parametrize(
    ("uri", "hosts"),
    [
        ("triton://127.0.0.1:8001", ["127.0.0.1:8001"]),
        ("triton://a.example:8001,b:9001", ["a.example:8001", "b:9001"]),
        ("triton://[::1]:8001", ["[::1]:8001"]),
        ("tritons://a.example:8001,b:9001", ["a.example:8001", "b:9001"]),
    ],
)
def test_hosts_are_read_from_the_uri(uri: str, hosts: list[str]) -> None:
    assert parse_hosts(uri) == hosts


@pytest.mark.parametrize(
    "uri",
    [
        "http://a:8001",
        "tritonss://a:8001",
        "triton://",
        "tritons://",
        "triton://a",
        "triton://a:",
        "triton://a:99999",
        "triton://a:8001/model",
        "triton://a:8001,,b:1",
        "triton://a:8001,a:8001",
    ],
)
def test_uri_that_makes_no_sense_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="write triton://host:port"):
        parse_hosts(uri)


@pytest.mark.triton
@pytest.mark.parametrize("kind", KINDS)
def test_server_answers_as_the_graph_in_process(served, kind: str) -> None:
    graph = served.artifacts[kind]
    with TritonEndpoint(served.hosts, graph) as remote, OnnxEndpoint.of(graph) as here:
        assert_equal(remote.infer(batch(7)), here.infer(batch(7)))


@pytest.mark.triton
@pytest.mark.parametrize("kind", KINDS)
def test_signature_equals_the_artifacts(served, kind: str) -> None:
    with TritonEndpoint(served.hosts, served.artifacts[kind]) as endpoint:
        check_signature(endpoint, served.artifacts[kind])


@pytest.mark.triton
def test_backend_says_which_one_answers(served) -> None:
    with TritonEndpoint(served.hosts, served.artifacts["span"]) as endpoint:
        assert endpoint.backend == "onnxruntime (python backend) in Triton 2.51.0"
        assert endpoint.concurrency == 2


@pytest.mark.triton
def test_batch_larger_than_the_server_takes_goes_in_parts(served) -> None:
    graph = served.artifacts["token"]
    with TritonEndpoint(served.hosts, graph) as remote, OnnxEndpoint.of(graph) as here:
        assert_equal(remote.infer(batch(75)), here.infer(batch(75)))


@pytest.mark.triton
def test_requests_sent_together_are_answered_apart_in_the_profile_evaluation(served) -> None:
    graph = served.artifacts["span"]
    batches = [batch(2, seed, width=9 + seed % 2) for seed in range(8)]
    with TritonEndpoint(served.hosts, graph) as remote, OnnxEndpoint.of(graph) as here, ThreadPoolExecutor(8) as pool:
        before = merged(served.hosts[0], graph.name)
        answers = list(pool.map(remote.infer, batches))
        requests, runs = np.subtract(merged(served.hosts[0], graph.name), before)
        for each, answer in zip(batches, answers, strict=True):
            assert_equal(answer, here.infer(each))
    assert (requests, runs) == (8, 8)


@pytest.mark.triton
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("bounded", "input_ids from 3 to 999, its vocabulary has 0 to 49"), ("embedding", "ONNX Runtime refuses")],
)
def test_bad_ids_fail_alone(served, kind: str, reason: str) -> None:
    graph = served.artifacts[kind]
    good = [batch(1, seed) for seed in range(4)]
    bad = {**batch(1), "input_ids": np.array([[3, 999] + [4] * 10])}
    with TritonEndpoint(served.hosts, graph) as remote, OnnxEndpoint.of(graph) as here, ThreadPoolExecutor(5) as pool:
        failing = pool.submit(remote.infer, bad)
        answers = list(pool.map(remote.infer, good))
        with pytest.raises(EndpointError, match=f"model '{graph.name}' was sent .*{reason}"):
            failing.result()
        for each, answer in zip(good, answers, strict=True):
            assert_equal(answer, here.infer(each))
        assert remote.failures == {}


@pytest.mark.triton
@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"input_ids": np.ones((1, 2), np.int64)}, "takes input_ids, attention_mask, it was given input_ids"),
        ({"input_ids": np.ones((1, 2)), "attention_mask": np.ones((1, 2), np.int64)}, "takes int64.* given float64"),
        ({"input_ids": np.ones((1, 2), np.int64), "attention_mask": np.ones((1, 3), np.int64)}, "must be equal"),
        # Triton's Python backend would drop it without a word, and this client would wait for 15 minutes.
        (
            {name: np.ones((0, 0), np.int64) for name in ("input_ids", "attention_mask")},
            r"inputs of shape \(0, 0\); give at least one row of at least one token",
        ),
        ({name: np.ones((0, 5), np.int64) for name in ("input_ids", "attention_mask")}, r"inputs of shape \(0, 5\); "),
        ({name: np.ones((3, 0), np.int64) for name in ("input_ids", "attention_mask")}, r"inputs of shape \(3, 0\); "),
    ],
    ids=["missing", "type", "shape", "faults: ids (0, 0)", "faults: no row", "faults: no token"],
)
def test_inputs_of_another_kind_are_named(served, inputs: Tensors, reason: str) -> None:
    with (
        TritonEndpoint(served.hosts, served.artifacts["choice"]) as endpoint,
        pytest.raises(EndpointError, match=reason),
    ):
        endpoint.infer(inputs)


@pytest.mark.triton
def test_another_graph_under_the_same_name_is_refused(served) -> None:
    choice = served.artifacts["choice"]
    other = dataclasses.replace(choice, manifest=msgspec.structs.replace(choice.manifest, graph_sha256="ab" * 32))
    with pytest.raises(EndpointError, match=r"from another graph \(sha256 .*, the artifact has abababababab\)"):
        TritonEndpoint(served.hosts, other)


@pytest.mark.triton
def test_unknown_model_is_refused_with_what_is_served(served) -> None:
    choice = served.artifacts["choice"]
    other = dataclasses.replace(choice, manifest=msgspec.structs.replace(choice.manifest, model="large"))
    with pytest.raises(EndpointError, match=r"has no model 'large-choice-fp32' .*it serves bounded-.*harness export"):
        TritonEndpoint(served.hosts, other)


def test_server_that_is_down_is_named_with_the_command(artifact: Callable[..., Artifact]) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    with pytest.raises(EndpointError, match=f"no Triton answers at 127.0.0.1:{port} .*`harness serve`"):
        TritonEndpoint([f"127.0.0.1:{port}"], artifact())


@pytest.mark.triton
def test_host_that_fails_is_named_and_its_batches_go_to_another(
    served, tmp_path: Path, caplog: pytest.LogCaptureFixture, probe: list[int]
) -> None:
    graph = served.artifacts["sequence"]
    publish(graph, tmp_path / "repository", Serving(threads=1), probe_ids=probe)
    with (
        caplog.at_level(logging.WARNING),
        LocalTriton(tmp_path / "repository", [graph.name], log=tmp_path / "log") as second,
    ):
        address = f"127.0.0.1:{second.grpc_port}"
        with (
            TritonEndpoint([address, *served.hosts], graph) as both,
            TritonEndpoint([address], graph) as alone,
            OnnxEndpoint.of(graph) as here,
        ):
            assert both.concurrency == 4
            assert_equal(both.infer(batch(3)), here.infer(batch(3)))
            second.stop()
            for seed in range(4):
                assert_equal(both.infer(batch(3, seed)), here.infer(batch(3, seed)))
            assert list(both.failures) == [address]
            assert f"Triton at {address} fails and gets no more batches" in caplog.text
            with pytest.raises(EndpointError, match=f"no host is left that answers for '{graph.name}' .{address}"):
                alone.infer(batch(3))


def test_deadline_follows_the_slowest_answer() -> None:
    deadline = Deadline(900.0)
    assert deadline.of(4_096) == 900.0
    for seconds in (1.0, 4.0, 2.0):
        deadline.answered(4_096, seconds)
    assert deadline.of(4_096) == pytest.approx(120.0)
    assert deadline.of(64) == 60.0
    assert deadline.of(4_096_000) == 900.0
