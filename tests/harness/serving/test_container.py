import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, UsageError
from harness.inference.endpoints.triton import TritonEndpoint
from harness.serving.access import CERTIFICATE, HEADER, HTTP, KEY_FILE, MAX_BYTES, PRIVATE_KEY
from harness.serving.container import launch as container
from harness.serving.container.launch import HOST, MODELS, PROFILE, REPOSITORY, command
from harness.serving.container.probe import main, probe
from harness.serving.container.probe import probe as ask_all  # beside the fixture of that name
from harness.serving.repository.config import Serving
from harness.serving.repository.known_answer import FILE
from harness.serving.repository.store import publish
from harness.serving.server.process import free_ports, spawn, stop
from harness.serving.server.wheel import build_runtime, environment, find_wheel

ROOT = Path(__file__).parents[3]
KEY = "a-key_of-20-letters-"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two models of which one has profiles, and files that are no models."""
    for name, profiles in (("tiny-mnli-fp32", ("online",)), ("tiny-mnli-fp32_text", ())):
        (tmp_path / name / "configs").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").touch()
        for profile in profiles:
            (tmp_path / name / "configs" / f"{profile}.pbtxt").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / ".half-published").mkdir()
    return tmp_path


def test_command_serves_every_model_on_loopback_with_the_control_api_closed(repository: Path) -> None:
    line = command({REPOSITORY: str(repository)}, [])
    assert line[0] == "tritonserver"
    assert [option for option in line if option.startswith("--load-model")] == [
        "--load-model=tiny-mnli-fp32",
        "--load-model=tiny-mnli-fp32_text",
    ]
    assert {f"--{service}-address=127.0.0.1" for service in ("http", "grpc", "metrics")} <= set(line)
    assert {"--model-control-mode=explicit", "--disable-auto-complete-config", "--strict-readiness=true"} <= set(line)
    assert [option for option in line if re.match("--(http|grpc)-restricted", option)]
    assert not [option for option in line if "config-name" in option or "max-input-size" in option]


def test_settings_and_arguments_are_passed_on(repository: Path, tmp_path: Path) -> None:
    for name in ("key", "tls.crt", "tls.key"):
        (tmp_path / name).write_text(KEY if name == "key" else "-----BEGIN X-----")
    variables = {
        REPOSITORY: str(repository),
        HOST: "0.0.0.0",
        MODELS: " tiny-mnli-fp32, tiny-mnli-fp32 ",
        PROFILE: "online",
        MAX_BYTES: "1048576",
        KEY_FILE: str(tmp_path / "key"),
        CERTIFICATE: str(tmp_path / "tls.crt"),
        PRIVATE_KEY: str(tmp_path / "tls.key"),
    }
    line = command(variables, ["--log-verbose=1"])
    assert f"--http-restricted-api=model-repository,shared-memory,trace,logging:{HEADER}={KEY}" in line
    assert {"--model-config-name=online", "--http-max-input-size=1048576", "--grpc-use-ssl=true"} <= set(line)
    # The last one of an option is the one that counts.
    assert [option for option in line if option.startswith("--http-address")][-1] == "--http-address=127.0.0.1"
    assert line[-2:] == ["--load-model=tiny-mnli-fp32", "--log-verbose=1"]


@pytest.mark.parametrize(("setting", "address"), [({}, "127.0.0.1"), ({HTTP: "open"}, "0.0.0.0")])
def test_http_listens_beyond_the_container_only_where_asked(
    repository: Path, setting: dict[str, str], address: str
) -> None:
    line = command({REPOSITORY: str(repository), HOST: "0.0.0.0", **setting}, [])
    last = {
        service: [option for option in line if option.startswith(f"--{service}-address")][-1]
        for service in ("http", "grpc", "metrics")
    }
    # The probe asks 127.0.0.1, where HTTP listens either way.
    assert last["http"] == f"--http-address={address}"
    assert (last["grpc"], last["metrics"]) == ("--grpc-address=0.0.0.0", "--metrics-address=0.0.0.0")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({MODELS: "tiny-mnli-fp23"}, "'tiny-mnli-fp23', which .* lacks, did you mean 'tiny-mnli-fp32'; it has tiny-"),
        ({MODELS: "../tiny-mnli-fp32"}, "names '../tiny-mnli-fp32', which .* lacks"),
        ({PROFILE: "container"}, "'container', which tiny-mnli-fp32 lacks; there are evaluation, online: choose one"),
        ({PROFILE: "../config"}, "'../config', which tiny-mnli-fp32 lacks"),
        ({PROFILE: "online", MODELS: "tiny-mnli-fp32_text"}, "which tiny-mnli-fp32_text lacks"),
    ],
)
def test_settings_that_make_no_sense_are_refused(repository: Path, variables: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        command({REPOSITORY: str(repository), **variables}, [])


def test_empty_repository_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.serving.container.launch"],
        env={**os.environ, REPOSITORY: str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"harness: {tmp_path} has no model; mount a model repository that `harness export` wrote\n")


def test_process_becomes_the_server(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(REPOSITORY, str(repository))
    monkeypatch.setattr(sys, "argv", ["container", "--log-verbose=1"])
    executed: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execvp", lambda program, line: executed.append((program, line)))
    container.main()
    assert [(program, line[0], line[-1]) for program, line in executed] == [
        ("tritonserver", "tritonserver", "--log-verbose=1")
    ]
    monkeypatch.undo()
    monkeypatch.setenv(REPOSITORY, str(repository))
    monkeypatch.setenv("PATH", str(repository))
    monkeypatch.setattr(sys, "argv", ["container"])
    with pytest.raises(SystemExit) as stopped:
        container.main()
    assert stopped.value.code == 2
    assert "no tritonserver on the PATH" in capsys.readouterr().err


def test_probe_of_a_server_that_is_down_fails(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(REPOSITORY, str(repository))
    (port,) = free_ports("127.0.0.1", 1)
    assert main(["--port", str(port), "--timeout", "5"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"probe: Triton on port {port} gives no answer to /v2/models/tiny-mnli-fp32")
    assert said.count("\n") == 1


#: What a server does with a question: what it answers, or None where it lets it wait.
Behaviour = tuple[int, dict[str, Any]] | None
BUSY = {"error": "[request id: <id_unknown>] Exceeds maximum queue size"}
LATE = {"error": "[request id: <id_unknown>] Request timeout expired"}
DEAD = {"error": "Failed to process the request(s), message: Stub process 'a_0_0' is not healthy."}


@contextmanager
def answering(behaviours: Mapping[str, Behaviour]) -> Iterator[int]:
    """Serve version 1 of models that behave so, and yield the port."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def say(self, status: int, value: dict[str, Any]) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def do_GET(self) -> None:
            self.say(200, {"versions": ["1"]})

        def do_POST(self) -> None:
            behaviour = behaviours[self.path.split("/")[3]]
            if behaviour is None:
                over.wait(30)
            else:
                self.say(*behaviour)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        over.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("behaviour", [None, (503, BUSY), (503, LATE)])
