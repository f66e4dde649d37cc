"""Ctrl-C while training: the first one requests a stop after the step that runs, the second one ends at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(slots=True)
class Stop:
    """Whether a stop was requested."""

    requested: bool = False


@contextmanager
def stop_on_first_interrupt(say: Callable[[str], None]) -> Iterator[Stop]:
    """Give what an interrupt sets; whoever trains looks at it after each step.

    From then on interrupts do what they did before, so a second one ends the process. Only the main thread is
    sent signals; in any other this changes nothing.

    Args:
        say: shows that the first one was received.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: object) -> None:
        stop.requested = True
        signal.signal(signal.SIGINT, before)
        # What was interrupted may have been writing to the same stream, which refuses to be entered twice.
        with suppress(RuntimeError):
            say("stopping after this step, with a state to resume from; Ctrl-C again ends at once")

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
