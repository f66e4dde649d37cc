"""Following the repository and healing: with a server that only takes notes, then with the real one."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import cli
from harness.artifacts.store import Artifact
from harness.core.errors import ArtifactError, EndpointError, UsageError
from harness.core.files import file_sha256
from harness.core.progress import Silent
from harness.serving.access import Access
from harness.serving.repository.config import Serving
from harness.serving.repository.releases import promote, rollback
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import text_model
from harness.serving.server import local, wheel
from harness.serving.server import serve as serving
from harness.serving.server import service as module
from harness.serving.server.local import LocalTriton
from harness.serving.server.process import Member
from harness.serving.server.running import Busy
from harness.serving.server.selection import check_published, read_configs, selection
from harness.serving.server.serve import Ports, check_profile, serve
from harness.serving.server.service import Service, beside
from harness.serving.server.trial import VersionTrial, attempt

ROOT = Path(__file__).parents[3]
Make = Callable[..., Artifact]
Members = Callable[[int], dict[int, str]]
GRAPH, TEXT = "tiny-mnli-fp32", "tiny-mnli-fp32_text"
SERVING = Serving(threads=1)


class Lines(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def config(version: int, **more: Any) -> dict[str, Any]:
    return {"version_policy": {"specific": {"versions": [version]}}, "parameters": {}, "model_warmup": [], **more}


class Notes:
    """A server that notes its requests; `failing` names the models that fail a question, and how."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.repository, self.models, self.profile = repository, [GRAPH, TEXT], "online"
        self.log = folder / "triton.log"
        self.calls: list[tuple[str, str, list[int]]] = []
        self.failing: dict[str, EndpointError] = {}
        self.refuses: Callable[[str, Mapping[str, Any]], bool] = lambda _name, _config: False
        self.lost: dict[str, int] = {}
        #: What each model has answered, and the processor time of its one process.
        self.counts: dict[str, int] = {}
        self.computed: dict[str, float] = {}

    def served_versions(self, _name: str) -> list[int]:
        return [2]

    def config(self, _name: str) -> dict[str, Any]:
        return config(2)

    def load(self, name: str, wanted: Mapping[str, Any]) -> None:
        self.calls.append(("load", name, wanted["version_policy"]["specific"]["versions"]))
        if self.refuses(name, wanted):
            message = "out of memory"
            raise EndpointError(message)

    def unload(self, name: str) -> None:
        self.calls.append(("unload", name, []))

    def check_alive(self, name: str, _timeout: float) -> None:
        if name in self.failing:
            raise self.failing[name]

    def check_answer(self, name: str, timeout: float) -> None:
        self.check_alive(name, timeout)

    def lost_processes(self, name: str) -> int:
        if self.lost.get(name) == -1:
            message = "no answer in 300 s"
            raise Busy(message)
        return self.lost.get(name, 0)

    def answered(self, name: str) -> tuple[int, int]:
        return self.counts.get(name, 0), self.counts.get(name, 0)

    def members(self, name: str) -> list[Member]:
        return [Member(1, (name,), self.computed.get(name, 0.0))]

    def kill(self, name: str, *, only_stopped: bool = False) -> None:
        if not only_stopped:
            self.calls.append(("kill", name, []))

    def wait_until_gone(self, name: str, seconds: float, versions: Sequence[int]) -> None:
        pass

    def wait(self, _seconds: float) -> None:
        pass


class Proven:
    """A trial that ends at once."""

    failure = ""
    started: list[tuple[list[str], int]] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, _repository: Path, names: Sequence[str], version: int, _profile: str, _log: Path) -> None:
        self.started.append((list(names), version))
        self._configs = {name: config(version) for name in names}

    def result(self) -> dict[str, dict[str, Any]]:
        if self.failure:
            raise EndpointError(self.failure)
        return self._configs

    def stop(self) -> None:
        pass


@pytest.fixture
def repository(exported: Make, probe: list[int], tmp_path: Path) -> Path:
    """Versions 1 and 2, of which 2 is selected."""
    for seed in (0, 1):
        publish(exported(seed=seed), tmp_path / "repository", SERVING, probe_ids=probe, text=text_model)
    return tmp_path / "repository"


