"""A Triton Inference Server on this machine, from the nvidia-pytriton wheel: no Docker, no GPU.

It ends with its parent: leaving the context stops the server and waits for it, and
`harness.serving.server.supervisor` stops it if the parent dies, even by kill -9.
"""

import json
import logging
import os
import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from types import TracebackType
from typing import Any, Self

from harness.core.errors import EndpointError, UsageError, nearest
from harness.inference.endpoints.numerics import SERVER, onnxruntime
from harness.serving.access import Access
from harness.serving.repository.config import check_name
from harness.serving.repository.layout import Profile
from harness.serving.server.process import Member, check_host, free_ports, is_free, members, spawn, stop
from harness.serving.server.running import Ended, RunningTriton
from harness.serving.server.supervisor import clean
from harness.serving.server.wheel import Wheel, build_runtime, environment, find_wheel

_LOGGER = logging.getLogger(__name__)
#: Called with a model's name and "loading", "loaded" (by the server's log) or "ready" (it answered right).
Progress = Callable[[str, str], None]

_POLL = 0.05
#: Seconds for a model that is unloaded to be gone: 1.4 for a graph of 1.1 GB, more where it still answers a batch.
_LEAVE = 300.0
_ATTEMPTS = 3
_CLASH = re.compile(r"failed to start \S+ service: .*already in use")
#: Logged just before a service that then fails to start, hence needed but not enough.
_STARTED = ("Started GRPCInferenceService", "Started HTTPService", "Started Metrics Service")
_LOADED = re.compile(r"successfully loaded '([^']+)'")


