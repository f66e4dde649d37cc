"""What `harness compare` prints: differences of runs against the first one, with everything a reader must know."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.artifacts.store import ArtifactStore
from harness.artifacts.workspace import Workspace
from harness.comparison import seeds
from harness.comparison.alignment import Aligned, align
from harness.comparison.differences import GroupDifference, differences
from harness.comparison.groups import By, check_by
from harness.comparison.runs import find
from harness.comparison.sheets import Sheet, p_text
from harness.comparison.signature import signature
from harness.core.errors import UsageError
from harness.core.languages import language as language_row
from harness.core.progress import Progress
from harness.core.tables import EMPTY

COLUMNS = (
    "task",
    "group",
    "languages",
    "n",
    "clusters",
    "left",
    "right",
    "difference",
    "95 % interval",
    "p (Holm)",
    "",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRequest:
    """What is compared, and how."""

    #: Folders, names of runs, models, or MODEL@VARIANT; the first is what the others are compared with.
    runs: tuple[str, ...]
    by: str = "script"
    tasks: tuple[str, ...] = ()
    #: The data folder, where it is not where the runs found it.
    data: Path | None = None
    #: Group the seeds of each recipe.
    seeds: bool = False
    #: Compare the common items of runs with different data or protocol.
    force: bool = False


def compare(request: ComparisonRequest, workspace: Workspace, progress: Progress) -> list[Sheet]:
    """Return one table for each run after the first, or for each recipe.

    Raises:
        UsageError: there is no such run, it is not finished, or the runs do not compare.
        DataError: the data folder is missing.
    """
    by = check_by(request.by)
    if len(request.runs) < (1 if request.seeds else 2):
        message = (
            "one run has nothing to be compared with; name two or more: `harness compare A B`, folders of runs, "
            "models, or MODEL@VARIANT"
        )
        raise UsageError(message)
    found, remarks = find(request.runs, workspace, seeds=request.seeds)
    if len(found) < 2:
        message = (
            f"{' and '.join(request.runs)} are one and the same run, {found[0].path}; name another one, "
            "`harness leaderboard` lists them"
        )
        raise UsageError(message)
    aligned = align(found, workspace, progress, chosen=request.tasks, data=request.data, force=request.force)
    if request.seeds:
        return seeds.sheets(aligned, by, workspace.artifacts, remarks, progress)
    rows = differences(aligned, by, progress)
    return sheets(aligned, by, rows, workspace.artifacts, remarks)


def sheets(
    aligned: Aligned, by: By, rows: Sequence[GroupDifference], store: ArtifactStore, remarks: Sequence[str] = ()
) -> list[Sheet]:
    """Return a table for each run after the first, from its differences."""
    tasks = [task.task.name for task in aligned.tasks]
    known = {run.path: signature(run, store, tasks) for run in aligned.runs}
    first = aligned.runs[0]
    found = []
    count = len(aligned.runs) - 1
    size = len(rows) // count
    for number, run in enumerate(aligned.runs[1:]):
        own = rows[number * size : (number + 1) * size]
        names = _names(first.name, run.name, first.path, run.path)
        found.append(
            Sheet(
                title=aligned.marked(f"{names[1]} minus {names[0]} by {by}, percentage points"),
                columns=[names[0] if name == "left" else names[1] if name == "right" else name for name in COLUMNS],
                rows=[_cells(row) for row in own],
                records=[record(row) for row in own],
                notes=[
                    *notes(own, aligned, number + 1),
                    f"{names[0]}: {known[first.path]}",
                    f"{names[1]}: {known[run.path]}",
                    *remarks,
                    *aligned.remarks,
                ],
                beside={
                    "by": by,
                    "left": {"name": first.name, "run": str(first.path), "signature": known[first.path]},
                    "right": {"name": run.name, "run": str(run.path), "signature": known[run.path]},
                    "families": families(own),
                },
            )
        )
    return found


def _names(left: str, right: str, left_path: Path, right_path: Path) -> tuple[str, str]:
    """Return how two runs are called: by their folders where model and variant are the same."""
    return (left, right) if left != right else (f"{left} ({left_path.name})", f"{right} ({right_path.name})")


def _cells(row: GroupDifference) -> list[str]:
    interval = EMPTY if row.interval is None else f"[{row.interval.low:+.1f}, {row.interval.high:+.1f}]"
    marks = [*(["*"] if row.significant else []), *row.marks, *([f"({row.problem})"] if row.problem else [])]
    return [
        row.task,
        row.group,
        str(len(row.languages)),
        f"{row.examples:,}",
        f"{row.clusters:,}",
        f"{row.left_score:.1f}",
        f"{row.right_score:.1f}",
        f"{row.value:+.1f}",
        interval,
        p_text(row.corrected),
        " ".join(marks),
    ]


def record(row: GroupDifference) -> dict[str, Any]:
    """Return a row as JSON and CSV have it: every digit, points."""
    return {
        "left": row.left,
        "right": row.right,
        "task": row.task,
        "group": row.group,
        "languages": list(row.languages),
        "examples": row.examples,
        "clusters": row.clusters,
        "left_score": row.left_score,
        "right_score": row.right_score,
        "difference": row.value,
        "low": None if row.interval is None else row.interval.low,
        "high": None if row.interval is None else row.interval.high,
        "interval_method": row.interval_method,
        "p": row.p_value,
        "test": row.test,
        "p_holm": row.corrected,
        "family": row.family,
        "family_size": row.family_size,
        "marks": list(row.marks),
        "problem": row.problem,
    }


def families(rows: Iterable[GroupDifference]) -> Mapping[str, int]:
    """Return the number of tests of each family that rows belong to."""
    return {row.family: row.family_size for row in rows if row.family_size}


def notes(rows: Sequence[GroupDifference], aligned: Aligned, number: int) -> list[str]:
    """Return what a reader of a table of differences must know.

    Args:
        rows: of the table.
        aligned: the runs.
        number: of the run that is compared with the first.
    """
    sizes = ", ".join(f"{name} {size}" for name, size in families(rows).items())
    lines = [
        "* p (Holm) at most 0.05; Holm's correction within each family of tests, with their number: "
        f"{sizes or 'none'}; means count languages and tasks equally; clusters are independent items"
    ]
    for mark in dict.fromkeys(mark for row in rows for mark in row.marks):
        tasks = [task.task.name for task in aligned.tasks if any(mark in cell.marks[number] for cell in task.cells)]
        lines.append(f"{mark}: differs between the two runs in {', '.join(tasks)}{_detail(aligned, number, mark)}")
    partial = [
        f"{task.task.name} ({label})"
        for task in aligned.tasks
        if (label := next((each.label for each in task.records if not each.complete), ""))
    ]
    if partial:
        lines.append(f"not the whole official test set: {'; '.join(partial)}")
    if rows and all(language_row(code).script == "Latn" for row in rows for code in row.languages):
        lines.append("all languages are in Latin script")
    return lines


def _detail(aligned: Aligned, number: int, mark: str) -> str:
    """Return what a difference between two runs is, where it is one of the whole network."""
    layers = {
        (task.records[0].representation, task.records[number].representation)
        for task in aligned.tasks
        if any(mark == "layer" and mark in cell.marks[number] for cell in task.cells)
    }
    if layers:
        return ": " + "; ".join(f"{before or 'none'} and {after or 'none'}" for before, after in sorted(layers))
    if mark == "encoder":
        known = [aligned.networks[each].encoder or "not known" for each in (0, number)]
        return f": {known[0]} and {known[1]}"
    return ""
