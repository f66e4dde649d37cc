"""The process between a client and its server: neither server nor stub outlives the client.

Run as a script, with the standard library only. The kernel signals it when the client dies; it stops the
server, gives its children time to end, kills what is left and removes its files. The
server alone is not enough: killed while it loads a model, it leaves a stub that waits forever.
"""

import ctypes
import math
import os
import shutil
import signal
import sys
import time
from pathlib import Path

#: Seconds between SIGTERM and SIGKILL. A stop takes 3 s, more where a batch is being answered.
PATIENCE = 15.0
#: Seconds that stubs have to end once the server is gone: 0.75 measured.
_STUB_PATIENCE = 2.0
_WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
#: From linux/prctl.h.
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def _die_with(parent: int) -> bool:
    """Request SIGTERM at the parent's death; False if it died before that."""
    return ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) == 0 and os.getppid() == parent


def _start(command: list[str]) -> int:
    supervisor = os.getpid()
    server = os.fork()
    if server == 0:
        try:
            os.setpgid(0, 0)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            if _die_with(supervisor):
                os.execv(command[0], command)
        finally:
            os._exit(127)
    return server


def _outlast(server: int) -> int:
    """Return the server's exit status once it and all its children are gone."""
    status, deadline = 127, math.inf
    alive = True
    while True:
        try:
            ended, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if ended == server:
            alive, status = False, os.waitstatus_to_exitcode(raw)
            deadline = time.monotonic() + _STUB_PATIENCE
        if ended:
            continue
        if time.monotonic() >= deadline:
            # Safe against reuse of the number: a child that is not yet reaped holds the group.
            os.killpg(server, signal.SIGKILL)
        received = signal.sigtimedwait(_WATCHED, 0.05)
        if received is not None and received.si_signo != signal.SIGCHLD:
            if alive and deadline == math.inf:
                os.kill(server, signal.SIGTERM)
                deadline = time.monotonic() + PATIENCE
            else:  # the second signal
                deadline = 0.0


def clean(folder: Path) -> None:
    """Remove a server's folder, and the shared memory under its name that killed stubs left."""
    for path in Path("/dev/shm").glob(f"{folder.name}*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def main(parent: int, folder: Path, command: list[str]) -> int:
    """Run a command until it ends or the parent does; then remove the folder."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    # Orphaned stubs become children of this process, so that it can wait for them.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        status = _outlast(_start(command)) if _die_with(parent) else 1
    finally:
        clean(folder)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
