"""Progress for people: bars on a terminal, one line for each finished step elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from harness.core.output import shown, unguarded
from harness.core.progress import Advance, counted, unit_of

#: Steps that took less time say nothing outside a terminal.
_WORTH_SAYING = 2.0


class Terminal:
    """Shows progress on standard error, so that standard output holds results only."""

    def __init__(self) -> None:
        # Bars move the cursor, which the guard of standard error would show instead of doing it.
        self._console = Console(file=unguarded(sys.stderr), highlight=False)

    @contextmanager
    def step(self, description: str, total: int, unit: str) -> Iterator[Advance]:
        """See `harness.core.progress.Progress`."""
        description = shown(description)
        begin = time.monotonic()
        done = 0
        if not self._console.is_terminal:

            def count(newly: int) -> None:
                nonlocal done
                done += newly

            yield count
            seconds = time.monotonic() - begin
            if seconds >= _WORTH_SAYING:
                self.say(f"{description}: {counted(done, unit)} in {seconds:.1f} s")
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit_of(total, unit)),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(description, total=total)
            yield lambda newly: bar.advance(task, newly)
        seconds = time.monotonic() - begin
        if seconds >= _WORTH_SAYING:
            self.say(f"{description}: {seconds:.1f} s")

    def say(self, line: str) -> None:
        """See `harness.core.progress.Progress`."""
        print(shown(line), file=sys.stderr, flush=True)  # noqa: T201 - nothing else writes status lines
