"""Seconds until something happens: the command itself, a second model with the same tokenizer, a finished run.

::

    harness bench startup --model mixed_ru
    harness bench startup --model A --second B --data DEST --tasks xnli --json FILE

Every figure is that of a process which a user would start: `harness --help`, `harness tasks`, `harness
eval`. Evaluations run in a workspace of their own with links to the graphs, so the cache of tokens is empty
at first and nothing is left behind. Without `--second` the same model in a fresh run stands for a second one:
what is cached belongs to tokenizer, data and featurizer, not to the model.
"""

import argparse
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.core.options import add_output, bench_parser, positive
from benchmarks.core.report import finish, guarded
from benchmarks.core.rows import Row, limit_row, share_row
from harness.artifacts.run import SCORES
from harness.artifacts.store import EXACT
from harness.artifacts.workspace import Workspace
from harness.core.errors import HarnessError, UsageError
from harness.core.files import read_json
from harness.core.progress import Progress
from harness.core.terminal import Terminal
from harness.evaluation.request import JOURNAL

UNIT = "seconds"
#: What each may take at most, in seconds.
HELP_LIMIT, TASKS_LIMIT, FIRST_BATCH_LIMIT, AGAIN_LIMIT = 0.3, 1.0, 2.0, 3.0
#: The `harness` command, in the interpreter that measures.
COMMAND = (sys.executable, "-c", "from harness.cli import main; main()")
#: How rows name the ways to the graph, and what `--endpoint` says for each; None is a Triton of its own.
ENDPOINTS: Mapping[str, str | None] = {"in process": "onnx", "local Triton": None}
#: What of a workspace an evaluation reads.
LINKED = ("artifacts", "model_repository")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupSetting:
    """What is evaluated; the rest is measured the same everywhere."""

    model: str
    #: None: the same model in a fresh run.
    second: str | None = None
    data: Path | None = None
    #: As `harness eval --tasks` takes them.
    tasks: str = "all"
    #: Examples of each language; None for all.
    limit: int | None = None
    endpoints: tuple[str, ...] = tuple(ENDPOINTS)
    repeats: int = 3
    command: Sequence[str] = field(default=COMMAND)

    @property
    def work(self) -> str:
        """Return the evaluation in words."""
        data = "the data of its recipe" if self.data is None else "--data"
        sampled = "" if self.limit is None else f", {self.limit} examples of each language"
        return f"tasks {self.tasks} on {data}{sampled}"


@dataclass(frozen=True, slots=True)
class Process:
    """Starts the command in one workspace."""

    command: Sequence[str]
    home: Path

    def run(self, *arguments: str) -> float:
        """Return the seconds from the start of the process to its end.

        Raises:
            HarnessError: it refused to, with exit code 2; quotes its error.
            RuntimeError: it failed otherwise, which is a bug; holds what it wrote.
        """
        begin = time.perf_counter()
        done = subprocess.run(
            [*self.command, *arguments],
            env={**os.environ, "HARNESS_HOME": str(self.home)},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        seconds = time.perf_counter() - begin
        if done.returncode not in (0, 2):
            message = f"`harness {' '.join(arguments)}` ended with exit code {done.returncode}:\n{done.stderr}"
            raise RuntimeError(message)
        if done.returncode:
            # The last message of a server may span lines, and is quoted whole.
            said = " ".join(done.stderr.rpartition("harness: ")[2].split()) or "it said nothing"
            message = f"`harness {' '.join(arguments)}` was refused: {said}"
            raise HarnessError(message)
        return seconds


def command_rows(process: Process, repeats: int, progress: Progress) -> list[Row]:
    """Return the rows of the commands that answer at once; each ran once before the clock starts."""
    rows = []
    with progress.step("harness --help, harness tasks", 2 * (repeats + 1), "runs") as advance:
        for arguments, limit in ((("--help",), HELP_LIMIT), (("tasks",), TASKS_LIMIT)):
            seconds = []
            for _ in range(repeats + 1):
                seconds.append(process.run(*arguments))
                advance(1)
            rows.append(limit_row(f"harness {' '.join(arguments)}", UNIT, seconds[1:], limit))
    return rows


def evaluate(process: Process, setting: StartupSetting, model: str, endpoint: str, output: Path) -> float:
    """Evaluate a model into a folder; return the seconds of the process.

    Raises:
        HarnessError: the evaluation failed.
    """
    uri = ENDPOINTS[endpoint]
    return process.run(
        # Of two ways to one graph, the second would find the answers of the first.
        *(
            "eval",
            "--quiet",
            "--available",
            "--fresh",
            "--model",
            model,
            "--tasks",
            setting.tasks,
            "--output",
            str(output),
        ),
        *(() if setting.data is None else ("--data", str(setting.data.resolve()))),
        *(() if setting.limit is None else ("--limit", str(setting.limit))),
        *(() if uri is None else ("--endpoint", uri)),
    )


def second_rows(setting: StartupSetting, endpoint: str, seconds: float, scores: Mapping[str, Any]) -> list[Row]:
    """Return what a second model's run reports: where its rows came from, and when its first batch left.

    Args:
        setting: what was evaluated.
        endpoint: how rows name the way to the graph.
        seconds: of the whole process.
        scores: the run's `scores.json`.
    """
    stages, tokens = scores["stages"], scores["tokens"]
    work = f"second model with the same tokenizer and data, {endpoint}, {setting.work}"
    tokenized, cached = int(tokens["tokenized_rows"]), int(tokens["cached_rows"])
    return [
        share_row(work, "% of the rows from the cache of tokens", cached, tokenized + cached, tokenized_rows=tokenized),
        limit_row(
            f"{work}: first batch, without imports and opening the graph",
            UNIT,
            [float(stages["first_batch"])],
            FIRST_BATCH_LIMIT,
            stages=dict(stages),
            process_seconds=seconds,
        ),
    ]


def parts(row: Row) -> str:
    """Return the three parts of the time to a second model's first batch, as people read them."""
    stages = row.details["stages"]
    named = {"imports": "imports", "opening": "opening the graph", "first_batch": "the rest up to the first batch"}
    times = ", ".join(f"{label} {stages[name]:.2f} s" for name, label in named.items())
    whole = f"all stages took {stages['total']:.2f} s, the process {row.details['process_seconds']:.2f} s"
    return f"{row.work.partition(':')[0]}: {times}; {whole}"


def batches(run: Path) -> int:
    """Return how many batches a run's journal holds."""
    connection = sqlite3.connect(f"file:{run / JOURNAL}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM batch").fetchone()[0])
    finally:
        connection.close()


