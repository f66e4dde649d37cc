import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from callable_endpoint import CallableEndpoint

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, UsageError
from harness.core.progress import Advance, Silent
from harness.core.tensors import pad
from harness.evaluation.connection import Connection, connection
from harness.inference.endpoints import Endpoint
from harness.inference.endpoints.tls import ROOT
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from harness.serving.server import local

Make = Callable[..., Artifact]


@pytest.mark.parametrize(
    ("endpoint", "hint"),
    [("onx", ", did you mean 'onnx'"), ("http://a:8000", ""), ("triton:/localhost:8001", ", did you mean 'triton://")],
)
def test_endpoint_of_another_kind_is_refused(endpoint: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no endpoint '{endpoint}'{hint}.*it is `onnx`, .*`triton.s.://host:port"):
        connection(endpoint, [], tmp_path, Silent()).__enter__()


@pytest.mark.parametrize("endpoint", ["triton://a:8001,b:8001", "tritons://a:8001"])
def test_running_server_is_named_as_it_was_given(endpoint: str, tmp_path: Path) -> None:
    with connection(endpoint, [], tmp_path, Silent()) as found:
        assert (found.name, found.remote) == (endpoint, True)


def test_root_that_cannot_be_read_is_told_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ROOT, str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match=r"HARNESS_TLS_ROOT, \S+none.pem cannot be read"):
        connection("tritons://a:8001", [], tmp_path, Silent()).__enter__()
    with connection("triton://a:8001", [], tmp_path, Silent()) as found:
        assert found.remote


# A server of our own


class Steps(Silent):
    def __init__(self) -> None:
        self.shown: list[str] = []

    @contextmanager
    def step(self, description: str, total: int, unit: str) -> Iterator[Advance]:
        self.shown.append(description)
        yield lambda _: None


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[local.LocalTriton]:
    """Every server that is started."""
    started: list[local.LocalTriton] = []

    class Noted(local.LocalTriton):
        def __enter__(self) -> "Noted":
            started.append(self)
            return super().__enter__()

    monkeypatch.setattr(local, "LocalTriton", Noted)
    return started


@pytest.fixture
def graphs(artifact: Make, probe: list[int], tmp_path: Path) -> dict[str, Artifact]:
    """Published graphs, by kind of head."""
    found = {kind: artifact(kind) for kind in ("embedding", "sequence", "token")}
    for each in found.values():
        publish(each, tmp_path / "repository", Serving(threads=1), probe_ids=probe)
    return found


def test_nothing_starts_where_nothing_is_asked(
    graphs: dict[str, Artifact], servers: list[local.LocalTriton], tmp_path: Path
) -> None:
    steps = Steps()
    with connection(None, list(graphs.values()), tmp_path / "repository", steps) as found:
        assert (found.name, found.remote) == ("triton (local)", False)
    assert servers == []
    assert steps.shown == []
    assert not (tmp_path / "runs").exists()


def test_graph_that_is_not_published_is_refused_before_anything_starts(
    graphs: dict[str, Artifact], artifact: Make, servers: list[local.LocalTriton], tmp_path: Path
) -> None:
    missing = artifact("span")
    with pytest.raises(UsageError, match=f"model '{missing.name}' is not published in .* `harness export"):
        connection(None, [*graphs.values(), missing], tmp_path / "repository", Silent()).__enter__()
    assert servers == []


@pytest.mark.parametrize("endpoint", ["onnx", "triton://a:8001"])
def test_other_kinds_have_nothing_to_begin(endpoint: str, tmp_path: Path) -> None:
    with connection(endpoint, [], tmp_path, Silent()) as found:
        found.begin()


def processes(server: local.LocalTriton, graphs: dict[str, Artifact]) -> dict[str, int]:
    """How many backend processes each graph has."""
    return {kind: len(server.members(graph.name)) for kind, graph in graphs.items()}


@pytest.mark.triton
def test_only_graphs_that_are_open_are_loaded(
    graphs: dict[str, Artifact], servers: list[local.LocalTriton], tmp_path: Path
) -> None:
    """One after the other, as an evaluation of two models; then the next while one answers."""
    steps = Steps()
    embedding, sequence, token = graphs.values()
    batch = dict(pad([[5, 6], [7]], pad_id=1))
    with connection(None, list(graphs.values()), tmp_path / "repository", steps) as found:
        found.begin()
        (server,) = servers
        for graph in (embedding, sequence, embedding):
            with found.open(graph) as endpoint:
                assert server.models == [graph.name]
                assert [kind for kind, count in processes(server, graphs).items() if count] == [graph.finetune]
                first = endpoint.infer(batch)
        with found.open(embedding) as endpoint, ThreadPoolExecutor(1) as background:
            following = background.submit(found.open, token)
            again = endpoint.infer(batch)
            following.result()
            assert sorted(server.models) == sorted((embedding.name, token.name))
        assert all(np.array_equal(first[name], again[name]) for name in first)
        with found.open(sequence):
            assert sorted(server.models) == sorted((sequence.name, token.name))
            assert processes(server, graphs) == {"embedding": 0, "sequence": 1, "token": 1}
        following.result().close()
        assert servers == [server]
    assert server._process is None
    assert steps.shown[0] == "starting Triton"
    assert steps.shown[-1] == "stopping Triton"
    # What loads in the background shows no step: the main thread has its own.
    assert f"loading {sequence.name}" in steps.shown
    assert f"loading {token.name}" not in steps.shown
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.triton
def test_memory_of_a_graph_comes_back_when_its_endpoint_is_closed(
    artifact: Make, probe: list[int], servers: list[local.LocalTriton], tmp_path: Path
) -> None:
    graph = artifact("embedding")
    publish(graph, tmp_path / "repository", Serving(threads=1), probe_ids=probe)

    def resident() -> int:
        members = local.members(servers[0].pid)
        status = [Path(f"/proc/{member.pid}/status").read_text() for member in members]
        return sum(int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) for text in status)

    with connection(None, [graph], tmp_path / "repository", Silent()) as found:
        with found.open(graph):
            loaded = resident()
            stub = servers[0].members(graph.name)[0].pid
            held = int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{stub}/status").read_text())[1])
        servers[0].wait_until_gone(graph.name, 10)
        # Nine tenths: the server keeps a little of what loading took.
        assert resident() < loaded - 0.9 * held
    assert held > 10_000


