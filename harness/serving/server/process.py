"""A server as a child process that cannot outlive its parent, and the ports it listens on."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.core.errors import UsageError
from harness.serving.server import supervisor

_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
_HELD = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
#: Seconds that the supervisor may take beyond what it gives the server.
_MARGIN = 10.0


def spawn(command: Sequence[str], variables: Mapping[str, str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a server under a supervisor, which also ends it when this process dies in whatever way.

    In a session of their own, so that Ctrl-C in the terminal reaches only the client, which then
    stops the server in order. Not with preexec_fn: that is not safe beside threads, as gRPC's are.

    Args:
        command: the server's program and arguments.
        variables: its environment.
        folder: removed when the server has ended; shared memory whose name starts with the
            folder's is removed too.
        log: its output is appended here.

    Raises:
        ValueError: not called from the main thread: the kernel watches the thread, not the process.
    """
    if threading.current_thread() is not threading.main_thread():
        message = "a server must be started from the main thread, or it stops when the starting thread ends"
        raise ValueError(message)
    # Isolated and without site: nothing but the standard library, which halves its start.
    script = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), str(folder)]
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*script, *command],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End what `spawn` started and wait for it; interrupted by Ctrl-C, end it the hard way."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(supervisor.PATIENCE + _MARGIN)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)  # the second one makes the supervisor kill
            process.wait()


@dataclass(frozen=True, slots=True)
class Member:
    """A living process of a session."""

    pid: int
    #: Its program and arguments.
    command: tuple[str, ...]
    #: Processor time that it has used, all threads together.
    seconds: float
    #: Whether a signal or a debugger holds it.
    is_stopped: bool = False


def members(session: int) -> list[Member]:
    """Return the living processes of a session; those that wait to be reaped do not count."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) != session:
                continue
            process = psutil.Process(pid)
            with process.oneshot():
                status, times, command = process.status(), process.cpu_times(), process.cmdline()
        except (ProcessLookupError, psutil.NoSuchProcess):  # it ended meanwhile; a zombie is one too
            continue
        if status not in _ENDED:
            found.append(Member(pid, tuple(command), times.user + times.system, status in _HELD))
    return found


def check_host(host: str) -> None:
    """Refuse an address on which this machine cannot listen.

    Raises:
        UsageError: it is empty, unknown, or another machine's.
    """
    reason = "it is empty"
    if host:
        try:
            free_ports(host, 1)
            return
        except OSError as error:
            reason = error.strerror or repr(error)
        except UnicodeError:
            reason = "it is no name of a machine"
    message = f"cannot listen on `--host {host!r}`: {reason}; 127.0.0.1 is this machine only, 0.0.0.0 all its addresses"
    raise UsageError(message)


def free_ports(host: str, count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((host, 0))
        return [each.getsockname()[1] for each in sockets]


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on a port."""
    with socket.socket() as probe:
        # As servers do: connections that ended a minute ago do not keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
