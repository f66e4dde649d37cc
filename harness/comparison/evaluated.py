"""What `harness eval` prints of runs that it has just finished: the differences and intervals of the other commands.

The rooms below this one cannot call it; `harness/commands/evaluate.py` can.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.artifacts.run import read_run
from harness.artifacts.workspace import Workspace
from harness.comparison.alignment import align
from harness.comparison.comparing import notes, shortened
from harness.comparison.differences import differences
from harness.comparison.groups import By
from harness.comparison.runs import FinishedRun
from harness.comparison.scores import GroupScore, measured_scores
from harness.comparison.signature import signature
from harness.core.errors import UsageError
from harness.core.progress import Progress, Silent
from harness.core.tables import Table


def run_differences(
    first: Path, other: Path, workspace: Workspace, progress: Progress | None = None, by: By = "script"
) -> Iterator[str]:
    """Yield the table of the differences between two finished runs, and what a reader of it must know.

    Runs that do not compare get the sentence that says why, and no table.

    Args:
        first: folder of the run that the other is compared with.
        other: folder of the other run.
        workspace: where data and graphs are.
        progress: shows what is read; nothing where None.
        by: how languages are grouped.
    """
    runs = [FinishedRun(folder, read_run(folder)) for folder in (first, other)]
    shown = progress or Silent()
    try:
        aligned = align(runs, workspace, shown)
    except UsageError as error:
        yield f"not compared: {error}"
        return
    rows = differences(aligned, by, shown)
    title = aligned.marked(f"{runs[1].name} minus {runs[0].name} by {by}, percentage points")
    columns, cells = shortened(rows)
    yield Table(title, columns, cells).text()
    yield from notes(rows, aligned, 1)


def measured(
    folder: Path, workspace: Workspace, progress: Progress | None = None, by: By = "language"
) -> Mapping[tuple[str, str], GroupScore]:
    """Return the scores of a finished run with their intervals, by task and group.

    ``measured(...)["xnli", "sw"].text()`` is ``72.8 ±1.2, n 5,010``; the group ``mean`` is that of all languages.

    Raises:
        UsageError: the run has no journal, or its data changed.
    """
    aligned = align([FinishedRun(folder, read_run(folder))], workspace, progress or Silent())
    return {(row.task, row.group): row for row in measured_scores(aligned, by)}


def signature_line(folder: Path, workspace: Workspace) -> str:
    """Return the signature of a finished run: ``signature suite:xtreme-r|tasks:xnli|...``."""
    return f"signature {signature(FinishedRun(folder, read_run(folder)), workspace.artifacts)}"
