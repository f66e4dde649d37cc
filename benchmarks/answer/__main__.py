"""The command: prepare the training rows, run units, make the page."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.answer import data, page, units
from benchmarks.answer.declaration import ARMS, SEEDS
from benchmarks.answer.declaration import units as declared_units
from benchmarks.core.options import bench_parser, positive
from benchmarks.core.report import guarded

DOC = sys.modules["benchmarks.answer"].__doc__


def main(arguments: Sequence[str] | None = None) -> None:
    """Do one of the three."""
    parser = bench_parser("answer", DOC)
    parts = parser.add_subparsers(dest="command", required=True)
    prepare = parts.add_parser("prepare", help="write the training rows of each arm and seed")
    prepare.add_argument("--data", type=Path, required=True, help="the whole data folder")
    prepare.add_argument("--output", type=Path, required=True, help="gets a data folder for each seed")
    prepare.add_argument("--tokenizer", type=Path, help="tokenizer.json; that of XLM-R in the data folder")
    prepare.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="comma-separated")
    run = parts.add_parser("run", help="run units that have no record")
    run.add_argument("--data", type=Path, required=True, help="what prepare wrote")
    run.add_argument(
        "--workspace", type=Path, default=Path("answer-work"), help="for what a unit makes and then deletes"
    )
    run.add_argument("--records", type=Path, default=units.RECORDS, help="folder of the records")
    run.add_argument("--units", type=positive, help="at most so many; all where left out")
    run.add_argument("--arms", default="", help="only these, comma-separated: " + ", ".join(ARMS))
    run.add_argument(
        "--share", default="1/1", metavar="K/N", help="this process takes each N-th unit, from the K-th on"
    )
    run.add_argument("--keep", action="store_true", help="keep checkpoints, graphs and runs")
    made = parts.add_parser("page", help="tables, plot and the results of docs/answer.md, from the records")
    made.add_argument("--records", type=Path, default=units.RECORDS, help="folder of the records")
    options = parser.parse_args(arguments)
    if options.command == "prepare":
        tokenizer = options.tokenizer or options.data / "tokenizers" / "xlm-roberta" / "tokenizer.json"
        for line in data.prepare(
            options.data, options.output, tokenizer, [int(each) for each in options.seeds.split(",")]
        ):
            print(line)
    elif options.command == "run":
        _run(options)
    else:
        print("\n".join(page.write(options.records, units.declared())))


def _run(options: argparse.Namespace) -> None:
    """Run the units that have no record, one after another."""
    place, _, processes = options.share.partition("/")
    arms = tuple(filter(None, options.arms.split(",")))
    own = declared_units()[int(place) - 1 :: int(processes)]
    left = [each for each in units.pending(options.records, arms=arms) if each in own][: options.units]
    workspace = options.workspace / f"process-{place}" if int(processes) > 1 else options.workspace
    for number, (arm, seed) in enumerate(left):
        begin = time.perf_counter()
        path = units.run(arm, seed, options.data.resolve(), workspace.resolve(), options.records, keep=options.keep)
        took = time.perf_counter() - begin
        print(f"{path} after {took / 60:.1f} min; {len(left) - number - 1} to go", flush=True)


if __name__ == "__main__":
    raise SystemExit(guarded(main))
