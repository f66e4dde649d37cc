"""What the command line asks for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import benchmarks.load
from benchmarks import runner

#: MiB that the server may grow by after the first look. Over the 18,000 requests that are left of 20,000 this is
#: 3.6 KiB each, about what a text, its token ids and its answer take: a server that keeps any of them is above it.
CEILING = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asked for."""

    model: str
    finetune: str
    variant: str
    data: Path | None
    requests: int
    clients: int
    #: Requests of the burst; by the queue's size where None.
    burst: int | None
    #: MiB.
    memory_ceiling: float
    json: Path | None
    plot: Path | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=(benchmarks.load.__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--model", required=True, help="an exported and published model")
    parser.add_argument("--finetune", default="mnli", help="its graph; mnli")
    parser.add_argument("--variant", default="fp32", help="precision of the graph; fp32")
    parser.add_argument("--data", type=Path, help="data folder; that of the model's recipe, or $HARNESS_DATA")
    parser.add_argument("--requests", type=_positive, default=20_000, help="requests to answer, one text each; 20000")
    parser.add_argument("--clients", type=_positive, default=8, help="clients that each wait for their answer; 8")
    parser.add_argument("--burst", type=_positive, help="requests sent at once; 4 times what queue and batch hold")
    parser.add_argument("--memory-ceiling", type=float, default=CEILING, help=f"MiB of growth; {CEILING:.0f}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--plot", type=runner.plot_file, metavar="FILE.png|svg", help="draw the latencies here")
    found = parser.parse_args(arguments)
    if found.requests < 2:
        parser.error("--requests must be at least 2: memory is looked at between the first and the last")
    return Options(**vars(found))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        message = f"{value} is below 1"
        raise argparse.ArgumentTypeError(message)
    return value
