"""Padded over useful tokens, task by task: file order, a sorted loop, and the plan of this harness; no graph runs.

::

    harness bench padding --model real_small --data DEST --limit 100
    harness bench padding --tokenizer FILE --data DEST --tasks xnli,tatoeba --json FILE
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.workload import evenly, file_order
from benchmarks.core.options import add_output, bench_parser, positive
from benchmarks.core.report import finish, guarded
from benchmarks.core.rows import Row, less_row, limit_row
from harness.artifacts.store import EXACT
from harness.artifacts.workspace import Workspace
from harness.core.errors import DataError, UsageError
from harness.core.features import Feature, Tokenizer
from harness.core.layout import Layout, Split
from harness.core.progress import Progress
from harness.core.task import AnyTask
from harness.core.terminal import Terminal
from harness.evaluation.selection import choose_jobs, choose_tasks, parse_splits
from harness.evaluation.workload import Job, available, by_task, check_splits
from harness.inference.planner import Batch, BatchPlanner
from harness.tokenization.rows import POOL_BLOCK
from harness.tokenization.tokenizer import FastTokenizer

UNIT = "padded/useful"
#: What our plan may reach at most, on every task.
LIMIT = 1.05
#: Rows of a batch in file order: the evaluation batch of the XTREME scripts.
BATCH = 32
#: Padded tokens of a batch in the sorted loop; also what our planner allows.
BUDGET = 4_096
#: How rows name the sides.
TO_MAXIMUM = f"batches of {BATCH} in file order, padded to the task's maximum"
TO_LONGEST = f"batches of {BATCH} in file order, padded to the longest of the batch"
SORTED = f"the task's rows sorted by length, batches of {BUDGET:,} padded tokens"


@dataclass(frozen=True, slots=True)
class FileLengths:
    """The rows of one file of a task, in file order: what batches are cut from needs no more."""

    task: AnyTask
    #: A language, or the task's pool.
    name: str
    #: Tokens of each row, (rows,) int64.
    lengths: NDArray[np.int64]
    #: Of each row; equal rows have equal keys.
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding:
    """The tokens of one task, or of several: useful ones, and those that are computed."""

    #: Unpadded tokens of all rows, repeated ones as often as they occur.
    useful: int
    rows: int
    #: Rows that differ, and their unpadded tokens: what our side sends.
    unique_rows: int
    unique_useful: int
    #: Padded tokens by side; ours over unique rows, the others over all.
    ours: int
    others: Mapping[str, int]

    @property
    def ratio(self) -> float:
        """Return our padded tokens over the useful ones among them: equal rows once on both sides of the bar."""
        return self.ours / self.unique_useful

    def __add__(self, other: "Padding") -> "Padding":
        return Padding(
            useful=self.useful + other.useful,
            rows=self.rows + other.rows,
            unique_rows=self.unique_rows + other.unique_rows,
            unique_useful=self.unique_useful + other.unique_useful,
            ours=self.ours + other.ours,
            others={name: value + other.others[name] for name, value in self.others.items()},
        )


def _file(task: AnyTask, name: str, features: Sequence[Feature]) -> FileLengths:
    lengths = np.array([len(feature.input_ids) for feature in features], dtype=np.int64)
    return FileLengths(task, name, lengths, tuple(feature.key for feature in features))


def read_job(job: Job, layout: Layout, tokenizer: Tokenizer, limit: int | None) -> FileLengths:
    """Return one file's rows: of `limit` examples spread evenly over it, or of all.

    Raises:
        DataError: the file is missing or malformed, or gives no rows.
    """
    features = job.task.finetune.featurizer(evenly(job.read(layout), limit), tokenizer)
    if not features:
        message = f"{job.task.name} {job.language} gives no rows; its file must hold examples"
        raise DataError(message)
    return _file(job.task, job.language, features)


def read_pool(
    task: AnyTask, split: Split, layout: Layout, tokenizer: Tokenizer, limit: int | None
) -> Iterator[FileLengths]:
    """Yield the rows of a task's candidates in blocks: of the first `limit` ones, or of all; nothing without a pool."""
    if task.pool is None:
        return
    candidates = islice(task.pool.source.read(layout, split), limit)
    while examples := list(islice(candidates, POOL_BLOCK)):
        yield _file(task, "pool", task.finetune.featurizer(examples, tokenizer))


