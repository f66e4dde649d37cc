"""All runs of a workspace as one table: one row for each model and variant, a column for each task."""

from collections.abc import Sequence
from typing import Any

from harness.benchmark.tasks import names as task_names
from harness.comparison.runs import FinishedRun, Found, newest
from harness.comparison.sheets import Sheet
from harness.core.errors import UsageError, nearest
from harness.core.tables import EMPTY

MODEL, CREATED, MEAN = "model", "created", "mean"
#: Marks a task that was not scored on its whole official test set.
PARTIAL = "~"


def board(found: Found, *, sort: str = MODEL, every: bool = False) -> Sheet:
    """Return the table of a workspace's runs.

    Args:
        found: the runs.
        sort: ``model``, ``created`` (newest first), ``mean`` or a task (best first); what lacks a number comes last.
        every: all runs, not only the newest of each model and variant.

    Raises:
        UsageError: there is no finished run, or no such column.
    """
    runs = list(found.finished) if every else newest(found.finished)
    if not runs:
        message = "there is no finished run here; `harness eval --model NAME` makes one, HARNESS_HOME names a workspace"
        raise UsageError(message)
    declared = task_names()
    scored = dict.fromkeys(name for run in runs for name in run.record.tasks)
    tasks = [*(name for name in declared if name in scored), *(name for name in scored if name not in declared)]
    known = (MODEL, CREATED, MEAN, *tasks)
    if sort not in known:
        message = f"no column {sort!r}{nearest(sort, known)}; `--sort` is one of {', '.join(known)}"
        raise UsageError(message)
    runs = _sorted(runs, sort)
    rows = [_row(run, tasks) for run in runs]
    return Sheet(
        title=f"{len(runs):,} {'run' if len(runs) == 1 else 'runs'}, percent",
        columns=["model", *tasks, MEAN, "run"],
        rows=rows,
        records=[_record(run, tasks) for run in runs],
        best=_best(runs, tasks),
        notes=[
            f"{EMPTY} not scored; {PARTIAL} not the whole official test set; mean: over the tasks that a run has, with "
            "their number, and not the overall number of a suite; `harness compare A B` says how sure a difference is",
            *(f"not finished: {path}" for path in found.unfinished),
            *(f"damaged: {line}" for line in found.damaged),
        ],
    )


def _mean(run: FinishedRun) -> float | None:
    scores = [task.score for task in run.record.tasks.values()]
    return sum(scores) / len(scores) if scores else None


def _sorted(runs: Sequence[FinishedRun], sort: str) -> list[FinishedRun]:
    if sort == MODEL:
        return sorted(runs, key=lambda run: run.name)
    if sort == CREATED:
        return sorted(runs, key=lambda run: run.record.provenance.created, reverse=True)

    def key(run: FinishedRun) -> tuple[bool, float, str]:
        value = _mean(run) if sort == MEAN else _score(run, sort)
        return value is None, -(value or 0.0), run.name

    return sorted(runs, key=key)


def _score(run: FinishedRun, task: str) -> float | None:
    record = run.record.tasks.get(task)
    return None if record is None else record.score


def _row(run: FinishedRun, tasks: Sequence[str]) -> list[str]:
    cells = []
    for name in tasks:
        record = run.record.tasks.get(name)
        cells.append(EMPTY if record is None else f"{record.score:.1f}{'' if record.complete else PARTIAL}")
    mean = _mean(run)
    return [run.name, *cells, EMPTY if mean is None else f"{mean:.1f} ({len(run.record.tasks)})", run.path.name]


def _record(run: FinishedRun, tasks: Sequence[str]) -> dict[str, Any]:
    return {
        "model": run.record.model,
        "variant": run.record.variant,
        "run": str(run.path),
        "created": run.record.provenance.created,
        "suite": run.record.suite,
        **{name: _score(run, name) for name in tasks},
        "mean": _mean(run),
        "tasks": len(run.record.tasks),
        "partial": [name for name, record in run.record.tasks.items() if not record.complete],
    }


def _best(runs: Sequence[FinishedRun], tasks: Sequence[str]) -> frozenset[tuple[int, int]]:
    """Return the cells of the best score of each task; of whole test sets where any run has one."""
    found = set()
    for column, name in enumerate(tasks, start=1):
        whole = any(run.record.tasks[name].complete for run in runs if name in run.record.tasks)
        scores = {
            row: run.record.tasks[name].score
            for row, run in enumerate(runs)
            if name in run.record.tasks and (run.record.tasks[name].complete or not whole)
        }
        best = max(scores.values())
        if len(runs) > 1:
            found |= {(row, column) for row, value in scores.items() if value == best}
    return frozenset(found)
