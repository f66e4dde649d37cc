"""The text endpoint under load: latency, throughput, memory over many requests, and a full queue.

::

    harness bench latency --model english
    harness bench latency --model mixed_ru --finetune squad --data DEST --requests 20000 --clients 8 --json FILE

It serves a published model as `harness serve` does, in the profile online with its text model. It exits with 1
where the endpoint did not do what it promises: any error, a wrong answer, memory that grows past the ceiling,
a full queue that does not refuse in Triton's words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.core.options import bench_parser, plot_file, positive

#: MiB that the server may grow by after the first look. Over the 18,000 requests that are left of 20,000 this is
#: 3.6 KiB each, about what a text, its token ids and its answer take: a server that keeps any of them is above it.
CEILING = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """The options of the command line."""

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


def parse(arguments: Sequence[str] | None = None) -> LoadOptions:
    """Return the options of a command line."""
    parser = bench_parser("latency", __doc__)
    parser.add_argument("--model", required=True, help="an exported and published model")
    parser.add_argument("--finetune", default="mnli", help="its graph; mnli")
    parser.add_argument("--variant", default="fp32", help="precision of the graph; fp32")
    parser.add_argument("--data", type=Path, help="data folder; that of the model's recipe, or $HARNESS_DATA")
    parser.add_argument("--requests", type=positive, default=20_000, help="requests to answer, one text each; 20000")
    parser.add_argument("--clients", type=positive, default=8, help="clients that each wait for their answer; 8")
    parser.add_argument("--burst", type=positive, help="requests sent at once; 4 times what queue and batch hold")
    parser.add_argument("--memory-ceiling", type=float, default=CEILING, help=f"MiB of growth; {CEILING:.0f}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--plot", type=plot_file, metavar="FILE.png|svg", help="draw the latencies here")
    found = parser.parse_args(arguments)
    if found.requests < 2:
        parser.error("--requests must be at least 2: memory is looked at between the first and the last")
    return LoadOptions(**vars(found))
