"""Serve what is published: for `harness serve` until Ctrl-C, or in the background of a Python program."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from harness.core.errors import EndpointError, UsageError, nearest
from harness.core.progress import Progress, counted
from harness.serving.access import Access
from harness.serving.repository.layout import Profile, is_text, published, with_text
from harness.serving.server.local import LocalTriton
from harness.serving.server.running import Ended
from harness.serving.server.selection import check_published, read_configs
from harness.serving.server.service import Service

#: Each end of the server within so many seconds doubles the pause before the next start, up to `_PAUSE` seconds.
_WINDOW, _PAUSE = 300.0, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the services listen; a free port where None."""

    http: int | None = None
    grpc: int | None = None
    metrics: int | None = None


def check_profile(name: str) -> Profile:
    """Return the profile of a name.

    Raises:
        UsageError: there is no such profile.
    """
    known = get_args(Profile)
    if name not in known:
        message = f"no profile {name!r}{nearest(name, known)}; the profiles are {' and '.join(known)}"
        raise UsageError(message)
    return cast("Profile", name)


def serve(
    repository: Path,
    wanted: Sequence[str],
    *,
    ports: Ports,
    host: str,
    profile: Profile,
    access: Access,
    log: Path,
    progress: Progress,
) -> Iterator[str]:
    """Serve models until Ctrl-C; yield lines with the addresses.

    Args:
        repository: the model repository.
        wanted: names of models or of graphs; all that is published where empty.
        ports: where the services listen.
        host: the address they listen on.
        profile: which of each graph's configs is loaded; text models belong to ``online``.
        access: who may call what.
        log: gets the server's output.
        progress: shows each model, and everything that changes.

    Raises:
        UsageError: nothing is published under such a name.
        ArtifactError: what a graph selects is damaged; the message has the command that serves the others.
        EndpointError: the server does not start, or a model cannot be healed. One that ends by itself is started
            again, on the same ports.
    """
    with _started(repository, wanted, ports, host, profile, access, log, progress) as (server, service):
        address = f"http://{server.http_host}"
        yield (
            f"Triton serves {counted(len(server.models), 'models')}: gRPC {server.uri}, "
            f"HTTP {address}:{server.http_port}, metrics {address}:{server.metrics_port}/metrics"
        )
        if profile == "evaluation":
            yield f"evaluate with `harness eval --endpoint {server.uri}`; Ctrl-C stops it"
        else:
            yield f"send texts with `harness predict --endpoint {server.uri}`; Ctrl-C stops it"
        ended: list[float] = []
        while True:
            try:
                service.run()
            except Ended as error:
                service = _restarted(server, error, ended, progress)


def _restarted(server: LocalTriton, error: Ended, ended: list[float], progress: Progress) -> Service:
    """Start a server again that ended, as Triton 2.51 does at deeply nested JSON; return what watches over it.

    Args:
        server: what ended.
        error: how.
        ended: when it ended before, in seconds of a monotonic clock; this time is added.
        progress: shows it.

    Raises:
        ArtifactError: what a graph selects is damaged meanwhile.
        EndpointError: it does not start again.
    """
    now = time.monotonic()
    lately = sum(now - each < _WINDOW for each in ended)
    ended.append(now)
    pause = min(2.0**lately - 1, _PAUSE)
    progress.say(f"{str(error).splitlines()[0]}; starting it again" + (f" in {pause:.0f} s" if pause else ""))
    time.sleep(pause)
    check_published(server.repository, [name for name in server.models if not is_text(name)], server.profile)
    configs = read_configs(server.repository, server.models, server.profile)
    server.restart()
    progress.say(f"Triton serves {counted(len(server.models), 'models')} again: gRPC {server.uri}")
    return Service(server, configs, progress)


@contextmanager
def background(
    repository: Path,
    wanted: Sequence[str],
    *,
    ports: Ports,
    profile: Profile,
    access: Access,
    log: Path,
    progress: Progress,
) -> Iterator[LocalTriton]:
    """Serve models on loopback inside a `with` block; a thread follows the repository and heals as `serve` does.

    Args:
        repository: the model repository.
        wanted: names of models or of graphs; all that is published where empty.
        ports: where the services listen.
        profile: which of each graph's configs is loaded.
        access: who may call what.
        log: gets the server's output.
        progress: shows each model, and everything that changes.

    Raises:
        UsageError, ArtifactError, EndpointError: see `serve`; an error of the thread is raised when the block ends.
    """
    failed: list[Exception] = []
    stopped = threading.Event()
    with _started(repository, wanted, ports, "127.0.0.1", profile, access, log, progress) as (server, service):

        def watch() -> None:
            try:
                service.run(stopped)
            except EndpointError as error:
                failed.append(error)

        watcher = threading.Thread(target=watch, name="service", daemon=True)
        watcher.start()
        try:
            yield server
        finally:
            stopped.set()
            watcher.join()
    if failed:
        raise failed[0]


@contextmanager
def _started(
    repository: Path,
    wanted: Sequence[str],
    ports: Ports,
    host: str,
    profile: Profile,
    access: Access,
    log: Path,
    progress: Progress,
) -> Iterator[tuple[LocalTriton, Service]]:
    """Check what is published, start a server of it, and give both the server and what watches over it."""
    graphs = published(repository, wanted)
    names = with_text(repository, graphs) if profile == "online" else graphs
    check_published(repository, graphs, profile)
    configs = read_configs(repository, names, profile)
    log.parent.mkdir(parents=True, exist_ok=True)
    with LocalTriton(
        repository,
        names,
        http_port=ports.http,
        grpc_port=ports.grpc,
        metrics_port=ports.metrics,
        host=host,
        profile=profile,
        access=access,
        log=log,
    ) as server:
        service = Service(server, configs, progress)
        for name in names:
            progress.say(f"{name}: version {service.version(name)}, {profile}, ready")
        yield server, service
