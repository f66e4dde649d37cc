import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, UsageError
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from harness.serving.server import local
from harness.serving.server.local import LocalTriton

pytestmark = pytest.mark.triton

ROOT = Path(__file__).parents[3]
Make = Callable[..., Artifact]
Members = Callable[[int], dict[int, str]]

CHILD = """
import sys, time
from pathlib import Path
from harness.serving.server import local

def spawn(*arguments):
    process = start(*arguments)
    print(process.pid, flush=True)
    return process

start, local.spawn = local.spawn, spawn
with local.LocalTriton(Path(sys.argv[1]), [sys.argv[2]], log=Path(sys.argv[3])) as server:
    print("ready", flush=True)
    time.sleep(60)
"""
MODEL = "tiny-embedding-fp32"


def remaining(members: Members, session: int, seconds: float) -> dict[int, str]:
    """Processes of a session that are still there after so many seconds."""
    limit = time.monotonic() + seconds
    while members(session) and time.monotonic() < limit:
        time.sleep(0.05)
    return members(session)


def leftovers() -> set[str]:
    return {
        name for folder in ("/dev/shm", "/tmp") for name in os.listdir(folder) if name.startswith("harness-triton-")
    }


@pytest.fixture
def repository(artifact: Make, probe: list[int], tmp_path: Path) -> Path:
    publish(artifact(), tmp_path / "repository", Serving(threads=1), probe_ids=probe)
    return tmp_path / "repository"


def test_every_model_is_ready_with_its_known_answer(served) -> None:
    for graph in served.artifacts.values():
        served.server.check(graph.name)


def test_nothing_is_left_after_an_exception(repository: Path, tmp_path: Path, session_members: Members) -> None:
    before, states, sessions = leftovers(), [], []

    def client() -> None:
        with LocalTriton(repository, [MODEL], log=tmp_path / "log", progress=lambda *event: states.append(event)) as it:
            sessions.append(it.pid)
            assert len(session_members(it.pid)) == 3  # supervisor, server, stub
            message = "the client fails"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="the client fails"):
        client()
    assert session_members(sessions[0]) == {}
    assert leftovers() <= before
    assert states == [(MODEL, state) for state in ("loading", "loaded", "ready")]


def test_nothing_is_left_after_ctrl_c_while_models_load(
    repository: Path, tmp_path: Path, session_members: Members
) -> None:
    before, sessions = leftovers(), []

    def interrupt(_model: str, state: str) -> None:
        if state == "loaded":
            sessions.append(server.pid)
            raise KeyboardInterrupt

    server = LocalTriton(repository, [MODEL], log=tmp_path / "log", progress=interrupt)
    with pytest.raises(KeyboardInterrupt), server:
        pytest.fail("the server started")
    assert session_members(sessions[0]) == {}
    assert leftovers() <= before


@pytest.mark.parametrize("wait", ["until ready", 0.15, 0.3])
def test_nothing_is_left_after_kill_9_of_the_parent(
    repository: Path, tmp_path: Path, session_members: Members, wait: str | float
) -> None:
    before = leftovers()
    command = [sys.executable, "-c", CHILD, repository, MODEL, tmp_path / "log"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        session = int(child.stdout.readline())
        if isinstance(wait, float):
            time.sleep(wait)  # into the loading of the model: Triton then leaves its stub behind
        else:
            assert child.stdout.readline() == "ready\n"
        assert session_members(session)
        child.kill()
    assert remaining(session_members, session, 10) == {}
    assert leftovers() <= before


def test_dead_stub_is_noticed_and_a_killed_server_leaves_nothing(
    repository: Path, tmp_path: Path, session_members: Members
) -> None:
    before = leftovers()
    with LocalTriton(repository, [MODEL], log=tmp_path / "log") as server:
        session = server.pid
        numbers = {program: number for number, program in session_members(session).items()}
        os.kill(numbers["triton_python_backend_stub"], signal.SIGKILL)
        with pytest.raises(EndpointError, match=f"{MODEL!r} is loaded but fails its known question"):
            server.check(MODEL)
        os.kill(numbers["tritonserver"], signal.SIGKILL)
        with pytest.raises(EndpointError, match=r"stopped by itself \(exit status 137\)"):
            server.wait()
    assert session_members(session) == {}
    assert leftovers() <= before


def test_ctrl_c_during_the_stop_kills_at_once(repository: Path, tmp_path: Path, session_members: Members) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = leftovers()
    with LocalTriton(repository, [MODEL], log=tmp_path / "log") as server:
        session = server.pid
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            server.stop()
    assert time.monotonic() - started < 1.5  # an orderly stop takes three seconds
    assert session_members(session) == {}
    assert leftovers() <= before


def test_wrong_known_answer_stops_the_start(repository: Path, tmp_path: Path, session_members: Members) -> None:
    path = repository / MODEL / "1" / "known_answer.json"
    answer = json.loads(path.read_text())
    answer["outputs"]["embedding"][0][3] += 0.5
    path.write_text(json.dumps(answer))
    server = LocalTriton(repository, [MODEL], log=tmp_path / "log")
    with pytest.raises(EndpointError, match=r"answers wrongly: output 'embedding' differs by 0\.5 "), server:
        pytest.fail("the server started")


def test_graph_that_does_not_load_is_named_with_the_reason(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / MODEL, repository / "broken")
    config = repository / "broken" / "config.pbtxt"
    config.write_text(config.read_text().replace(MODEL, "broken"))
    (repository / "broken" / "1" / "model.onnx").write_bytes(b"no graph")
    server = LocalTriton(repository, ["broken"], log=tmp_path / "log")
    with pytest.raises(EndpointError, match=r"did not start: .*'broken'.*model\.onnx.*; the whole log is"), server:
        pytest.fail("the server started")


def test_graph_in_two_files_is_served(
    artifact: Make, apart: Callable[[Artifact], Artifact], probe: list[int], tmp_path: Path
) -> None:
    """What the server answers is held against the known answer while it starts."""
    graph, repository = apart(artifact("span")), tmp_path / "repository"
    publish(graph, repository, Serving(threads=1), probe_ids=probe)
    assert (repository / graph.name / "1" / "model.onnx.data").is_file()
    with LocalTriton(repository, [graph.name], log=tmp_path / "log") as server:
        assert server.served_versions(graph.name) == [1]


def test_unknown_model_is_refused_with_the_nearest(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'tiny-embedding-fp32'"):
        LocalTriton(repository, ["tiny-embeding-fp32"], log=tmp_path / "log")


def test_port_that_is_taken_is_named(served, tmp_path: Path) -> None:
    taken = served.server.grpc_port
    server = LocalTriton(served.repository, ["tiny-span-fp32"], grpc_port=taken, log=tmp_path / "log")
    with pytest.raises(EndpointError, match=f"127.0.0.1:{taken} is taken .* --grpc-port"), server:
        pytest.fail("the server started")


def test_lost_port_is_replaced(served, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [[served.server.http_port, *local.free_ports("127.0.0.1", 2)]]
    free_ports = local.free_ports
    monkeypatch.setattr(local, "free_ports", lambda host, count: chosen.pop() if chosen else free_ports(host, count))
    with LocalTriton(repository, [MODEL], log=tmp_path / "log") as server:
        assert server.http_port != served.server.http_port


def test_start_outside_the_main_thread_is_refused(repository: Path, tmp_path: Path) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            with LocalTriton(repository, [MODEL], log=tmp_path / "log"):
                pass
        except ValueError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])
