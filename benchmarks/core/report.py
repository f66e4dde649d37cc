"""Prints the rows of a benchmark as tables, and writes and draws them where the options say."""

import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.core.options import Output
from benchmarks.core.plots import ratios
from benchmarks.core.rows import Row, figure
from harness.core.errors import HarnessError
from harness.core.files import write_json
from harness.core.machine import describe
from harness.core.tables import EMPTY, Table
from harness.core.version import packages
from harness.evaluation.provenance import commit

#: Processes that wanted a core in the minute before this one started. Much above 0 means that the machine
#: was shared, and that the figures are not to be quoted.
LOAD_AT_START = os.getloadavg()[0]


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what a file of rows holds: the rows, and what a reader needs to judge them."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "machine": describe(),
        "load_at_start": LOAD_AT_START,
        "packages": packages(),
        "git": commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [row.to_json() for row in rows],
    }


def write(rows: Sequence[Row], path: Path) -> None:
    """Write rows with machine, package versions and commit as JSON, whole or not at all."""
    write_json(path, document(rows))


def tables(rows: Sequence[Row]) -> str:
    """Return the rows as people read them: a table for each work, a line for each baseline."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(f"{row.work}, {row.unit}", []).append(row)
    return "\n\n".join(_table(title, members).text() for title, members in grouped.items())


def _table(title: str, rows: Sequence[Row]) -> Table:
    columns = ["baseline", "ratio", "ours", "spread", "theirs", "spread", "score ours", "theirs"]
    cells = [_cells(row) for row in rows]
    if any(row.target is not None for row in rows):
        columns.append("target")
        cells = [[*line, _target(row)] for line, row in zip(cells, rows, strict=True)]
    return Table(title, columns, cells)


def _cells(row: Row) -> list[str]:
    return [
        row.baseline,
        f"{row.ratio:.2f} x",
        figure(row.ours),
        f"{row.spreads['ours']:.0%}",
        figure(row.baseline_value),
        f"{row.spreads['baseline']:.0%}",
        _score(row.score_ours),
        _score(row.score_baseline),
    ]


def _target(row: Row) -> str:
    return EMPTY if row.target is None else f"{row.target:.2f} x {'reached' if row.reached else 'MISSED'}"


def _score(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.2f}"


def machine_line() -> str:
    """Return the machine in one line, for the foot of a printed table."""
    found = describe()
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB, {found['instructions']}, "
        f"load {LOAD_AT_START:.1f} in the minute before"
    )


def finish(rows: Sequence[Row], options: Output, notes: Sequence[str] = ()) -> None:
    """Print the rows with the machine below, and write and draw them where the options say.

    Args:
        rows: what was measured.
        options: of the command line.
        notes: lines that a reader of the tables needs, put below the machine.
    """
    print(tables(rows))
    print("\n" + "\n".join([machine_line(), *notes]))
    if options.json is not None:
        write(rows, options.json)
        print(f"rows written to {options.json}")
    if options.plot is not None:
        ratios(rows, options.plot)
        print(f"ratios drawn in {options.plot}")


def guarded(main: Callable[[], None]) -> int:
    """Run a command and return its exit code: 2 for a user's mistake, 130 for Ctrl-C."""
    try:
        main()
    except HarnessError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmarks: stopped", file=sys.stderr)
        return 130
    return 0
