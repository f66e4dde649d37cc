"""Options that several benchmarks have: counts, and where the rows go."""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from benchmarks.core.plots import PLOTTER
from harness.core.errors import MissingExtra

#: Suffixes of the image formats that are drawn.
PLOTS = (".png", ".svg")


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


def bench_parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of one benchmark; its help begins with the docstring's first line and ends with the rest.

    Args:
        name: what `harness bench` calls the benchmark.
        doc: the docstring of its module or package, with examples.
    """
    first, _, rest = (doc or "").partition("\n")
    return argparse.ArgumentParser(
        prog=f"harness bench {name}",
        description=first,
        epilog=rest.replace("::", "examples:", 1).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


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
    """Return where a plot goes; checked before anything is measured, since measuring takes long.

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
