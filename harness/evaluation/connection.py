"""From what `--endpoint` says to endpoints: in process, a running Triton, or one of our own."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError, UsageError, nearest
from harness.core.progress import Progress
from harness.evaluation.tuning.record import Setting
from harness.inference.endpoints import Endpoint, check_signature
from harness.inference.endpoints.numerics import onnxruntime
from harness.serving.repository.check import serves
from harness.serving.repository.layout import CONFIG, read_config, versions
from harness.serving.repository.proof import check_answer

if TYPE_CHECKING:  # a heavy import, and only a local server needs it
    from harness.serving.server.local import LocalTriton

Connect = Callable[[Artifact], Endpoint]


def _nothing_to_start() -> None:
    pass


def _of_this_package(artifact: Artifact) -> str:
    return onnxruntime()


def _this_process(artifact: Artifact) -> list[int]:
    return [os.getpid()]


@dataclass(frozen=True, slots=True)
class Connection:
    """How to open endpoints, and how results name the way."""

    name: str
    #: May be called from any thread once `begin` was; where the server is our own, opening loads the graph
    #: and closing the endpoint unloads it.
    open: Connect
    #: Whether somebody else's server answers, so that its state is worth asking before any work.
    remote: bool
    #: Says that something will be asked: what takes seconds to start starts now, and nobody waits for it.
    #: To be called from the main thread; `open` calls it where nobody did.
    begin: Callable[[], None] = _nothing_to_start
    #: What computes a graph's answers, without opening it where it is our own; see `endpoints.numerics`.
    numerics: Callable[[Artifact], str] = _of_this_package
    #: The processes of this machine that hold a graph while its endpoint is open, by number.
    processes: Callable[[Artifact], list[int]] = _this_process


@contextmanager
def connection(
    endpoint: str | None,
    artifacts: Sequence[Artifact],
    repository: Path,
    progress: Progress,
    settings: Mapping[str, Setting] = MappingProxyType({}),
) -> Iterator[Connection]:
    """Give a way to open endpoints for the artifacts; never falls back from one way to another.

    Args:
        endpoint: None for a local Triton, which starts when something will be asked, lives until the
            context ends and holds the graphs whose endpoints are open; ``onnx`` for this process, ``onnx:cuda``
            and ``onnx:tensorrt`` for its GPU; ``triton://host:port[,host:port]`` for a server that runs already,
            ``tritons://`` for one with TLS.
        artifacts: every graph that will be asked.
        repository: what a local Triton serves; its stored answers are asked of every graph that is opened.
        progress: shows when a local Triton starts, loads a graph and stops.
        settings: threads and instances of graphs, by their artifacts' names, looked up as each is opened. A graph
            without them takes all cores in process, and its published config in a local Triton. Neither a GPU nor
            somebody else's server takes them.

    Raises:
        UsageError: `endpoint` is none of these, or a local Triton would not serve the artifacts' graphs.
    """
    if endpoint is None:
        with _local(artifacts, repository, progress, settings) as local:
            yield local
    elif endpoint.partition(":")[0] == "onnx":
        from harness.inference.endpoints.onnx import OnnxEndpoint, parse_device

        device = parse_device(endpoint)

        def in_process(artifact: Artifact) -> Endpoint:
            if device.kind != "cpu":
                return _checked(OnnxEndpoint.of(artifact, device), artifact, repository)
            setting = settings.get(artifact.name)
            if setting is None:
                return _checked(OnnxEndpoint.for_batches(artifact), artifact, repository)
            opened = OnnxEndpoint.of(artifact, threads=setting.threads, calls=setting.instances)
            return _checked(opened, artifact, repository)

        yield Connection(endpoint, in_process, False, numerics=lambda artifact: onnxruntime(device.kind))
    elif endpoint.startswith(("triton://", "tritons://")):
        yield _remote(endpoint, repository, progress)
    else:
        hint = nearest(endpoint, ("onnx", "onnx:cuda", "triton://localhost:8001"))
        message = (
            f"no endpoint {endpoint!r}{hint}; it is `onnx`, `onnx:cuda`, `onnx:tensorrt`, "
            "`triton[s]://host:port[,host:port]`, or left out"
        )
        raise UsageError(message)


def _checked(endpoint: Endpoint, artifact: Artifact, repository: Path) -> Endpoint:
    """Return an endpoint that has the artifact's signature and gives its known answer.

    Raises:
        EndpointError: it has another one, or answers otherwise.
    """
    try:
        check_signature(endpoint, artifact)
        check_answer(endpoint, artifact, repository)
    except BaseException:  # Ctrl-C included: nobody else knows of the endpoint yet
        endpoint.close()
        raise
    return endpoint


class _Remote:
    """Somebody else's servers: each is checked for itself at every opening, since one alone may compute something else.

    A host that was right once and fails later is left out, and tried again when the next graph is opened. One that was
    never right is the user's mistake, and ends the run.
    """

    def __init__(self, uri: str, repository: Path, progress: Progress) -> None:
        from harness.inference.endpoints.triton import parse_hosts, parse_tls

        self._hosts, self._tls = parse_hosts(uri), parse_tls(uri, os.environ)
        self._repository, self._progress = repository, progress
        self._proven: set[str] = set()
        self._left_out: set[str] = set()
        self._numerics: dict[str, str] = {}

    def open(self, artifact: Artifact) -> Endpoint:
        """Connect to the hosts that serve an artifact's graph and give its known answer.

        Raises:
            EndpointError: no host does, or one that never did.
        """
        from harness.inference.endpoints.triton import TritonEndpoint

        good, problem = [], EndpointError("no host is given")
        for host in self._hosts if len(self._hosts) > 1 else ():
            try:
                _checked(TritonEndpoint([host], artifact, tls=self._tls), artifact, self._repository).close()
            except EndpointError as error:
                if host not in self._proven:
                    raise
                problem = error
                self._leave_out(host, str(error))
            else:
                good.append(host)
                self._take_back(host)
        if len(self._hosts) > 1 and not good:
            raise problem
        endpoint = TritonEndpoint(good or self._hosts, artifact, tls=self._tls)
        opened = _checked(endpoint, artifact, self._repository)
        self._numerics[artifact.name] = opened.numerics
        return opened

    def _leave_out(self, host: str, reason: str) -> None:
        if host not in self._left_out:
            self._left_out.add(host)
            self._progress.say(f"{host} is left out, the other hosts take its batches: {reason}")

    def _take_back(self, host: str) -> None:
        self._proven.add(host)
        if host in self._left_out:
            self._left_out.remove(host)
            self._progress.say(f"{host} answers again")

    def numerics(self, artifact: Artifact) -> str:
        """Return what computes a graph's answers on the hosts."""
        if artifact.name not in self._numerics:
            self.open(artifact).close()
        return self._numerics[artifact.name]


