"""Two models over several seeds: the difference of each task on each script, with its range.

    harness bench seeds --left runs/english.1 runs/english.2 --right runs/mixed.1 runs/mixed.2

Runs are paired in their order: both sides of a pair have one seed, hence one phase 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.core.options import bench_parser
from benchmarks.core.report import guarded
from harness.artifacts.run import SCORES
from harness.core import machine
from harness.core.errors import UsageError
from harness.core.files import read_json, write_json
from harness.core.languages import scripts
from harness.core.tables import EMPTY, Table

#: The column of the mean over all languages.
MEAN = "mean"


@dataclass(frozen=True, slots=True)
class ModelDifference:
    """Right minus left of one task on one script, in percentage points, one for each seed."""

    task: str
    script: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean over the seeds."""
        return float(np.mean(self.values))

    def describe(self) -> str:
        """Return the mean with the range: ``+4.2 (+1.0 to +9.1)``."""
        return f"{self.mean:+.1f} ({min(self.values):+.1f} to {max(self.values):+.1f})"


def read(folder: Path) -> Mapping[str, Any]:
    """Return a run's scores.

    Raises:
        UsageError: the folder holds no finished run.
    """
    scores: Mapping[str, Any] = read_json(folder / SCORES)
    return scores


def differences(left: Sequence[Mapping[str, Any]], right: Sequence[Mapping[str, Any]]) -> list[ModelDifference]:
    """Return the differences of the tasks that every run has.

    Raises:
        UsageError: the sides have unequal numbers of runs, or a task has other languages in some run.
    """
    if len(left) != len(right) or not left:
        message = f"{len(left)} runs on the left and {len(right)} on the right; give as many on each side"
        raise UsageError(message)
    runs = [*left, *right]
    shared = [task for task in runs[0]["tasks"] if all(task in run["tasks"] for run in runs)]
    found = []
    for task in shared:
        covered = {tuple(sorted(run["tasks"][task]["languages"])) for run in runs}
        if len(covered) > 1:
            message = f"{task} has other languages in some runs; evaluate all with the same `harness eval --languages`"
            raise UsageError(message)
        columns = [*runs[0]["tasks"][task]["scripts"], MEAN]
        for script in columns:
            pairs = zip(left, right, strict=True)
            values = tuple(_value(after, task, script) - _value(before, task, script) for before, after in pairs)
            found.append(ModelDifference(task, script, values))
    return found


def _value(run: Mapping[str, Any], task: str, script: str) -> float:
    scores = run["tasks"][task]
    return float(scores["score"] if script == MEAN else scores["scripts"][script])


def table(found: Sequence[ModelDifference], title: str) -> Table:
    """Return one row for each task, one column for each script."""
    cells = {(one.task, one.script): one.describe() for one in found}
    columns = [script for script in (*scripts(), MEAN) if any(one.script == script for one in found)]
    tasks = list(dict.fromkeys(one.task for one in found))
    return Table(
        title, ["task", *columns], [[task, *(cells.get((task, name), EMPTY) for name in columns)] for task in tasks]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write the figures with `--json`."""
    parser = bench_parser("seeds", __doc__)
    parser.add_argument("--left", type=Path, nargs="+", required=True, help="runs of the one model, one for each seed")
    parser.add_argument("--right", type=Path, nargs="+", required=True, help="runs of the other, in the same order")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    chosen = parser.parse_args(arguments)
    left, right = [read(path) for path in chosen.left], [read(path) for path in chosen.right]
    found = differences(left, right)
    title = f"{right[0]['model']} minus {left[0]['model']}, {len(left)} seeds, percentage points (range)"
    print(table(found, title).text())
    if chosen.json is not None:
        rows = [{"task": one.task, "script": one.script, "values": one.values, "mean": one.mean} for one in found]
        document = {"title": title, "machine": machine.describe(), "differences": rows}
        write_json(chosen.json, document)


if __name__ == "__main__":
    raise SystemExit(guarded(main))
