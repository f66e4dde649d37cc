import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from harness import cli


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Run `harness ARGUMENTS` in this process; return its exit code."""
    handler = signal.getsignal(signal.SIGINT)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    yield run
    signal.signal(signal.SIGINT, handler)