def blocks(jobs: Sequence[FileLengths], pools: Sequence[FileLengths]) -> Iterator[list[FileLengths]]:
    """Yield what an evaluation plans at once: all jobs of a graph with the start of its pools, then the rest."""
    block, rows = list(jobs), sum(len(file.keys) for file in jobs)
    for file in pools:
        block.append(file)
        rows += len(file.keys)
        if rows >= POOL_BLOCK:
            yield block
            block, rows = [], 0
    if block:
        yield block


def planned(jobs: Sequence[FileLengths], pools: Sequence[FileLengths], planner: BatchPlanner) -> dict[bytes, int]:
    """Return the width of the batch that holds each row of one graph, by the row's key."""
    widths: dict[bytes, int] = {}
    for block in blocks(jobs, pools):
        pending: dict[bytes, int] = {}
        for file in block:
            for key, length in zip(file.keys, file.lengths.tolist(), strict=True):
                if key not in widths:
                    pending.setdefault(key, length)
        keys = list(pending)
        for batch in planner.plan(list(pending.values())):
            widths.update((keys[row], batch.width) for row in batch.rows)
    return widths


def sorted_loop(lengths: Sequence[int], budget: int) -> list[Batch]:
    """Return batches of rows sorted by length, longest first, each filled up to a budget of padded tokens."""
    order = np.argsort(-np.asarray(lengths), kind="stable").tolist()
    batches, start = [], 0
    while start < len(order):
        width = int(lengths[order[start]])
        end = start + max(1, budget // width)
        batches.append(Batch(tuple(order[start:end]), width))
        start = end
    return batches


def padding(task: AnyTask, files: Sequence[FileLengths], widths: Mapping[bytes, int]) -> Padding:
    """Return the tokens of one task's files; each row is padded to the width that our plan gives it.

    Args:
        task: whose maximum the scripts pad to.
        files: all of the task's.
        widths: of each row's batch, planned over all tasks of the graph.
    """
    unique: dict[bytes, int] = {}
    for file in files:
        unique.update(zip(file.keys, file.lengths.tolist(), strict=True))
    maximum = int(task.finetune.featurizer.max_tokens)
    return Padding(
        useful=sum(int(file.lengths.sum()) for file in files),
        rows=sum(len(file.keys) for file in files),
        unique_rows=len(unique),
        unique_useful=sum(unique.values()),
        ours=sum(widths[key] for key in unique),
        others={
            TO_MAXIMUM: _in_file_order(files, lambda lengths: file_order(lengths, rows=BATCH, width=maximum)),
            TO_LONGEST: _in_file_order(files, lambda lengths: file_order(lengths, rows=BATCH, width="longest")),
            SORTED: _tokens(sorted_loop(np.concatenate([file.lengths for file in files]).tolist(), BUDGET)),
        },
    )


def _in_file_order(files: Sequence[FileLengths], cut: Callable[[Sequence[int]], list[Batch]]) -> int:
    return sum(_tokens(cut(file.lengths.tolist())) for file in files)


def _tokens(batches: Sequence[Batch]) -> int:
    return sum(batch.padded_tokens for batch in batches)


def rows_of(name: str, found: Padding) -> list[Row]:
    """Return a row for each baseline, and one against the limit; the ratio is theirs over ours."""
    repeated = found.rows - found.unique_rows
    work = f"{name}, {found.rows:,} rows ({repeated:,} of them repeated), {found.useful:,} useful tokens"
    counted = {"rows": found.rows, "unique_rows": found.unique_rows, "useful_tokens": found.useful,
            "unique_useful_tokens": found.unique_useful, "padded_tokens_ours": found.ours}  # fmt: skip
    compared = [
        less_row(
            work,
            UNIT,
            found.ratio,
            baseline,
            padded / found.useful,
            padded_tokens_baseline=padded,
            # What the hardware is spared in all, de-duplication included.
            computed_tokens_ratio=round(padded / found.ours, 4),
            **counted,
        )
        for baseline, padded in found.others.items()
    ]
    return [*compared, limit_row(work, UNIT, [found.ratio], LIMIT, **counted)]


def measure(
    jobs: Sequence[Job], layout: Layout, tokenizer: Tokenizer, limit: int | None, progress: Progress
) -> list[Row]:
    """Return the rows of each task of some jobs, and of all of them together where there are several.

    Args:
        jobs: checked against the data folder.
        layout: the data.
        tokenizer: that of the models.
        limit: examples of each language, spread evenly over its file, and candidates of each pool; None for all.
        progress: of each file.

    Raises:
        DataError: a file is malformed or gives no rows.
    """
    graphs: dict[str, list[Job]] = {}
    for job in jobs:
        graphs.setdefault(job.task.finetune.name, []).append(job)
    found: dict[str, tuple[int, Padding]] = {}
    planner = BatchPlanner()
    with progress.step("tokenizing", len(jobs), "files") as advance:
        for members in graphs.values():
            files = []
            for job in members:
                files.append(read_job(job, layout, tokenizer, limit))
                advance(1)
            pools = [
                file
                for name, split in dict.fromkeys((job.task.name, job.split) for job in members)
                for file in read_pool(by_task(members)[name][0].task, split, layout, tokenizer, limit)
            ]
            widths = planned(files, pools, planner)
            for name, of_task in by_task(members).items():
                own = [file for file in (*files, *pools) if file.task.name == name]
                found[name] = len(of_task), padding(of_task[0].task, own, widths)
    rows = [row for name, (count, one) in found.items() for row in rows_of(f"{name}, {_languages(count)}", one)]
    if len(found) > 1:
        first, *others = (one for _, one in found.values())
        rows += rows_of(f"all {len(found)} tasks", sum(others, start=first))
    return rows


def _languages(count: int) -> str:
    return "1 language" if count == 1 else f"{count} languages"


def choose(names: Sequence[str], layout: Layout) -> tuple[list[Job], list[Job]]:
    """Return the jobs that are measured, and those that the data folder lacks.

    Args:
        names: the tasks; none for all that the folder has.
        layout: the data.

    Raises:
        UsageError: an unknown task, or the folder has none of them.
        DataError: lists each missing file of the tasks that were named.
    """
    chosen = choose_tasks(names or ("all",), None)
    jobs = choose_jobs(chosen, splits=parse_splits("test", chosen), coverage=layout.coverage())
    if names:
        check_splits(jobs, layout)
        return jobs, []
    there, absent = available(jobs, layout)
    if not there:
        message = f"{layout.xtreme} has no file of any task; `harness data check` says what is missing"
        raise UsageError(message)
    return there, absent


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = bench_parser("padding", __doc__)
    parser.add_argument("--model", help="an exported model: its tokenizer and its recipe's data")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json; the model's own")
    parser.add_argument("--data", type=Path, help="data folder; that of the model's recipe, or $HARNESS_DATA")
    parser.add_argument("--tasks", default="", help="only these tasks, comma-separated; all that the folder has")
    parser.add_argument("--limit", type=positive, help="examples of each language, spread evenly over its file")
    add_output(parser)
    found = parser.parse_args(arguments)
    if found.model is None and found.tokenizer is None:
        parser.error("one of --model and --tokenizer is needed: tokens are counted with it")
    return found


def sources(options: argparse.Namespace, workspace: Workspace) -> tuple[Path, Layout]:
    """Return the tokenizer and the data that the options name.

    Raises:
        UsageError: the model or the tokenizer does not exist, or nothing says where the data is.
        DataError: the data folder does not exist.
    """
    recipe, path = None, options.tokenizer
    if options.model is not None:
        workspace.artifacts.check_names(options.model, EXACT)
        artifact = workspace.artifacts.of(options.model)[0]
        recipe = artifact.checkpoint.data
        path = path or artifact.tokenizer
    if not path.is_file():
        message = f"tokenizer {path} does not exist; name a tokenizer.json with `--tokenizer`"
        raise UsageError(message)
    return path, workspace.layout(options.data, recipe)


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, print the tables, and write and draw the rows where the options say."""
    options = parse(arguments)
    path, layout = sources(options, Workspace.current())
    jobs, absent = choose([name.strip() for name in options.tasks.split(",") if name.strip()], layout)
    rows = measure(jobs, layout, FastTokenizer(path), options.limit, Terminal())
    notes = ["ours: one plan over all tasks of a graph, equal rows once; ratios are theirs over ours"]
    if layout.coverage() is not None:
        notes.append("sample data, not XTREME's")
    notes += [
        f"not counted, the data folder has no file: {name} {' '.join(job.language for job in lacking)}"
        for name, lacking in by_task(absent).items()
    ]
    finish(rows, options, notes)


if __name__ == "__main__":
    raise SystemExit(guarded(main))