@pytest.fixture
def notes(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notes:
    monkeypatch.setattr(module, "VersionTrial", Proven)
    monkeypatch.setattr(Proven, "started", [])
    return Notes(repository, tmp_path)


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def service(notes: Notes, lines: Lines) -> Service:
    return Service(notes, read_configs(notes.repository, notes.models, "online"), lines)  # type: ignore[arg-type]


def test_nothing_is_done_while_the_selection_is_the_served_one(service: Service, notes: Notes) -> None:
    service.follow()
    assert (Proven.started, notes.calls) == ([], [])


def test_new_version_comes_beside_the_old_one_before_that_leaves(
    service: Service, notes: Notes, lines: Lines, repository: Path
) -> None:
    rollback(repository, "tiny")
    service.follow()
    assert Proven.started == [([GRAPH, TEXT], 1)]
    assert notes.calls == []  # not before it is proven
    service.follow()
    assert notes.calls == [("load", GRAPH, [1, 2]), ("load", TEXT, [1]), ("load", GRAPH, [1])]
    assert service.version(GRAPH) == service.version(TEXT) == 1
    assert lines.said == [
        f"{GRAPH}: trying version 1 in another process",
        f"{GRAPH}: version 1 is served, version 2 is unloaded",
    ]
    service.follow()
    assert len(Proven.started) == 1


def test_version_that_fails_its_trial_is_refused_until_it_is_written_anew(
    service: Service, notes: Notes, lines: Lines, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollback(repository, "tiny")
    monkeypatch.setattr(Proven, "failure", "the graph is damaged")
    for _ in range(4):
        service.follow()
    assert len(Proven.started) == 1
    assert notes.calls == []
    assert lines.said[-1] == f"{GRAPH}: version 1 is refused, version 2 is still served: the graph is damaged"
    monkeypatch.setattr(Proven, "failure", "")
    config = repository / GRAPH / "configs" / "online.pbtxt"
    os.utime(config, ns=(1, config.stat().st_mtime_ns + 1))
    service.follow()
    service.follow()
    assert service.version(GRAPH) == 1


def test_selection_that_changes_during_the_trial_is_tried_itself(
    service: Service, notes: Notes, repository: Path
) -> None:
    rollback(repository, "tiny")
    service.follow()
    promote(repository, "tiny")
    service.follow()
    service.follow()
    assert notes.calls == []
    assert service.version(GRAPH) == 2


@pytest.mark.parametrize("failing", [(GRAPH, [1, 2]), (TEXT, [1]), (GRAPH, [1])])
def test_what_fails_while_switching_is_put_back(
    service: Service, notes: Notes, lines: Lines, repository: Path, failing: tuple[str, list[int]]
) -> None:
    notes.refuses = lambda name, wanted: (name, wanted["version_policy"]["specific"]["versions"]) == failing
    rollback(repository, "tiny")
    service.follow()
    service.follow()
    assert notes.calls[-2:] == [("load", GRAPH, [2]), ("load", TEXT, [2])]
    assert service.version(GRAPH) == 2
    assert lines.said[-1] == f"{GRAPH}: version 1 is refused, version 2 is still served: out of memory"


def test_what_cannot_be_put_back_is_left_to_healing(
    service: Service, notes: Notes, lines: Lines, repository: Path
) -> None:
    notes.refuses = lambda name, _wanted: name == GRAPH
    rollback(repository, "tiny")
    service.follow()
    service.follow()
    assert notes.calls[-2:] == [("load", GRAPH, [2]), ("load", TEXT, [2])]
    assert lines.said[-2:] == [
        f"{GRAPH}: version 2 could not be put back: out of memory",
        f"{GRAPH}: version 1 is refused, version 2 is still served: out of memory",
    ]
    notes.refuses = lambda _name, _wanted: False
    notes.failing = {GRAPH: EndpointError("it is not loaded")}
    service.check_all()
    assert notes.calls[-2:] == [("unload", GRAPH, []), ("load", GRAPH, [2])]


def test_what_was_selected_while_models_loaded_is_followed(notes: Notes, lines: Lines, repository: Path) -> None:
    """The server had read its configs already: it serves version 2, and the files say 1 when it is ready."""
    configs = read_configs(repository, notes.models, "online")
    rollback(repository, "tiny")
    service = Service(notes, configs, lines)  # type: ignore[arg-type]
    service.follow()
    assert Proven.started == [([GRAPH, TEXT], 1)]


def cut_short(text: Path) -> str:
    text.write_text(text.read_text().replace("versions: [ 2 ]", "versions: [ 1 ]"))
    return f"{GRAPH} selects version 2, {TEXT} selects version 1"


def not_utf8(text: Path) -> str:
    text.write_bytes(b"\xff\xfe")
    return f"{text} cannot be read (it is not UTF-8)"


def a_folder(text: Path) -> str:
    text.unlink()
    text.mkdir()
    return f"{text} cannot be read (Is a directory)"


def missing(text: Path) -> str:
    text.unlink()
    return f"{text} cannot be read (No such file or directory)"


@pytest.mark.parametrize("damage", [cut_short, not_utf8, a_folder, missing])
def test_selection_that_stays_unclear_is_said_once_and_what_is_served_goes_on(
    service: Service, notes: Notes, lines: Lines, repository: Path, damage: Callable[[Path], str]
) -> None:
    reason = damage(repository / TEXT / "config.pbtxt")
    for _ in range(4):
        service.follow()
    assert lines.said == []  # it may be half written
    for _ in range(4):
        service.follow()
    (said,) = lines.said
    assert said.startswith(
        f"{GRAPH}: version 2 is still served, what is selected is not clear: {reason}; select a version "
    )
    assert (notes.calls, Proven.started) == ([], [])


def test_half_written_selection_is_waited_for(service: Service, repository: Path) -> None:
    rollback(repository, "tiny")
    text = repository / TEXT / "config.pbtxt"
    kept = text.read_text()
    text.write_text(kept.replace("versions: [ 1 ]", "versions: [ 2 ]"))
    with pytest.raises(ArtifactError, match=f"{GRAPH} selects version 1, {TEXT} selects version 2"):
        selection(repository, [GRAPH, TEXT], "online")
    service.follow()
    assert Proven.started == []
    text.write_text(kept)
    service.follow()
    assert Proven.started == [([GRAPH, TEXT], 1)]


def test_new_settings_are_loaded_where_they_changed(
    service: Service, notes: Notes, lines: Lines, repository: Path, exported: Make, probe: list[int]
) -> None:
    publish(exported(seed=1), repository, Serving(threads=2), probe_ids=probe, text=text_model)
    service.follow()
    service.follow()
    assert notes.calls == [("load", GRAPH, [2])]
    assert lines.said[-1] == f"{GRAPH}: version 2 is served, new settings"


def test_graphs_without_anything_in_common_are_served_beside_each_other_without_it() -> None:
    old = {"parameters": {"vocabulary": {"string_value": "9"}, "profile": {}}, "model_warmup": [{"name": "a"}]}
    same = beside(old, {**old, "max_batch_size": 7}, [2, 1])
    assert same == {**old, "max_batch_size": 7, "version_policy": {"specific": {"versions": [1, 2]}}}
    for other in (
        {**old, "model_warmup": [{"name": "b"}]},
        {**old, "parameters": {"vocabulary": {"string_value": "8"}, "profile": {}}},
    ):
        both = beside(old, other, [1, 2])
        assert (both["model_warmup"], both["parameters"]) == ([], {"profile": {}})


def test_dead_model_is_loaded_again_with_what_it_was_loaded_with(service: Service, notes: Notes, lines: Lines) -> None:
    notes.failing = {TEXT: EndpointError("its process is not healthy")}

    def load(name: str, wanted: Mapping[str, Any]) -> None:
        notes.calls.append(("load", name, wanted["version_policy"]["specific"]["versions"]))
        notes.failing.clear()

    notes.load = load  # type: ignore[method-assign]
    service.check_all()
    assert notes.calls == [("unload", TEXT, []), ("load", TEXT, [2])]
    assert lines.said == [
        f"{TEXT}: does not answer, loading it again: its process is not healthy",
        f"{TEXT}: answers again",
    ]


def test_service_ends_where_no_graph_can_be_healed(service: Service, notes: Notes) -> None:
    notes.failing = {GRAPH: EndpointError("its process is not healthy")}
    for _ in range(3):
        service.check_all()
    assert len(notes.calls) == 6
    sentence = (
        rf"'{GRAPH}' cannot be served, and no other graph is: it was loaded again 3 times in \d+ s and fails: its"
    )
    with pytest.raises(EndpointError, match=sentence):
        service.check_all()


OTHER = "other-mnli-fp32"


@pytest.fixture
def two_graphs(repository: Path, notes: Notes, lines: Lines) -> Service:
    """A service of two graphs, the first with its text model."""
    shutil.copytree(repository / GRAPH, repository / OTHER)
    notes.models.append(OTHER)
    return Service(notes, read_configs(repository, [GRAPH, TEXT], "online"), lines)  # type: ignore[arg-type]


def test_model_that_cannot_be_healed_is_taken_down_alone(two_graphs: Service, notes: Notes, lines: Lines) -> None:
    notes.failing = {GRAPH: EndpointError("its process is not healthy")}
    for _ in range(4):
        two_graphs.check_all()
    assert notes.calls[-2:] == [("unload", GRAPH, []), ("unload", TEXT, [])]
    assert lines.said[-1].startswith(
        f"{GRAPH}: is taken down, the other models are served: it was loaded again 3 times"
    )
    # It is left alone from now on, and the other one is not.
    calls = len(notes.calls)
    notes.failing[OTHER] = EndpointError("its process is not healthy")
    two_graphs.check_all()
    assert notes.calls[calls:] == [("unload", OTHER, []), ("load", OTHER, [2])]


def test_damaged_graph_is_not_loaded_again_until_it_is_written_again(
    two_graphs: Service, notes: Notes, lines: Lines, repository: Path
) -> None:
    graph = repository / GRAPH / "2" / "model.onnx"
    sound = graph.read_bytes()
    graph.unlink()
    graph.write_bytes(bytes([sound[0] ^ 1]) + sound[1:])
    notes.failing = {GRAPH: EndpointError("its process is not healthy")}
    two_graphs.check_all()
    assert ("load", GRAPH, [2]) not in notes.calls
    assert "model.onnx is not the file that was published" in lines.said[-1]
    assert "is taken down, the other models are served" in lines.said[-1]

    notes.failing.clear()
    graph.write_bytes(sound)
    os.utime(graph, ns=(1, 1))
    two_graphs.check_all()
    assert [call for call in notes.calls if call[0] == "load"] == [("load", GRAPH, [2]), ("load", TEXT, [2])]
    assert f"{GRAPH}: answers again" in lines.said


def test_busy_model_is_left_alone_until_its_process_is_dead(service: Service, notes: Notes, lines: Lines) -> None:
    """Whoever sends long texts may keep a model busy for minutes, without one answer in many rounds."""
    notes.failing = {GRAPH: Busy("its queue is full")}
    for _ in range(30):
        service.check_all()
    notes.lost = {GRAPH: -1}
    service.check_all()
    assert (notes.calls, lines.said) == ([], [])
    notes.lost = {GRAPH: 1}
    service.check_all()
    assert notes.calls == [("unload", GRAPH, []), ("load", GRAPH, [2])]
    assert lines.said == [
        f"{GRAPH}: does not answer, loading it again: 1 of its processes are gone; its queue is full",
        f"{GRAPH}: loaded again: its queue is full",
    ]


def test_what_is_damaged_is_named_before_the_start(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / GRAPH, repository / "other-mnli-fp32")
    check_published(repository, ["other-mnli-fp32", GRAPH], "online")
    graph = repository / "other-mnli-fp32" / "2" / "model.onnx"
    graph.unlink()
    graph.write_bytes(b"damaged")
    message = f"other-mnli-fp32 cannot be served: .*model.onnx is not the file .*; the others are .* `--models {GRAPH}`"
    lines = serve(
        repository, [], ports=Ports(), host="127.0.0.1", profile="online", access=Access(),
        log=tmp_path / "log", progress=Lines(),
    )  # fmt: skip
    with pytest.raises(ArtifactError, match=message):
        list(lines)
    assert not (tmp_path / "log").exists()
    (repository / GRAPH / "configs" / "online.pbtxt").unlink()
    with pytest.raises(ArtifactError, match=f"{GRAPH} cannot be served: its config for the profile online selects no"):
        check_published(repository, [GRAPH], "online")
    with pytest.raises(ArtifactError, match=rf"{GRAPH} cannot be served \(nor can 1 more\): (?!.*--models)"):
        check_published(repository, [GRAPH, "other-mnli-fp32"], "online")


@pytest.mark.parametrize(
    ("host", "ports", "message"),
    [
        ("nowhere.invalid", {}, r"cannot listen on `--host 'nowhere.invalid'`: .*; 127.0.0.1 is this machine only"),
        ("", {}, r"cannot listen on `--host ''`: it is empty"),
        ("a" * 70 + ".b", {}, "cannot listen on"),
        ("127.0.0.1", {"http": 8080, "grpc": 8080}, r"`--http-port 8080 --grpc-port 8080`: each service needs a port"),
    ],
)
def test_address_that_cannot_be_is_refused_before_the_start(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, ports: dict[str, int], message: str
) -> None:
    monkeypatch.setattr(local, "find_wheel", lambda: None)
    lines = serve(
        repository, [], ports=Ports(**ports), host=host, profile="online", access=Access(),
        log=tmp_path / "log", progress=Lines(),
    )  # fmt: skip
    with pytest.raises(UsageError, match=message):
        list(lines)
    assert not (tmp_path / "log").exists()


def test_log_of_a_service_is_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(serving, "serve", lambda _repository, _wanted, **options: given.update(options) or [])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["harness", "serve"])
    with pytest.raises(SystemExit):
        cli.main()
    assert given["log"] == tmp_path / "runs" / f"triton-{os.getpid()}.log"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The service's time, which only a test moves."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def silent_rounds(
    service: Service, clock: list[float], seconds: float, each: Callable[[], None] = lambda: None
) -> None:
    """Ask all models until so many seconds are over, at one round in fifteen."""
    for _ in range(int(seconds // 15) + 1):
        service.check_all()
        clock[0] += 15
        each()


def test_model_that_hangs_is_killed_and_loaded_again(
    service: Service, notes: Notes, lines: Lines, clock: list[float]
) -> None:
    notes.failing = {GRAPH: Busy("no answer in 10 s"), TEXT: Busy("no answer in 10 s")}
    silent_rounds(service, clock, module._HUNG - 15)
    assert notes.calls == []
    silent_rounds(service, clock, 0)
    # The text model only waits for its graph, however long.
    assert [call[:2] for call in notes.calls] == [("kill", GRAPH), ("unload", GRAPH), ("load", GRAPH)]
    assert "no answer for 60 s, in which its processes did nothing" in lines.said[0]


def test_text_model_hangs_by_itself_where_its_graph_answers(service: Service, notes: Notes, clock: list[float]) -> None:
    notes.failing = {TEXT: Busy("no answer in 10 s")}
    silent_rounds(service, clock, module._HUNG)
    assert [call[:2] for call in notes.calls] == [("kill", TEXT), ("unload", TEXT), ("load", TEXT)]


def test_model_that_answers_others_does_not_hang(service: Service, notes: Notes, clock: list[float]) -> None:
    notes.failing = {GRAPH: Busy("its queue is full")}

    def answer() -> None:
        notes.counts[GRAPH] = notes.counts.get(GRAPH, 0) + 1

    silent_rounds(service, clock, 4 * module._STUCK, answer)
    assert notes.calls == []


def test_model_that_computes_has_the_time_of_the_longest_batch(
    service: Service, notes: Notes, lines: Lines, clock: list[float]
) -> None:
    notes.failing = {GRAPH: Busy("no answer in 10 s")}

    def compute() -> None:
        notes.computed[GRAPH] = notes.computed.get(GRAPH, 0.0) + 15

    silent_rounds(service, clock, module._STUCK - 15, compute)
    assert notes.calls == []
    silent_rounds(service, clock, 0)
    assert [call[0] for call in notes.calls] == ["kill", "unload", "load"]
    assert "no answer for 900 s;" in lines.said[0]


def test_an_answer_ends_a_silence(service: Service, notes: Notes, clock: list[float]) -> None:
    notes.failing = {GRAPH: Busy("no answer in 10 s")}
    silent_rounds(service, clock, module._HUNG - 15)
    notes.failing = {}
    silent_rounds(service, clock, 0)
    notes.failing = {GRAPH: Busy("no answer in 10 s")}
    silent_rounds(service, clock, module._HUNG - 15)
    assert notes.calls == []


def wait_for(trial: VersionTrial) -> None:
    """Return when a trial has ended well, or after half a minute."""
    limit = time.monotonic() + 30
    while trial.result() is None and time.monotonic() < limit:
        time.sleep(0.02)


def test_trial_that_says_a_lot_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a pipe holds, on both ways out."""
    script = tmp_path / "talks"
    lines = (
        "#!/bin/sh",
        "yes no | head -c 300000 >&2",
        "yes no | head -c 300000",
        "echo >&2",
        "echo why >&2",
        "exit 2",
    )
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    monkeypatch.setattr("harness.serving.server.trial.sys.executable", str(script))
    trial = VersionTrial(tmp_path, [GRAPH], 1, "online", tmp_path / "log")
    try:
        with pytest.raises(EndpointError, match=r"^why$"):
            wait_for(trial)
    finally:
        trial.stop()


def test_unknown_profile_is_refused() -> None:
    assert check_profile("online") == "online"
    with pytest.raises(UsageError, match=r"no profile 'onlin', did you mean 'online'; .* evaluation and online"):
        check_profile("onlin")


# The real server


@pytest.fixture
def server(repository: Path, tmp_path: Path) -> Iterator[LocalTriton]:
    promote(repository, "tiny", version=1)
    with LocalTriton(repository, [GRAPH, TEXT], profile="online", log=tmp_path / "triton.log") as running:
        yield running


QUESTIONS = {
    GRAPH: [("input_ids", "INT64", [0, 5, 6, 7, 2]), ("attention_mask", "INT64", [1] * 5)],
    TEXT: [("text", "BYTES", ["a b"]), ("text_pair", "BYTES", ["c"])],
}


def ask(server: LocalTriton, name: str) -> str:
    """Return a model's answer to a fixed question, or the failure."""
    inputs = [
        {"name": field, "datatype": kind, "shape": [1, len(row)], "data": row} for field, kind, row in QUESTIONS[name]
    ]
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        connection.request("POST", f"/v2/models/{name}/infer", json.dumps({"inputs": inputs}))
        response = connection.getresponse()
        reply = json.loads(response.read())
    finally:
        connection.close()
    return json.dumps(reply["outputs"][0]["data"]) if response.status == 200 else f"failed: {reply}"


class Traffic:
    """Threads that ask a model without a pause; `answers` has each thread's answers in order."""

    def __init__(self, server: LocalTriton, names: Sequence[str]) -> None:
        self.answers: dict[tuple[str, int], list[str]] = {(name, place): [] for name in names for place in (0, 1)}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(server, *key)) for key in self.answers]

    def _ask(self, server: LocalTriton, name: str, place: int) -> None:
        while not self._stop.is_set():
            try:
                self.answers[name, place].append(ask(server, name))
            except Exception as error:  # a thread that ended would be a test that passes
                self.answers[name, place].append(f"failed: {error!r}")

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def changes(answers: Sequence[str]) -> list[str]:
    """Return the answers, each run of equal ones once."""
    return [answer for place, answer in enumerate(answers) if place == 0 or answers[place - 1] != answer]