def again_rows(process: Process, setting: StartupSetting, endpoint: str, output: Path, model: str) -> list[Row]:
    """Return what the same command takes on a finished run, and whether the graph answered anything.

    Args:
        process: starts the command.
        setting: what was evaluated.
        endpoint: how rows name the way to the graph.
        output: the finished run.
        model: whose run it is.
    """
    before = batches(output)
    seconds = [evaluate(process, setting, model, endpoint, output) for _ in range(setting.repeats)]
    after = batches(output)
    work = f"re-run of a finished evaluation, {endpoint}, {setting.work}"
    return [
        share_row(work, "% of the batches from the run before", before, after, new_batches=after - before),
        limit_row(work, UNIT, seconds, AGAIN_LIMIT),
    ]


def link(workspace: Workspace, home: Path) -> None:
    """Make a workspace with the graphs of another one and nothing else: no cache, no runs."""
    for name in LINKED:
        folder = workspace.root / name
        if folder.exists():
            (home / name).symlink_to(folder, target_is_directory=True)


def evaluation_rows(setting: StartupSetting, home: Path, progress: Progress) -> list[Row]:
    """Return the rows of evaluations: the first model fills the cache, the second one is measured.

    Args:
        setting: what is evaluated.
        home: a workspace that holds graphs and no cache.
        progress: of each process.

    Raises:
        HarnessError: an evaluation failed.
    """
    process, rows = Process(setting.command, home), []
    second = setting.second or setting.model
    count = 1 + len(setting.endpoints) * (1 + setting.repeats)
    with progress.step("harness eval", count, "runs") as advance:
        evaluate(process, setting, setting.model, next(iter(ENDPOINTS)), home / "first")
        advance(1)
        for number, endpoint in enumerate(setting.endpoints):
            output = home / f"second-{number}"
            seconds = evaluate(process, setting, second, endpoint, output)
            advance(1)
            rows += second_rows(setting, endpoint, seconds, read_json(output / SCORES))
            rows += again_rows(process, setting, endpoint, output, second)
            advance(setting.repeats)
    return rows


def measure(setting: StartupSetting, workspace: Workspace, progress: Progress) -> list[Row]:
    """Return every row: the commands, then the evaluations through each endpoint.

    Raises:
        UsageError: a model was never exported, or the two models have different tokenizers.
        HarnessError: a command failed.
    """
    check(setting, workspace)
    with TemporaryDirectory(prefix="harness-startup-") as folder:
        home = Path(folder).resolve()
        link(workspace, home)
        return [
            *command_rows(Process(setting.command, home), setting.repeats, progress),
            *evaluation_rows(setting, home, progress),
        ]


def check(setting: StartupSetting, workspace: Workspace) -> None:
    """Refuse models that do not exist, and a second one that could not share the first one's tokens.

    Raises:
        UsageError: says which.
    """
    models = (setting.model, setting.second or setting.model)
    for model in models:
        workspace.artifacts.check_names(model, EXACT)
    digests = {artifact.tokenizer_sha256 for model in models for artifact in workspace.artifacts.of(model)}
    if len(digests) > 1:
        message = (
            f"{models[0]!r} and {models[1]!r} have {len(digests)} tokenizers, and only models with the same one share "
            f"tokens; name another one with `--second`, or none"
        )
        raise UsageError(message)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = bench_parser("startup", __doc__)
    parser.add_argument("--model", required=True, help="an exported and published model")
    parser.add_argument("--second", help="another one with the same tokenizer; the same model in a fresh run")
    parser.add_argument("--data", type=Path, help="data folder; that of the model's recipe, or $HARNESS_DATA")
    parser.add_argument("--tasks", default="all", help="tasks, comma-separated; all that the data folder has")
    parser.add_argument("--limit", type=positive, help="examples of each language; all")
    parser.add_argument("--repeats", type=positive, default=3, help="timed runs of each command; 3")
    parser.add_argument("--no-triton", action="store_true", help="evaluate in process only")
    add_output(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write and draw the rows where the options say."""
    options = parse(arguments)
    setting = StartupSetting(
        model=options.model,
        second=options.second,
        data=options.data,
        tasks=options.tasks,
        limit=options.limit,
        endpoints=tuple(name for name, uri in ENDPOINTS.items() if uri is not None or not options.no_triton),
        repeats=options.repeats,
    )
    rows = measure(setting, Workspace.current(), Terminal())
    notes = ["seconds: the less, the better, and the ratio is what is allowed over ours"]
    notes += [parts(row) for row in rows if "process_seconds" in row.details]
    finish(rows, options, notes)


if __name__ == "__main__":
    raise SystemExit(guarded(main))
