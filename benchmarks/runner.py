"""Times contenders in alternation, and tells ratios as rows with the score beside each: printed, as JSON, as a plot.

Every comparison happens within one process run: A B A B, never A A B B, so that a machine that
slows down while it is measured hurts all sides alike.
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from harness.core.errors import HarnessError, MissingExtra
from harness.core.files import write_json
from harness.core.machine import describe
from harness.core.progress import Advance
from harness.core.tables import EMPTY, Table
from harness.core.version import packages
from harness.evaluation.provenance import commit

#: Suffixes of the image formats that are drawn.
PLOTS = (".png", ".svg")
#: The package that draws them, behind `benchmarks.plots`.
PLOTTER = "matplotlib"
#: Processes that wanted a core in the minute before this one started: much above 0 tells that
#: the machine was shared, and that the figures are not to be quoted.
LOAD_AT_START = os.getloadavg()[0]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each repeat of the same work took."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the middle repeat, in seconds."""
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Return the slowest minus the fastest repeat, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


class Contender(Protocol):
    """One side of a comparison: everything that it loads is loaded before it is handed over."""

    @property
    def name(self) -> str:
        """What rows call it; unique within a comparison."""
        ...

    def warm_up(self) -> None:
        """Do a part of the work that leaves nothing to be set up in `run`."""
        ...

    def run(self) -> object:
        """Do the work that is timed, all of it; what it returns is not looked at."""
        ...


@dataclass(frozen=True, slots=True)
class Function:
    """A contender whose warm-up is the work itself."""

    name: str
    function: Callable[[], object]

    def warm_up(self) -> None:
        """See `Contender.warm_up`."""
        self.function()

    def run(self) -> None:
        """See `Contender.run`."""
        self.function()