@pytest.mark.triton
def test_graph_that_does_not_load_is_named_and_the_log_kept(graphs: dict[str, Artifact], tmp_path: Path) -> None:
    graph = graphs["token"]
    config = tmp_path / "repository" / graph.name / "config.pbtxt"
    config.write_text(config.read_text().replace('key: "intra_op_thread_count"', 'key: "another"'))
    with (
        pytest.raises(EndpointError, match=f"model '{graph.name}': .*lacks intra_op_thread_count.*; the whole log is"),
        connection(None, list(graphs.values()), tmp_path / "repository", Silent()) as found,
    ):
        found.open(graph)
    assert len(list((tmp_path / "runs").iterdir())) == 1


@pytest.mark.triton
def test_ctrl_c_while_a_graph_loads_leaves_no_process(
    graphs: dict[str, Artifact],
    servers: list[local.LocalTriton],
    tmp_path: Path,
    session_members: Callable[[int], dict[int, str]],
) -> None:
    sessions: list[int] = []
    waiting: list[Future[Endpoint]] = []

    def interrupted(found: Connection) -> None:
        found.begin()
        sessions.append(servers[0].pid)
        waiting.append(background.submit(found.open, graphs["token"]))
        raise KeyboardInterrupt

    with (
        ThreadPoolExecutor(1) as background,
        pytest.raises(KeyboardInterrupt),
        connection(None, list(graphs.values()), tmp_path / "repository", Silent()) as found,
    ):
        interrupted(found)
    assert isinstance(waiting[0].exception(), EndpointError)
    assert session_members(sessions[0]) == {}


class Hosts:
    """Servers by their addresses, in the place of Triton's client: which of them are down."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.opened: list[tuple[str, ...]] = []

    def __call__(self, hosts: Sequence[str], artifact: Artifact, *, tls: object = None) -> CallableEndpoint:
        if gone := self.down & set(hosts):
            message = f"no Triton answers at {', '.join(gone)}"
            raise EndpointError(message)
        self.opened.append(tuple(hosts))
        return CallableEndpoint(artifact.signature, lambda inputs: {})


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch, graph_of, tmp_path: Path) -> tuple[Hosts, Artifact, list[str]]:
    hosts = Hosts()
    monkeypatch.setattr("harness.inference.endpoints.triton.TritonEndpoint", hosts)
    monkeypatch.setattr("harness.evaluation.connection.check_answer", lambda *_: None)
    return hosts, graph_of("mnli"), []


class Said(Silent):
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_host_that_dies_is_left_out_and_comes_back(remote, tmp_path: Path) -> None:
    hosts, graph, said = remote
    with connection("triton://a:8001,b:8001", [graph], tmp_path, Said(said)) as opened:
        opened.open(graph).close()
        hosts.down = {"b:8001"}
        opened.open(graph).close()
        opened.open(graph).close()
        hosts.down = set()
        opened.open(graph).close()
    both, one, other = ("a:8001", "b:8001"), ("a:8001",), ("b:8001",)
    assert hosts.opened == [one, other, both, one, one, one, one, one, other, both]
    assert said == [
        "b:8001 is left out, the other hosts take its batches: no Triton answers at b:8001",
        "b:8001 answers again",
    ]


def test_host_that_was_never_right_ends_the_run(remote, tmp_path: Path) -> None:
    hosts, graph, said = remote
    hosts.down = {"b:8001"}
    refused = pytest.raises(EndpointError, match="no Triton answers at b:8001")
    with connection("triton://a:8001,b:8001", [graph], tmp_path, Said(said)) as opened, refused:
        opened.open(graph)
    assert said == []


def test_run_ends_where_all_hosts_are_gone(remote, tmp_path: Path) -> None:
    hosts, graph, said = remote
    with connection("triton://a:8001,b:8001", [graph], tmp_path, Said(said)) as opened:
        opened.open(graph).close()
        hosts.down = {"a:8001", "b:8001"}
        with pytest.raises(EndpointError, match="no Triton answers at b:8001"):
            opened.open(graph)