def follow_until(service: Service, condition: Callable[[], bool], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "the service did not get there"
        service.follow()
        time.sleep(0.05)


@pytest.mark.triton
@pytest.mark.slow
def test_version_is_switched_there_and_back_under_load_without_a_failed_request(
    server: LocalTriton, repository: Path, lines: Lines
) -> None:
    service = Service(server, read_configs(repository, server.models, "online"), lines)
    first = {name: ask(server, name) for name in (GRAPH, TEXT)}
    with Traffic(server, [GRAPH, TEXT]) as traffic:
        promote(repository, "tiny")
        follow_until(service, lambda: service.version(TEXT) == 2)
        second = {name: ask(server, name) for name in (GRAPH, TEXT)}
        rollback(repository, "tiny")
        follow_until(service, lambda: service.version(TEXT) == 1)
        time.sleep(0.2)
    for (name, _), answers in traffic.answers.items():
        assert len(answers) > 50
        # Zero failures, and never a step back: old, new, and old again.
        assert changes(answers) == [first[name], second[name], first[name]]
    assert server.served_versions(GRAPH) == server.served_versions(TEXT) == [1]
    assert [line.partition(": ")[2] for line in lines.said] == [
        "trying version 2 in another process",
        "version 2 is served, version 1 is unloaded",
        "trying version 1 in another process",
        "version 1 is served, version 2 is unloaded",
    ]


@pytest.mark.triton
def test_damaged_version_is_refused_and_a_killed_process_is_healed(
    server: LocalTriton, repository: Path, lines: Lines, session_members: Members
) -> None:
    service = Service(server, read_configs(repository, server.models, "online"), lines)
    assert (server.lost_processes(GRAPH), server.lost_processes(TEXT)) == (0, 0)
    promote(repository, "tiny")
    graph = repository / GRAPH / "2" / "model.onnx"
    graph.unlink()
    graph.write_bytes(b"damaged after it was promoted")
    before = {name: ask(server, name) for name in (GRAPH, TEXT)}
    follow_until(service, lambda: any("refused" in line for line in lines.said))
    assert "version 2 is refused, version 1 is still served" in lines.said[-1]
    assert "model.onnx is not the file that was published" in lines.said[-1]
    assert service.version(GRAPH) == 1

    stubs = [number for number, name in session_members(server.pid).items() if name == "triton_python_backend_stub"]
    command = {number: Path(f"/proc/{number}/cmdline").read_text() for number in stubs}
    (victim,) = [number for number in stubs if f"{GRAPH}_0_0" in command[number]]
    os.kill(victim, signal.SIGKILL)
    assert (server.lost_processes(GRAPH), server.lost_processes(TEXT)) == (1, 0)
    assert "not healthy" in ask(server, GRAPH)
    service.check_all()
    # What the repository selects is damaged, so the healed model must be the version that was served.
    assert {name: ask(server, name) for name in (GRAPH, TEXT)} == before
    assert lines.said[-1] == f"{GRAPH}: answers again"
    assert len(lines.said) == 4


def heal(server: LocalTriton, service: Service, lines: Lines, name: str) -> None:
    """Ask until the service says that a model answers again."""
    limit = time.monotonic() + 60
    while f"{name}: answers again" not in lines.said:
        assert time.monotonic() < limit, lines.said
        service.check_all()


@pytest.mark.triton
def test_stopped_process_is_healed_and_leaves(server: LocalTriton, repository: Path, lines: Lines) -> None:
    """Triton itself notices it, since the thread that says that the process lives is stopped as well."""
    service = Service(server, read_configs(repository, server.models, "online"), lines)
    before = ask(server, GRAPH)
    victims = [member.pid for member in server.members(GRAPH)]
    for victim in victims:
        os.kill(victim, signal.SIGSTOP)
    heal(server, service, lines, GRAPH)
    assert ask(server, GRAPH) == before
    assert victims
    assert not {member.pid for member in server.members(GRAPH)} & set(victims)


#: Appended to a backend: from the next request on, its Python waits for ever, where its process and the thread
#: that says so live on.
HANG = """

import threading

_read_one = TritonPythonModel.{method}


def _hang_or_read(self, request):
    if Path({trigger!r}).exists():
        threading.Event().wait()
    return _read_one(self, request)


TritonPythonModel.{method} = _hang_or_read
"""


@pytest.mark.triton
@pytest.mark.parametrize(("name", "backend", "method"), [(GRAPH, "onnxruntime", "_feed"), (TEXT, "text", "_read")])
def test_process_that_hangs_is_healed(
    repository: Path,
    tmp_path: Path,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    backend: str,
    method: str,
) -> None:
    backends, trigger = tmp_path / "backends", tmp_path / "hang"
    shutil.copytree(wheel._BACKENDS, backends)
    with (backends / backend / "model.py").open("a") as stream:
        stream.write(HANG.format(method=method, trigger=str(trigger)))
    monkeypatch.setattr(wheel, "_BACKENDS", backends)
    monkeypatch.setattr(module, "_QUESTION", 1.0)
    monkeypatch.setattr(module, "_HUNG", 2.0)
    with LocalTriton(repository, [GRAPH, TEXT], profile="online", log=tmp_path / "triton.log") as server:
        service = Service(server, read_configs(repository, server.models, "online"), lines)
        before = {each: ask(server, each) for each in (GRAPH, TEXT)}
        victims = [member.pid for member in server.members(name)]
        trigger.touch()
        with ThreadPoolExecutor(8) as clients:
            # Somebody else's requests hang too; each instance has one.
            waiting = [clients.submit(ask, server, name) for _ in range(8)]
            service.check_all()
            trigger.unlink()
            heal(server, service, lines, name)
            assert all(future.result() for future in waiting)
        assert "in which its processes did nothing" in lines.said[0]
        assert {line.partition(":")[0] for line in lines.said} == {name}
        assert {each: ask(server, each) for each in (GRAPH, TEXT)} == before
        assert not {member.pid for member in server.members(name)} & set(victims)


@pytest.mark.triton
def test_profile_without_its_config_is_refused(repository: Path, tmp_path: Path) -> None:
    (repository / GRAPH / "configs" / "online.pbtxt").unlink()
    running = LocalTriton(repository, [GRAPH], profile="online", log=tmp_path / "log")
    with pytest.raises(EndpointError, match="loaded in the profile 'evaluation', and not in 'online'"), running:
        pytest.fail("the server started")


def processes(words: str) -> list[int]:
    """Return the processes whose command line has these words in it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if words in " ".join(process.info["cmdline"] or []):
            found.append(process.pid)
    return found


@pytest.mark.triton
def test_trial_that_is_stopped_takes_its_server_with_it(repository: Path, tmp_path: Path) -> None:
    trial = VersionTrial(repository, [GRAPH, TEXT], 2, "online", tmp_path / "trial.log")
    server = f"--model-repository={repository}"
    limit = time.monotonic() + 30
    while not processes(server):
        assert trial.result() is None
        assert time.monotonic() < limit, "the trial started no server"
        time.sleep(0.05)
    trial.stop()
    while processes(str(repository)):
        assert time.monotonic() < limit + 30, "the server outlives its trial"
        time.sleep(0.1)


@pytest.mark.triton
def test_trial_refuses_a_version_that_answers_otherwise(repository: Path, tmp_path: Path) -> None:
    """The files are those that were published, but the configuration lets another graph answer."""
    path = repository / TEXT / "2" / "known_answer.json"
    record = json.loads(path.read_text())
    record["outputs"]["answer"] = [[json.dumps({"label": "none", "probabilities": {}, "truncated": False})]]
    path.write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=r"known_answer\.json is not the file that was published"):
        attempt(repository, [GRAPH, TEXT], 2, "online", tmp_path / "trial.log")
    digests = json.loads(path.with_name("files.json").read_text())
    path.with_name("files.json").write_text(json.dumps({**digests, "known_answer.json": file_sha256(path)}))
    with pytest.raises(EndpointError, match=f"model '{TEXT}' version 2 is loaded but answers wrongly: output 'answer'"):
        attempt(repository, [GRAPH, TEXT], 2, "online", tmp_path / "trial.log")
    with pytest.raises(ArtifactError, match=rf"{GRAPH} was loaded in version \[2\] where 1 is meant"):
        attempt(repository, [GRAPH], 1, "online", tmp_path / "trial.log")


@pytest.mark.triton
def test_ctrl_c_ends_the_service_in_order(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    repository.rename(tmp_path / "home" / "model_repository")
    ports = [f"--{service}-port=0" for service in ("http", "grpc", "metrics")]
    serve = ["serve", "--log", str(tmp_path / "log"), *ports]
    command = [sys.executable, "-c", "from harness.cli import main; main()", *serve]
    variables = {**os.environ, "HARNESS_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("Triton serves 2 models: gRPC triton://127.0.0.1:")
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().splitlines() == [
            f"{GRAPH}: version 2, online, ready",
            f"{TEXT}: version 2, online, ready",
            "harness: stopped",
        ]
