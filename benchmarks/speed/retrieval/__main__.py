"""Mining of translation pairs, against its bare matrix products and against loops; search among a million candidates.

::

    harness bench retrieval --sentences 100000 --json FILE
    harness bench retrieval --search

The vectors are random, with noisy translations planted among them.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.core.options import add_output, bench_parser, positive
from benchmarks.core.report import finish, guarded
from benchmarks.speed.retrieval.mining import measure_mining
from benchmarks.speed.retrieval.search import ENTITIES, MENTIONS, measure_search
from harness.core.terminal import Terminal


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw the rows where the options say."""
    parser = bench_parser("retrieval", __doc__)
    parser.add_argument("--sentences", type=positive, default=100_000, help="of each language; 100000")
    parser.add_argument("--dimension", type=positive, default=768, help="of the vectors; 768")
    parser.add_argument("--repeats", type=positive, default=1, help="timed rounds; 1")
    parser.add_argument("--search", action="store_true", help="search in the shape of Mewsli-X instead of mining")
    parser.add_argument("--queries", type=positive, default=MENTIONS, help=f"of --search; {MENTIONS}")
    parser.add_argument("--candidates", type=positive, default=ENTITIES, help=f"of --search; {ENTITIES}")
    parser.add_argument("--folder", type=Path, help="for the candidates of --search; the system's temporary folder")
    add_output(parser)
    options = parser.parse_args(arguments)
    if options.search:
        with TemporaryDirectory(prefix="harness-bench-", dir=options.folder) as folder:
            found = measure_search(
                options.queries, options.candidates, options.dimension, options.repeats, Path(folder), Terminal()
            )
    else:
        found = measure_mining(options.sentences, options.dimension, options.repeats, Terminal())
    meaning = "share of planted candidates that come first" if options.search else "F1 of the pairs"
    finish(found.rows, options, [*found.lines, f"scores are the {meaning}, percent"])


if __name__ == "__main__":
    raise SystemExit(guarded(main))
