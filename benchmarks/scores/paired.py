"""Two runs on the same examples: each task's difference on each script, with a paired bootstrap interval.

::

    harness bench paired --left RUN --right RUN [--tasks xnli,udpos] [--json FILE]
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.core.options import bench_parser
from benchmarks.core.report import guarded
from harness.artifacts.run import SCORES
from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.core.files import read_json, write_json
from harness.core.languages import language
from harness.core.tables import Table
from harness.core.task import AnyTask
from harness.evaluation.request import JOURNAL
from harness.statistics.bootstrap import Pair, paired_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Right minus left of one task on one script."""

    task: str
    script: str
    languages: tuple[str, ...]
    #: Mean scores over the languages, percent.
    left: float
    right: float
    #: Points, and their 95 % interval over examples; what another seed would change is not in it.
    difference: float
    low: float
    high: float


def statistics(run: Path) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Return the metric's statistics (examples, columns) of each task and language of a run.

    Raises:
        UsageError: the folder holds no finished run.
    """
    read_json(run / SCORES)
    found: dict[tuple[str, str], list[list[float]]] = {}
    with sqlite3.connect(f"file:{run / JOURNAL}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT task, language, counts FROM prediction ORDER BY task, language, example")
        for task, code, counts in rows:
            found.setdefault((task, code), []).append(json.loads(counts))
    return {key: np.asarray(rows, dtype=np.float64) for key, rows in found.items()}


def number(task: AnyTask, totals: NDArray[np.float64]) -> float:
    """Return a task's number, in percent, from summed statistics."""
    scores: Mapping[str, float] = task.metric.scores(totals)
    return sum(scores[name] for name in task.headline) / len(task.headline)


def differences(left: Path, right: Path, wanted: Sequence[str] = ()) -> list[PairedDifference]:
    """Return what two runs differ by, task by task and script by script.

    Raises:
        UsageError: the runs did not answer the same examples.
    """
    sides = statistics(left), statistics(right)
    if {key: len(value) for key, value in sides[0].items()} != {key: len(value) for key, value in sides[1].items()}:
        message = f"{left} and {right} did not answer the same examples; evaluate both with the same command"
        raise UsageError(message)
    groups: dict[tuple[str, str], list[str]] = {}
    for name, code in sides[0]:
        if not wanted or name in wanted:
            groups.setdefault((name, language(code).script), []).append(code)
    found = []
    for (name, script), codes in groups.items():
        score = partial(number, tasks.load(name))
        pairs = [Pair(score=score, left=sides[1][name, code], right=sides[0][name, code]) for code in codes]
        low, high = paired_interval(pairs)
        means = [float(np.mean([score(side[name, code].sum(axis=0)) for code in codes])) for side in sides]
        found.append(
            PairedDifference(
                task=name,
                script=script,
                languages=tuple(codes),
                left=means[0],
                right=means[1],
                difference=means[1] - means[0],
                low=low,
                high=high,
            )
        )
    return found


def table(found: Sequence[PairedDifference], title: str) -> Table:
    """Return the differences as people read them."""
    rows = [
        [
            row.task,
            row.script,
            str(len(row.languages)),
            f"{row.left:.1f}",
            f"{row.right:.1f}",
            f"{row.difference:+.1f} ({row.low:+.1f} to {row.high:+.1f})",
        ]
        for row in found
    ]
    return Table(title, ["task", "script", "languages", "left", "right", "points (95 % over examples)"], rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it where `--json` says."""
    parser = bench_parser("paired", __doc__)
    parser.add_argument("--left", type=Path, required=True, help="folder of a run")
    parser.add_argument("--right", type=Path, required=True, help="folder of the run compared with it")
    parser.add_argument("--tasks", default="", help="only these tasks, comma-separated")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args(arguments)
    found = differences(options.left, options.right, [name for name in options.tasks.split(",") if name])
    print(table(found, f"{options.right.name} minus {options.left.name}").text())
    if options.json is not None:
        write_json(options.json, {"rows": [asdict(row) for row in found]})


if __name__ == "__main__":
    raise SystemExit(guarded(main))
