"""From what `--endpoint` says to endpoints: in process, a running Triton, or one of our own."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from harness.artifacts import Artifact
from harness.endpoints import Endpoint, check_signature
from harness.errors import EndpointError, UsageError, nearest
from harness.progress import Progress
from harness.serving.repository import serves, versions

Connect = Callable[[Artifact], Endpoint]


@dataclass(frozen=True, slots=True)
class Connection:
    """How to open endpoints, and how results name the way."""

    name: str
    open: Connect
    #: Whether a server answers, so that its state is worth asking before any work.
    remote: bool


@contextmanager
def connection(
    endpoint: str | None, artifacts: Sequence[Artifact], repository: Path, progress: Progress
) -> Iterator[Connection]:
    """Give a way to open endpoints for the artifacts; never falls back from one way to another.

    Args:
        endpoint: None for a local Triton that lives as long as the context; ``onnx`` for this
            process; ``triton://host:port[,host:port]`` for a server that runs already, ``tritons://`` for
            one with TLS.
        artifacts: every graph that will be asked.
        repository: what a local Triton serves.
        progress: told when a local Triton starts and is ready.

    Raises:
        UsageError: `endpoint` is none of these.
        EndpointError: the server does not start, is down, or lacks a model.
    """
    if endpoint is None:
        with _local(artifacts, repository, progress) as local:
            yield local
    elif endpoint == "onnx":
        from harness.endpoints.onnx import OnnxEndpoint

        yield Connection("onnx", lambda artifact: _checked(OnnxEndpoint.of(artifact), artifact), False)
    elif endpoint.startswith(("triton://", "tritons://")):
        yield _remote(endpoint)
    else:
        hint = nearest(endpoint, ("onnx", "triton://localhost:8001"))
        message = f"no endpoint {endpoint!r}{hint}; it is `onnx`, `triton[s]://host:port[,host:port]`, or left out"
        raise UsageError(message)


def _checked(endpoint: Endpoint, artifact: Artifact) -> Endpoint:
    check_signature(endpoint, artifact)
    return endpoint


def _remote(uri: str) -> Connection:
    from harness.endpoints.triton import TritonEndpoint, parse_hosts, parse_tls

    hosts, tls = parse_hosts(uri), parse_tls(uri, os.environ)
    return Connection(uri, lambda artifact: _checked(TritonEndpoint(hosts, artifact, tls=tls), artifact), True)


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


@contextmanager
def _local(artifacts: Sequence[Artifact], repository: Path, progress: Progress) -> Iterator[Connection]:
    # Before the server starts: a Ctrl-C in the middle of grpc's import can be swallowed there.
    from harness.endpoints import triton as _loaded_early  # noqa: F401
    from harness.serving.local import LocalTriton

    for artifact in artifacts:
        check_published(artifact, repository)
    names = [artifact.name for artifact in artifacts]
    with _log_file(repository) as log:
        server = LocalTriton(
            repository, names, log=log, progress=lambda _, state: started(1) if state == "ready" else None
        )
        with ExitStack() as stack:
            with progress.step(f"starting Triton with {len(names)} models", len(names), "models") as started:
                stack.enter_context(server)
            yield Connection("triton (local)", _remote(server.uri).open, True)
            with progress.step("stopping Triton", 1, "server") as stopped:
                server.stop()
                stopped(1)


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
