"""The first Ctrl-C asks, the second ends."""

import signal
import threading

import pytest

from training.stopping import stop_on_first_interrupt


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_first_interrupt_is_noted_and_reported() -> None:
    said: list[str] = []
    with stop_on_first_interrupt(said.append) as stop:
        assert not stop.requested
        interrupt()
        assert stop.requested
    assert ["Ctrl-C again" in line for line in said] == [True]


def test_second_interrupt_ends_at_once() -> None:
    with stop_on_first_interrupt(lambda line: None):
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def test_interrupts_do_afterwards_what_they_did_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_first_interrupt(lambda line: None):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_stream_that_is_being_written_does_not_lose_the_request() -> None:
    def say(line: str) -> None:
        message = "reentrant call"
        raise RuntimeError(message)

    with stop_on_first_interrupt(say) as stop:
        interrupt()
    assert stop.requested


def test_other_threads_leave_the_handler_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with stop_on_first_interrupt(lambda line: None) as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
