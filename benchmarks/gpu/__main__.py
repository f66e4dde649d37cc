"""What one NVIDIA GPU does: matmul peak, XLM-R large's graph beside PyTorch, tokenization, nearest neighbours.

::

    harness bench gpu --json gpu.json                                      every stage
    harness bench gpu --stage cuda --tokens 1000000
    harness bench gpu --stage tokenize --tokenizer tokenizer.json --data DEST
    harness bench gpu --cpu-smoke                                          everything tiny, on the CPU

Without `--stage`, a stage that cannot run here is left out with the reason. Wrong answers are exit code 1, and no
speed is printed for them. Nothing of it has ever run on a GPU; docs/gpu.md says what was checked without one.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.core.options import add_output, bench_parser, positive
from benchmarks.core.report import finish, guarded
from benchmarks.core.rows import Row
from benchmarks.gpu import encoder, neighbours, peak, tokenization
from benchmarks.gpu.session import GPU, SMOKE, GpuSession, WrongAnswers, device_name
from harness.core.errors import HarnessError

#: In an order in which each finds what it compares itself with.
STAGES: Mapping[str, Callable[[GpuSession], list[Row]]] = {
    "peak": peak.measure,
    "cuda": partial(encoder.measure, kind=encoder.CUDA),
    "tensorrt": partial(encoder.measure, kind=encoder.TENSORRT),
    "tokenize": tokenization.measure,
    "neighbours": neighbours.measure,
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = bench_parser("gpu", __doc__)
    parser.add_argument("--stage", action="append", choices=STAGES, help="only this one; may be repeated")
    parser.add_argument("--cpu-smoke", action="store_true", help="everything tiny, on the CPU")
    parser.add_argument("--tokenizer", type=Path, help="XLM-R's tokenizer.json, for the stage tokenize")
    parser.add_argument("--data", type=Path, help="data folder with XNLI, for the stage tokenize")
    parser.add_argument("--tokens", type=positive, help=f"useful tokens of each distribution; {GPU.tokens}")
    parser.add_argument("--budget", type=positive, help=f"padded tokens of a batch at most; {GPU.budget}")
    parser.add_argument("--sentences", type=positive, help=f"queries, and candidates, of neighbours; {GPU.sentences}")
    parser.add_argument("--repeats", type=positive, help=f"timed rounds; {GPU.repeats}")
    add_output(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write and draw; exit with 1 where answers are wrong.

    Raises:
        UsageError: there is no GPU.
        HarnessError: a stage that was named cannot run.
    """
    options = parse(arguments)
    sizes = {name: getattr(options, name) for name in ("tokens", "budget", "sentences", "repeats")}
    given = {name: value for name, value in sizes.items() if value is not None}
    settings = replace(SMOKE if options.cpu_smoke else GPU, **given)
    session = GpuSession(settings=settings, tokenizer=options.tokenizer, data=options.data)
    device = device_name(settings.device)
    rows: list[Row] = []
    try:
        for name in options.stage or STAGES:
            try:
                rows += STAGES[name](session)
            except WrongAnswers as error:
                print(f"benchmarks: {error}", file=sys.stderr)
                raise SystemExit(1) from error
            except HarnessError as error:
                if options.stage:
                    raise
                session.notes.append(f"stage {name} left out: {error}")
    finally:
        # A later stage that breaks does not take the figures of the earlier ones with it.
        if rows:
            rows = [replace(row, details={**row.details, "device": device}) for row in rows]
            finish(rows, options, [device, *session.notes])


if __name__ == "__main__":
    raise SystemExit(guarded(main))