def test_busy_model_is_neither_dead_nor_does_it_hide_a_dead_one(
    artifact: Callable[..., Artifact], probe: list[int], tmp_path: Path, behaviour: Behaviour
) -> None:
    names = [artifact(form).name for form in ("embedding", "span")]
    for form in ("embedding", "span"):
        publish(artifact(form), tmp_path, Serving(threads=1), probe_ids=probe)
    variables = {REPOSITORY: str(tmp_path), MODELS: ",".join(names)}
    with answering(dict.fromkeys(names, behaviour)) as port:
        assert ask_all(variables, port, 0.5) == names
    with (
        answering({names[0]: behaviour, names[1]: (500, DEAD)}) as port,
        pytest.raises(EndpointError, match=f"refuses /v2/models/{names[1]}/.*not healthy"),
    ):
        ask_all(variables, port, 0.5)


class Running(NamedTuple):
    """A server that was started as a container starts it."""

    variables: dict[str, str]
    ports: list[int]
    session: int
    artifact: Artifact


@pytest.fixture
def running(artifact: Callable[..., Artifact], probe: list[int], tmp_path: Path) -> Iterator[Running]:
    """The container's own command, with the wheel's server and backends in place of the image's."""
    graph, wheel = artifact(), find_wheel()
    publish(graph, tmp_path / "models", Serving(threads=1), probe_ids=probe)
    variables = {REPOSITORY: str(tmp_path / "models"), MODELS: graph.name}
    folder = Path(tempfile.mkdtemp(prefix="harness-triton-"))
    build_runtime(wheel, folder)
    ports = free_ports("127.0.0.1", 3)
    line = command(
        variables,
        [
            f"--backend-directory={folder / 'backends'}",
            f"--backend-config=python,shm-region-prefix-name={folder.name}",
            *(f"--{service}-port={port}" for service, port in zip(("http", "grpc", "metrics"), ports, strict=True)),
        ],
    )
    process = spawn([str(wheel.server), *line[1:]], environment(wheel, folder), folder, tmp_path / "log")
    try:
        limit = time.monotonic() + 60
        while process.poll() is None and "Started Metrics Service" not in (tmp_path / "log").read_text():
            assert time.monotonic() < limit, (tmp_path / "log").read_text()
            time.sleep(0.05)
        yield Running(variables, ports, process.pid, graph)
    finally:
        process.terminate()
        time.sleep(0.5)  # signalled twice, the supervisor does not wait for a server that waits for its dead stub
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.triton
def test_containers_command_serves_and_its_probe_notices_a_dead_model(
    running: Running, session_members: Callable[[int], dict[int, str]]
) -> None:
    http, grpc, _ = running.ports
    assert probe(running.variables, http, 30) == [running.artifact.name]
    with TritonEndpoint([f"127.0.0.1:{grpc}"], running.artifact) as endpoint:
        assert endpoint.signature == running.artifact.signature
    with pytest.raises(UsageError, match="lacks"):
        probe({**running.variables, MODELS: "another"}, http, 30)

    file = Path(running.variables[REPOSITORY]) / running.artifact.name / "1" / FILE
    right = json.loads(file.read_text())
    file.write_text(json.dumps({**right, "outputs": {"embedding": [[1.0]]}}))
    with pytest.raises(EndpointError, match=r"version 1 gives an incomplete answer: .* instead of 1"):
        probe(running.variables, http, 30)
    file.write_text(json.dumps(right))
    with pytest.raises(EndpointError, match="no time is left"):
        probe(running.variables, http, 0)

    (stub,) = [pid for pid, program in session_members(running.session).items() if "python_backend_stub" in program]
    os.kill(stub, signal.SIGKILL)
    with pytest.raises(EndpointError, match=f"Triton on port {http} refuses /v2/models/{running.artifact.name}"):
        probe(running.variables, http, 30)
