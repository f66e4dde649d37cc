"""How fast text becomes tokens on one core and on all, against what the fastest graph takes in."""

import os

from benchmarks.contenders.workload import evenly
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import Function, alternate
from benchmarks.gpu.session import GpuSession
from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.core.layout import Layout
from harness.core.machine import cores
from harness.evaluation.selection import choose_jobs
from harness.evaluation.workload import available
from harness.tokenization.tokenizer import FastTokenizer

TASK = "xnli"
#: Read by the package tokenizers at every call.
PARALLELISM = "TOKENIZERS_PARALLELISM"
#: Texts at most.
TEXTS = 50_000


def measure(session: GpuSession) -> list[Row]:
    """Return the row of all cores against one, on XNLI's texts.

    Raises:
        UsageError: the tokenizer or the data is not named, or the folder has no file of XNLI.
    """
    if session.tokenizer is None or session.data is None:
        message = "tokenization is measured on real texts; name them with `--tokenizer tokenizer.json --data DEST`"
        raise UsageError(message)
    tokenizer, texts = FastTokenizer(session.tokenizer), read_texts(Layout.at(session.data))

    def tokenize(parallel: str) -> int:
        os.environ[PARALLELISM] = parallel
        return sum(len(row) for row in tokenizer.subwords(texts))

    one, every = "one core", f"all {cores()} cores"
    sides = [Function(one, lambda: tokenize("false")), Function(every, lambda: tokenize("true"))]
    try:
        tokens = tokenize("true")
        timings = alternate(sides, warmup=1, repeats=session.settings.repeats)
    finally:
        del os.environ[PARALLELISM]
    if session.fastest:
        needed = session.fastest * timings[one].median / tokens
        session.notes.append(f"the fastest graph takes in what {needed:.1f} cores tokenize; there are {cores()}")
    ours, baseline = (Side(name, timings[name], None) for name in (every, one))
    return [rate_row(f"tokenization of {len(texts):,} texts of XNLI", tokens, "subwords/s", ours, baseline)]


def read_texts(layout: Layout) -> list[str]:
    """Return premises and hypotheses of XNLI, spread evenly over every language that the folder has.

    Raises:
        UsageError: it has none.
    """
    wanted = choose_jobs([tasks.load(TASK)], splits={TASK: "test"}, coverage=layout.coverage())
    jobs, _ = available(wanted, layout)
    pairs = [example for job in jobs for example in job.read(layout)]
    if not pairs:
        message = f"{layout.xtreme} has no file of {TASK}; `harness data check` says what is missing"
        raise UsageError(message)
    return evenly([text for pair in pairs for text in (pair.first, pair.second)], TEXTS)