class LocalTriton(RunningTriton):
    """A local server as a context; inside it, every model is ready and has given its known answer.

    Without models, entering returns at once while the server starts; `add` waits for it, loads one, and
    `remove` unloads it. Those two may be called from any thread. Start it from the main thread: the
    kernel ends the server with the thread that started it.
    """

    def __init__(
        self,
        repository: Path,
        models: Sequence[str] = (),
        *,
        http_port: int | None = None,
        grpc_port: int | None = None,
        metrics_port: int | None = None,
        host: str = "127.0.0.1",
        profile: Profile = "evaluation",
        access: Access | None = None,
        log: Path,
        progress: Progress | None = None,
        timeout: float = 300.0,
    ) -> None:
        """Prepare a server; entering the context starts it.

        Args:
            repository: a model repository that `harness.serving.repository.store.publish` wrote.
            models: names of the models to load before the context is entered.
            http_port: as grpc_port and metrics_port, a free one where not given.
            grpc_port: where `harness.inference.endpoints.triton` connects.
            metrics_port: Prometheus metrics.
            host: the address to listen on; the default is reachable from this machine only.
            profile: which of a graph's configs is loaded.
            access: who may call what; its default closes the control API to all but this object.
            log: gets the server's output; it is emptied first.
            progress: called for each step of a model towards ready.
            timeout: seconds until all models must be ready; a graph of 1.1 GB loads in 6-9 s.

        Raises:
            UsageError: the repository lacks a model; names the nearest.
        """
        super().__init__(repository, host=host, profile=profile, access=access or Access(), log=log, timeout=timeout)
        self.models = list(dict.fromkeys(models))
        self._wanted_ports = {"http": http_port, "grpc": grpc_port, "metrics": metrics_port}
        self._progress: Progress = progress or (lambda _model, _state: None)
        self._loaded: set[str] = set()
        self._process: Popen[bytes] | None = None
        self._folder: Path | None = None
        #: Held while one thread waits for the server to listen, and while one loads a model.
        self._starting, self._loading = threading.Lock(), threading.Lock()
        self._listening = False
        #: What `remove` unloaded and may still be in memory.
        self._leaving: set[str] = set()
        self._check_published(self.models)

    def _check_published(self, names: Sequence[str]) -> None:
        known = sorted(path.parent.name for path in self.repository.glob("*/config.pbtxt"))
        for name in names:
            check_name(name)
            if name not in known:
                message = (
                    f"{self.repository} has no model {name!r}{nearest(name, known)}; "
                    "`harness export` publishes one, `harness models` lists them"
                )
                raise UsageError(message)

    @property
    def uri(self) -> str:
        """Return what `--endpoint` takes: ``triton://127.0.0.1:8001``, or ``tritons://`` with TLS."""
        return f"triton{'s' if self.access.tls else ''}://{self.host}:{self.grpc_port}"

    @property
    def pid(self) -> int:
        """Return the supervisor's process number, which is the session of server and stubs too."""
        if self._process is None:
            message = "the server is not running"
            raise ValueError(message)
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:  # Ctrl-C while models load included: __exit__ would not be called
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server and its stubs, and remove what it left in /tmp and /dev/shm."""
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        self._listening = False
        try:
            if process is not None:
                stop(process)
        finally:
            if folder is not None:  # the supervisor does this too, unless it never ran or was killed
                clean(folder)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the server ends, or so many seconds, as `harness serve` does.

        Raises:
            Ended: it ended by itself.
        """
        if self._process is not None:
            try:
                status = self._process.wait(seconds)
            except TimeoutExpired:
                return
            raise Ended(self._failure(f"Triton stopped by itself (exit status {status})"))

    def restart(self) -> None:
        """Start a server that ended by itself again, on the same ports and with the same models; its log is kept.

        Raises:
            EndpointError: it does not start, or a model does not give its known answer.
        """
        self.stop()
        self._wanted_ports = {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}
        if self.log.is_file():
            self.log.replace(self.log.with_suffix(f".ended{self.log.suffix}"))
        self._start()

    def _start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        for name in self.models:
            self._progress(name, "loading")
        self._spawn(find_wheel())
        if not self.models:
            return
        self.wait_until_listening()
        for name in self.models:
            self._check_loaded(name)

    @property
    def is_listening(self) -> bool:
        """Return whether the server was seen to listen since it was started."""
        return self._listening

    def wait_until_listening(self) -> None:
        """Wait until the server listens, which it does once the models that it was started with are loaded.

        The main thread starts it again with other ports where another process took one meanwhile.

        Raises:
            EndpointError: it does not start, or was stopped.
        """
        with self._starting:
            limit = time.monotonic() + self._timeout
            for attempt in range(1, _ATTEMPTS + 1):
                if self._listening or self._listens(limit):
                    self._listening = True
                    return
                is_clash = _CLASH.search(self._log_text()) and threading.current_thread() is threading.main_thread()
                self.stop()
                if attempt == _ATTEMPTS or not is_clash:
                    break
                _LOGGER.warning("a port was taken by another process meanwhile; starting Triton again with others")
                self._spawn(find_wheel())
            raise EndpointError(self._failure("Triton did not start"))

    def _check_loaded(self, name: str) -> None:
        self.check_profile(name)
        self.check(name)
        self._progress(name, "ready")

    def _spawn(self, wheel: Wheel) -> None:
        self._choose_ports()
        self.log.write_bytes(b"")
        self._loaded.clear()
        self._folder = Path(tempfile.mkdtemp(prefix="harness-triton-"))
        build_runtime(wheel, self._folder)
        command = [str(wheel.server), *self._options(self._folder)]
        self._process = spawn(command, environment(wheel, self._folder), self._folder, self.log)

    def _choose_ports(self) -> None:
        check_host(self.host)
        given = [port for port in self._wanted_ports.values() if port is not None]
        if len(given) > len(set(given)):
            given_ports = " ".join(f"--{service}-port {port}" for service, port in self._wanted_ports.items() if port)
            message = f"`{given_ports}`: each service needs a port of its own"
            raise UsageError(message)
        for service, port in self._wanted_ports.items():
            if port is not None and not is_free(self.host, port):
                message = (
                    f"{self.host}:{port} is taken by another process; "
                    f"stop that one, or choose another port with `harness serve --{service}-port`"
                )
                raise EndpointError(message)
        free = free_ports(self.host, len(self._wanted_ports))
        chosen = [port or other for port, other in zip(self._wanted_ports.values(), free, strict=True)]
        self.http_port, self.grpc_port, self.metrics_port = chosen

    def _options(self, folder: Path) -> list[str]:
        options = [
            # The stubs compute with the engine of this environment, and clients keep answers under its name.
            f"--id={SERVER}{onnxruntime()}",
            f"--model-repository={self.repository}",
            f"--backend-directory={folder / 'backends'}",
            f"--backend-config=python,shm-region-prefix-name={folder.name}",
            "--model-control-mode=explicit",
            "--disable-auto-complete-config",
            "--strict-readiness=true",
            "--exit-on-error=true",
            "--allow-gpu-metrics=false",
        ]
        for service in ("http", "grpc", "metrics"):
            options += [f"--{service}-address={self.host}", f"--{service}-port={getattr(self, f'{service}_port')}"]
        if self.profile != "evaluation":
            options.append(f"--model-config-name={self.profile}")
        options += self.access.options(self.host)
        return options + [f"--load-model={name}" for name in self.models]

    def _listens(self, limit: float) -> bool:
        """Wait until the server listens, which it does once all models are loaded; False if it fails.

        Raises:
            EndpointError: the time is over.
        """
        # Another thread may stop the server meanwhile.
        while (process := self._process) is not None and process.poll() is None:
            text = self._log_text()
            self._report_loaded(text)
            if _CLASH.search(text):
                break
            if all(line in text for line in _STARTED) and self.is_ready():
                return True
            if time.monotonic() > limit:
                raise EndpointError(self._failure(f"Triton was not ready after {self._timeout:.0f} s"))
            time.sleep(_POLL)
        return False

    def _report_loaded(self, text: str) -> None:
        for name in _LOADED.findall(text):
            if name in self.models and name not in self._loaded:
                self._loaded.add(name)
                self._progress(name, "loaded")

    def members(self, name: str) -> list[Member]:
        """Return the living backend processes of a model, of all its versions."""
        stub = re.compile(rf"{re.escape(name)}_\d+_\d+")  # group and instance
        return [member for member in members(self.pid) if any(stub.fullmatch(word) for word in member.command)]

    def lost_processes(self, name: str) -> int:
        """Return how many backend processes of a model are gone; Triton starts none again.

        Without an answer to a known question, this is how a dead model and a busy one differ.
        """
        instances = sum(int(group["count"]) for group in self.config(name)["instance_group"])
        return max(0, instances * len(self.served_versions(name)) - len(self.members(name)))

    def kill(self, name: str, *, only_stopped: bool = False) -> None:
        """Kill a model's backend processes: one that hangs would keep its memory and its requests."""
        for member in self.members(name):
            if member.is_stopped or not only_stopped:
                with suppress(ProcessLookupError):  # it ended meanwhile
                    os.kill(member.pid, signal.SIGKILL)

    def add(self, name: str, config: Mapping[str, Any] | None = None) -> None:
        """Load one more model; return when it gave its known answer.

        Waits until what `remove` unloaded is gone, so that memory holds no more than the models in use.

        Args:
            name: the model.
            config: instead of the file for this server's profile, in JSON form. A model that was once given one
                needs one each time: Triton does not read the file again.

        Raises:
            UsageError: the repository lacks it.
            ValueError: it is loaded.
            EndpointError: the server does not start, or the model does not load or answers wrongly.
        """
        self._check_published([name])
        self.wait_until_listening()
        with self._loading:
            if name in self.models:
                message = f"model {name!r} is loaded already"
                raise ValueError(message)
            while self._leaving:
                self.wait_until_gone(next(iter(self._leaving)), _LEAVE)
            self._progress(name, "loading")
            body = {} if config is None else {"parameters": {"config": json.dumps(config)}}
            self._request("POST", f"/v2/repository/models/{name}/load", name, body)
            self.models.append(name)
            self._progress(name, "loaded")
        try:
            self._check_loaded(name)
        except BaseException:
            self.remove(name)
            raise

    def remove(self, name: str) -> None:
        """Unload what `add` loaded, without waiting; its memory comes back within two seconds.

        Where the server has ended, there is nothing to unload.

        Raises:
            EndpointError: the server refuses.
        """
        process = self._process
        if name not in self.models or process is None or process.poll() is not None:
            return
        self.unload(name)
        self._leaving.add(name)
        self.models.remove(name)

    def wait_until_gone(self, name: str, seconds: float, versions: Sequence[int] | None = None) -> None:
        """Wait until versions of a model have answered their requests and are unloaded; all versions where None.

        Raises:
            EndpointError: they are still there after so many seconds, or the server ended.
        """
        limit = time.monotonic() + seconds
        while any(
            state in ("READY", "UNLOADING") and (versions is None or version in versions)
            for version, state in self.states(name).items()
        ):
            if time.monotonic() > limit:
                message = f"model {name!r} still answers old requests after {seconds:.0f} s"
                raise EndpointError(message)
            self.wait(_POLL)
        self._leaving.discard(name)