def alternate(
    contenders: Sequence[Contender], *, warmup: int, repeats: int, advance: Advance = lambda _: None
) -> dict[str, Timing]:
    """Return the timing of each contender by name; a round runs each of them once.

    Args:
        contenders: the sides; names must differ.
        warmup: rounds of warm-ups before the first timed round.
        repeats: timed rounds.
        advance: told of each warm-up and each run that is done.
    """
    if repeats < 1 or warmup < 0:
        message = f"repeats must be at least 1 and warmup at least 0, got {repeats} and {warmup}"
        raise ValueError(message)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    if len(seconds) != len(contenders):
        message = f"contenders must have different names, got {[contender.name for contender in contenders]}"
        raise ValueError(message)
    for _ in range(warmup):
        for contender in contenders:
            contender.warm_up()
            advance(1)
    for _ in range(repeats):
        for contender in contenders:
            # What the side before left behind is not collected at this one's cost.
            gc.collect()
            begin = time.perf_counter()
            contender.run()
            seconds[contender.name].append(time.perf_counter() - begin)
            advance(1)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def measure(function: Callable[[], object], *, warmup: int, repeats: int) -> Timing:
    """Return the timing of one function alone; to compare two, use `alternate`."""
    return alternate([Function("function", function)], warmup=warmup, repeats=repeats)["function"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: ours against one baseline, on the same work."""

    work: str
    baseline: str
    #: Ours over the baseline; above 1 we are ahead.
    ratio: float
    #: In percent; None where the weights are random.
    score_baseline: float | None
    score_ours: float | None
    #: Of `ours` and `baseline_value`.
    unit: str
    ours: float
    baseline_value: float
    #: Slowest minus fastest repeat over the median, of each side.
    spreads: Mapping[str, float]
    repeats: int
    #: The ratio that is asked for; None where nothing is.
    target: float | None = None
    #: Further keys of the row.
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Return whether the ratio is what is asked for; None where nothing is."""
        return None if self.target is None else self.ratio >= self.target

    def to_json(self) -> dict[str, Any]:
        """Return the row as files hold it: the five common keys first."""
        return {
            "work": self.work,
            "baseline": self.baseline,
            "ratio": round(self.ratio, 4),
            "score_baseline": self.score_baseline,
            "score_ours": self.score_ours,
            "unit": self.unit,
            "ours": self.ours,
            "baseline_value": self.baseline_value,
            "spreads": dict(self.spreads),
            "repeats": self.repeats,
            "target": self.target,
            "reached": self.reached,
            **self.details,
        }


@dataclass(frozen=True, slots=True)
class Side:
    """How one side did in a comparison."""

    name: str
    timing: Timing
    #: In percent; None where the weights are random.
    score: float | None


def rate_row(
    work: str, amount: float, unit: str, ours: Side, baseline: Side, *, target: float | None = None, **details: Any
) -> Row:
    """Return a row that compares rates: an amount of work, equal for both, per second.

    Args:
        work: what is done, on which data and model, and how our side does it.
        amount: how much work one repeat is.
        unit: of the rate, such as ``useful tokens/s``.
        ours: our side.
        baseline: the side that it is compared with.
        target: the ratio that is asked for; None for none.
        details: further keys of the row.
    """
    return Row(
        work=work,
        baseline=baseline.name,
        ratio=baseline.timing.median / ours.timing.median,
        score_baseline=baseline.score,
        score_ours=ours.score,
        unit=unit,
        ours=amount / ours.timing.median,
        baseline_value=amount / baseline.timing.median,
        spreads={"ours": round(ours.timing.spread, 4), "baseline": round(baseline.timing.spread, 4)},
        repeats=len(ours.timing.seconds),
        target=target,
        details={
            "seconds": {"ours": list(ours.timing.seconds), "baseline": list(baseline.timing.seconds)},
            **details,
        },
    )


def limit_row(work: str, unit: str, values: Sequence[float], limit: float, **details: Any) -> Row:
    """Return a row of a figure that must stay within a limit: the less, the better.

    The limit stands in the baseline's place, so the ratio is the limit over ours, and 1 is asked for.

    Args:
        work: what is done.
        unit: of the figure and of its limit, such as ``seconds``.
        values: the figure in each repeat, above 0; their median counts.
        limit: what it may be at most.
        details: further keys of the row.
    """
    timing = Timing(tuple(values))
    return Row(
        work=work,
        baseline=f"at most {limit:g} {unit}",
        ratio=limit / timing.median,
        score_baseline=None,
        score_ours=None,
        unit=unit,
        ours=timing.median,
        baseline_value=limit,
        spreads={"ours": round(timing.spread, 4), "baseline": 0.0},
        repeats=len(values),
        target=1.0,
        details={"values": list(values), "ratio_is": "limit over ours", **details},
    )


def share_row(work: str, unit: str, part: int, whole: int, **details: Any) -> Row:
    """Return a row of a count that must be a whole one: how much of it is there, in percent.

    Args:
        work: what is counted.
        unit: of the share, such as ``% of the rows``.
        part: how many there are.
        whole: how many there must be, above 0.
        details: further keys of the row.
    """
    return Row(
        work=work,
        baseline="all",
        ratio=part / whole,
        score_baseline=None,
        score_ours=None,
        unit=unit,
        ours=100 * part / whole,
        baseline_value=100.0,
        spreads={"ours": 0.0, "baseline": 0.0},
        repeats=1,
        target=1.0,
        details={"part": part, "whole": whole, **details},
    )


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what a file of rows holds: the rows, and what a reader needs to place them."""
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


def figure(value: float) -> str:
    """Return a rate or another figure as people read it: whole from 100 on, more digits below."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}"


def _score(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.2f}"


def machine_line() -> str:
    """Return the machine in one line, for the foot of a printed table."""
    found = describe()
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB, {found['instructions']}, "
        f"load {LOAD_AT_START:.1f} in the minute before"
    )


class Output(Protocol):
    """Where a benchmark's rows go beside the screen; what `add_output` parses."""

    @property
    def json(self) -> Path | None:
        """The file that gets the rows."""
        ...

    @property
    def plot(self) -> Path | None:
        """The image that gets the rows' ratios."""
        ...


def positive(text: str) -> int:
    """Return a whole number from 1 on: the type of options that count something."""
    value = int(text)
    if value < 1:
        message = f"{value} is below 1"
        raise argparse.ArgumentTypeError(message)
    return value


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add `--json FILE` and `--plot FILE` to a benchmark's options."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    parser.add_argument("--plot", type=plot_file, metavar="FILE.png|svg", help="draw the ratios here")


def plot_file(text: str) -> Path:
    """Return where a plot goes; asked before anything is measured, since measuring takes long.

    Raises:
        ArgumentTypeError: the suffix is of no format that is drawn.
        MissingExtra: what draws is not installed.
    """
    path = Path(text)
    if path.suffix not in PLOTS:
        message = f"{text!r} must end in {' or '.join(PLOTS)}"
        raise argparse.ArgumentTypeError(message)
    if find_spec(PLOTTER) is None:
        raise MissingExtra(PLOTTER, "bench")
    return path


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
        from benchmarks.plots import ratios

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