def _remote(uri: str, repository: Path, progress: Progress) -> Connection:
    remote = _Remote(uri, repository, progress)
    return Connection(uri, remote.open, True, numerics=remote.numerics)


@contextmanager
def _log_file(repository: Path) -> Iterator[Path]:
    """Give a file for the server's log, which stays only where an error's message names it."""
    folder = repository.parent / "runs"
    folder.mkdir(exist_ok=True)
    descriptor, name = mkstemp(prefix="triton-", suffix=".log", dir=folder)
    os.close(descriptor)
    try:
        yield Path(name)
    except EndpointError:
        raise
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    Path(name).unlink(missing_ok=True)


class _LocalServer:
    """A Triton of our own, from the first need of it until the stack ends."""

    def __init__(self, repository: Path, progress: Progress, stack: ExitStack, settings: Mapping[str, Setting]) -> None:
        self._repository = repository
        self._progress = progress
        self._stack = stack
        self._settings = settings
        self._lock = threading.Lock()
        self._server: LocalTriton | None = None

    def begin(self) -> None:
        """Start the server, unless that was done."""
        self._started()

    def open(self, artifact: Artifact) -> Endpoint:
        """Load a graph and connect to it; closing the endpoint unloads it.

        Raises:
            EndpointError: the server does not start, or the graph does not load or answers wrongly.
        """
        from harness.inference.endpoints.triton import TritonEndpoint, parse_hosts

        server = self._started()
        if not server.is_listening:
            with self._told("starting Triton", "server"):
                server.wait_until_listening()
        setting = self._settings.get(artifact.name)
        with self._told(f"loading {artifact.name}", "model"):
            server.add(artifact.name, None if setting is None else self._config(artifact.name, setting))
        hosts, name = parse_hosts(server.uri), artifact.name
        opened = TritonEndpoint(hosts, artifact, closed=lambda: server.remove(name))
        if setting is not None:
            # One more for each instance is on its way, or has come and waits, while all of them compute.
            opened.concurrency = 2 * setting.instances
        return _checked(opened, artifact, self._repository)

    def _config(self, name: str, setting: Setting) -> dict[str, Any]:
        """Return the published config with other instances and threads."""
        from harness.inference.endpoints.model_config import config_json

        config = config_json(read_config(self._repository / name / CONFIG))
        (group,) = config["instance_group"]
        group["count"] = setting.instances
        config["parameters"]["intra_op_thread_count"] = {"string_value": str(setting.threads)}
        return config

    def processes(self, artifact: Artifact) -> list[int]:
        """Return the backend processes of a graph."""
        return [member.pid for member in self._started().members(artifact.name)]

    def stop(self) -> None:
        """Stop the server in order; where the stack ends without this, it is stopped as well."""
        if self._server is not None:
            with self._told("stopping Triton", "server"):
                self._server.stop()

    def _started(self) -> "LocalTriton":
        with self._lock:
            if self._server is None:
                # Before the server starts: a Ctrl-C in the middle of grpc's import can be swallowed there.
                from harness.inference.endpoints import triton as _loaded_early  # noqa: F401
                from harness.serving.server.local import LocalTriton

                log = self._stack.enter_context(_log_file(self._repository))
                self._server = self._stack.enter_context(LocalTriton(self._repository, log=log))
            return self._server

    @contextmanager
    def _told(self, description: str, unit: str) -> Iterator[None]:
        """Show a step, unless in the background, where the main thread shows its own."""
        shown: AbstractContextManager[Callable[[int], None]] = nullcontext(lambda _: None)
        if threading.current_thread() is threading.main_thread():
            shown = self._progress.step(description, 1, unit)
        with shown as advance:
            yield
            advance(1)


@contextmanager
def _local(
    artifacts: Sequence[Artifact], repository: Path, progress: Progress, settings: Mapping[str, Setting]
) -> Iterator[Connection]:
    for artifact in artifacts:
        check_published(artifact, repository)
    with ExitStack() as stack:
        server = _LocalServer(repository, progress, stack, settings)
        yield Connection("triton (local)", server.open, False, server.begin, processes=server.processes)
        server.stop()


def check_published(artifact: Artifact, repository: Path) -> None:
    """Refuse to serve another graph than the one that was exported.

    Raises:
        UsageError: the repository lacks the model or holds another graph under its name.
    """
    if not serves(artifact, repository):
        state = "is published from another export" if versions(repository / artifact.name) else "is not published"
        fix = f"publish it with `harness export --model {artifact.model}`"
        message = f"model {artifact.name!r} {state} in {repository}; {fix}"
        raise UsageError(message)
