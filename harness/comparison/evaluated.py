"""What `harness eval` prints of runs that it has just finished: the differences and intervals of the other commands.

The rooms below this one cannot call it; `harness/commands/evaluate.py` can.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from harness.artifacts.run import SCORES, read_run
from harness.artifacts.workspace import Workspace
from harness.comparison.alignment import align
from harness.comparison.comparing import ComparisonRequest, compare, notes
from harness.comparison.differences import GroupDifference, differences
from harness.comparison.groups import EVERY_LANGUAGE, By
from harness.comparison.runs import FinishedRun
from harness.comparison.scores import measured_scores
from harness.comparison.signature import signature
from harness.core.errors import HarnessError, UsageError
from harness.core.files import code_sha256, content_sha256, write_text
from harness.core.languages import scripts
from harness.core.progress import Progress, Silent
from harness.core.tables import EMPTY, Table

#: Kept in a run's folder, so that a finished run is printed at once.
INTERVALS = "intervals.json"
_PACKAGE = Path(__file__).parents[1]
#: How `harness eval` groups languages in its tables.
_TABLES: tuple[By, ...] = ("language", "script", "family")


class Intervals(msgspec.Struct, frozen=True, kw_only=True):
    """Half the width of each 95 % interval of a finished run, in points."""

    #: SHA-256 of the record that they belong to, and of the code that computes them.
    scores_sha256: str
    code_sha256: str
    #: Task -> language, script, family or "mean" -> half.
    tasks: dict[str, dict[str, float]]
    #: Why scores have no interval, a sentence each.
    problems: list[str]

    @property
    def halves(self) -> dict[tuple[str, str], float]:
        """Return them by task and group."""
        return {(task, group): half for task, groups in self.tasks.items() for group, half in groups.items()}


def intervals(folder: Path, workspace: Workspace, progress: Progress | None = None) -> Intervals:
    """Return the intervals of a finished run's scores, computed once for each record.

    Args:
        folder: of the run.
        workspace: where data and graphs are.
        progress: shows what is read; nothing where None.
    """
    digest, code = content_sha256(folder / SCORES), code_sha256(_PACKAGE, ("statistics", "comparison"))
    path = folder / INTERVALS
    if path.is_file():
        with suppress(msgspec.MsgspecError):
            # What another version wrote, or a cut file, is computed again.
            known = msgspec.json.decode(path.read_bytes(), type=Intervals)
            if (known.scores_sha256, known.code_sha256) == (digest, code):
                return known
    try:
        aligned = align([FinishedRun(folder, read_run(folder))], workspace, progress or Silent())
    except HarnessError as error:
        return Intervals(scores_sha256=digest, code_sha256=code, tasks={}, problems=[f"no intervals: {error}"])
    tasks: dict[str, dict[str, float]] = {}
    problems: dict[str, list[str]] = {}
    for by in _TABLES:
        for row in measured_scores(aligned, by):
            if row.measured is not None:
                tasks.setdefault(row.task, {})[row.group] = row.measured.interval.half
            elif by == "language":
                problems.setdefault(row.problem, []).append(f"{row.task} {row.group}")
    found = Intervals(
        scores_sha256=digest,
        code_sha256=code,
        tasks=tasks,
        problems=[f"no interval of {', '.join(names)}: {problem}" for problem, names in problems.items()],
    )
    if os.access(folder, os.W_OK):
        write_text(path, msgspec.json.encode(found).decode() + "\n")
    return found


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
    yield difference_table(rows, aligned.marked(f"{runs[1].name} minus {runs[0].name} by {by}, points")).text()
    yield from notes(rows, aligned, 1)
    yield f"intervals and p-values of each: `harness compare {first} {other} --by {by}`"


def seed_lines(folders: Sequence[Path], workspace: Workspace, progress: Progress | None = None) -> Iterator[str]:
    """Yield for each recipe its mean, spread and interval over seeds, or its differences from the first recipe.

    Args:
        folders: of the runs of all seeds.
        workspace: where data and graphs are.
        progress: shows what is read; nothing where None.
    """
    request = ComparisonRequest(runs=tuple(map(str, folders)), seeds=True)
    try:
        sheets = compare(request, workspace, progress or Silent())
    except UsageError as error:
        yield f"not compared: {error}"
        return
    for sheet in sheets:
        yield ""
        yield Table(sheet.title, sheet.columns, sheet.rows).text()
        yield from sheet.notes


def difference_table(rows: Sequence[GroupDifference], title: str) -> Table:
    """Return one row for each task, one column for each group: ``+5.8 ±2.1*``, the star where p (Holm) is at most 0.05.

    Args:
        rows: right minus left, of one pair of runs.
        title: of the table.
    """
    cells = {(row.task, row.group): _difference(row) for row in rows}
    tasks, names = (list(dict.fromkeys(key[at] for key in cells)) for at in (0, 1))
    # Tasks have other scripts in other orders; those of all tables come first.
    ordered = [name for name in scripts() if name in names] + [name for name in names if name not in scripts()]
    columns = [name for name in ordered if name != EVERY_LANGUAGE] + [EVERY_LANGUAGE]
    return Table(
        title, ["task", *columns], [[task, *(cells.get((task, name), EMPTY) for name in columns)] for task in tasks]
    )


def _difference(row: GroupDifference) -> str:
    half = "" if row.interval is None else f" ±{row.interval.half:.1f}"
    return f"{row.value:+.1f}{half}{'*' if row.significant else ''}"


def signature_line(folder: Path, workspace: Workspace) -> str:
    """Return the signature of a finished run: ``signature suite:xtreme-r|tasks:xnli|...``."""
    return f"signature {signature(FinishedRun(folder, read_run(folder)), workspace.artifacts)}"
