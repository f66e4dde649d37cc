"""Useful tokens per second on XNLI: this harness against PyTorch in file order.

::

    harness bench throughput --model english
    harness bench throughput --model real_small --data DEST --limit 100 --base-shape --json FILE
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import workload
from benchmarks.contenders.ours import Harness
from benchmarks.contenders.workload import Workload
from benchmarks.core.options import add_output, bench_parser, positive
from benchmarks.core.report import finish, guarded
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import alternate
from harness.artifacts.store import Artifact
from harness.artifacts.workspace import Workspace
from harness.benchmark import tasks
from harness.core.errors import ArtifactError, MissingExtra, UsageError
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.core.terminal import Terminal
from harness.evaluation.connection import connection
from harness.evaluation.selection import choose_jobs
from harness.evaluation.workload import Job, check_splits, checked
from harness.tokenization.tokenizer import FastTokenizer

if TYPE_CHECKING:
    from benchmarks.contenders.eager import EagerTorch

TASK = "xnli"
UNIT = "useful tokens/s"
#: How rows name our side, by what `--endpoint` of `harness eval` would say.
ENDPOINTS = {"in process": "onnx", "local Triton": None}
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One network on both sides: its checkpoint, the graph exported from it, and its server."""

    label: str
    checkpoint: Path
    artifact: Artifact
    repository: Path
    #: Whether the weights are trained, so that a score means something.
    scored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputOptions:
    """The options of the command line."""

    model: str
    data: Path | None
    languages: tuple[str, ...]
    limit: int | None
    repeats: int
    warmup: int
    base_shape: bool
    tokenizer: Path | None
    endpoints: tuple[str, ...]
    json: Path | None
    plot: Path | None


def parse(arguments: Sequence[str] | None = None) -> ThroughputOptions:
    """Return the options of a command line."""
    parser = bench_parser("throughput", __doc__)
    parser.add_argument("--model", required=True, help="a trained and exported model")
    parser.add_argument("--data", type=Path, help="data folder; that of the model's recipe, or $HARNESS_DATA")
    parser.add_argument("--languages", default="", help="only these languages, comma-separated")
    parser.add_argument("--limit", type=positive, help="examples of each language, spread evenly over its file")
    parser.add_argument("--repeats", type=positive, default=3, help="timed rounds; 3")
    parser.add_argument("--warmup", type=positive, default=1, help="rounds of one batch before; 1")
    parser.add_argument("--base-shape", action="store_true", help="random weights in the shape of XLM-R base, no score")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json for --base-shape; the model's own")
    parser.add_argument("--no-triton", action="store_true", help="measure in process only")
    add_output(parser)
    found = parser.parse_args(arguments)
    if found.tokenizer is not None and not found.base_shape:
        parser.error("--tokenizer goes with --base-shape: a trained model has its own")
    return ThroughputOptions(
        model=found.model,
        data=found.data,
        languages=tuple(part.strip() for part in found.languages.split(",") if part.strip()),
        limit=found.limit,
        repeats=found.repeats,
        warmup=found.warmup,
        base_shape=found.base_shape,
        tokenizer=found.tokenizer,
        endpoints=tuple(name for name, uri in ENDPOINTS.items() if uri is not None or not found.no_triton),
        json=found.json,
        plot=found.plot,
    )


def trained(model: str, workspace: Workspace) -> Subject:
    """Return a trained model: its graph, and the very checkpoint it was exported from.

    Raises:
        UsageError, ArtifactError: there is no such graph, or its checkpoint has been trained again since.
        CheckpointError: the checkpoint is missing or damaged.
    """
    from training.checkpoint import read_checkpoint

    task = tasks.load(TASK)
    artifact = checked(workspace.artifacts.find(model, task.finetune.name, "fp32"), task)
    checkpoint = read_checkpoint(workspace.checkpoints / model / "target" / task.finetune.name)
    if checkpoint.digest != artifact.manifest.checkpoint.digest:
        message = (
            f"graph {artifact.graph} was exported from another checkpoint than {checkpoint.directory}; "
            f"export it again with `harness export --model {model}`"
        )
        raise ArtifactError(message)
    return Subject(
        label=f"model {model}",
        checkpoint=checkpoint.directory,
        artifact=artifact,
        repository=workspace.model_repository,
        scored=True,
    )


def random(folder: Path, rows: Workload, tokenizer: Path, progress: Progress) -> Subject:
    """Return a network of XLM-R base's shape with random weights, exported and published."""
    from benchmarks.contenders.baseshape import Shape, export_random, write_random

    shape, finetune = Shape(), rows.task.finetune
    features = sorted((item.features[0].input_ids for item in rows.featurized), key=len)
    probes = [*features[:4], rows.featurized[0].features[-1].input_ids]
    with progress.step(f"random weights, {shape.describe()}: export", 2, "steps") as advance:
        checkpoint = write_random(folder, shape, finetune, tokenizer, SEED)
        advance(1)
        artifact = export_random(folder, checkpoint, finetune, probes)
        advance(1)
    return Subject(
        label=f"XLM-R base shape ({shape.describe()}), random weights, no score",
        checkpoint=checkpoint.directory,
        artifact=artifact,
        repository=folder / "model_repository",
        scored=False,
    )


def jobs(options: ThroughputOptions, layout: Layout) -> list[Job]:
    """Return the jobs of the task, checked against the data folder.

    Raises:
        UsageError: an unknown language.
        DataError: lists each missing file.
    """
    chosen = choose_jobs(
        [tasks.load(TASK)],
        languages=options.languages,
        splits={TASK: "test"},
        coverage=None if options.languages else layout.coverage(),
    )
    check_splits(chosen, layout)
    return chosen


@contextmanager
def ours(
    subject: Subject, rows: Workload, endpoints: Sequence[str], folder: Path, progress: Progress
) -> Iterator[list[Harness]]:
    """Give our sides, one for each way to the graph, with everything loaded."""
    with ExitStack() as stack:
        found: list[Harness] = []
        for name in endpoints:
            opened = stack.enter_context(connection(ENDPOINTS[name], [subject.artifact], subject.repository, progress))
            endpoint = stack.enter_context(opened.open(subject.artifact))
            found.append(Harness(name, endpoint, subject.artifact, rows, folder))
        yield found


def compare(subject: Subject, rows: Workload, options: ThroughputOptions, title: str, progress: Progress) -> list[Row]:
    """Return one row for each of our endpoints and each baseline, measured in one go."""
    try:
        from benchmarks.contenders import eager
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "train") from error

    with (
        TemporaryDirectory(prefix="harness-bench-") as folder,
        ours(subject, rows, options.endpoints, Path(folder), progress) as mine,
    ):
        theirs = eager.contenders(subject.checkpoint, rows)
        everyone: list[EagerTorch | Harness] = [*theirs, *mine]
        total = len(everyone) * (options.warmup + options.repeats)
        with progress.step(f"{subject.label}: measuring", total, "runs") as advance:
            timings = alternate(everyone, warmup=options.warmup, repeats=options.repeats, advance=advance)
        predicted = {side.name: workload.predictions(rows, side.outputs()) for side in everyone}
    sides = {
        name: Side(name, timing, workload.score(rows, predicted[name]) if subject.scored else None)
        for name, timing in timings.items()
    }
    return [
        rate_row(
            f"{title}, {subject.label}, {side.name}",
            rows.useful_tokens,
            UNIT,
            sides[side.name],
            sides[baseline.name],
            equal_predictions=workload.agreement(predicted[side.name], predicted[baseline.name]),
            padding={
                "ours": round(side.padded_tokens / rows.useful_tokens, 4),
                "baseline": round(baseline.padded_tokens / rows.useful_tokens, 4),
            },
            **_account(rows, subject),
        )
        for side in mine
        for baseline in theirs
    ]


def _account(rows: Workload, subject: Subject) -> dict[str, Any]:
    return {
        "useful_tokens": rows.useful_tokens,
        "rows": rows.rows,
        "languages": [item.job.language for item in rows.featurized],
        "metric": " and ".join(rows.task.headline),
        "weights": "trained" if subject.scored else "random",
        "vocabulary": subject.artifact.manifest.vocabulary,
        "graph_sha256": subject.artifact.graph_sha256,
    }


def _layout(options: ThroughputOptions, workspace: Workspace, artifact: Artifact) -> Layout:
    return workspace.layout(options.data, artifact.checkpoint.data)


def _title(rows: Workload, layout: Layout, limit: int | None) -> str:
    named = "XNLI" if layout.coverage() is None else "sample data, not XNLI"
    sampled = "" if limit is None else f", {limit} spread over each file"
    return f"{named}, {len(rows.featurized)} languages, {rows.rows:,} rows{sampled}"


def tokenizer_of(options: ThroughputOptions, artifact: Artifact) -> Path:
    """Return the tokenizer both sides share.

    Raises:
        UsageError: the file that was named is not there.
    """
    if options.tokenizer is None:
        return artifact.tokenizer
    if not options.tokenizer.is_file():
        message = f"tokenizer {options.tokenizer} does not exist; name a tokenizer.json with `--tokenizer`"
        raise UsageError(message)
    return options.tokenizer


def measure(options: ThroughputOptions, workspace: Workspace, progress: Progress) -> list[Row]:
    """Return the rows of the whole benchmark.

    Raises:
        HarnessError: a name, a file, a graph or a server is not as it must be.
    """
    subject = trained(options.model, workspace)
    layout = _layout(options, workspace, subject.artifact)
    chosen = jobs(options, layout)
    path = tokenizer_of(options, subject.artifact)
    with progress.step("tokenizing, for both sides and before the clock starts", 1, "task") as advance:
        rows = workload.read(chosen, layout, FastTokenizer(path), options.limit)
        advance(1)
    title = _title(rows, layout, options.limit)
    if not options.base_shape:
        return compare(subject, rows, options, title, progress)
    with TemporaryDirectory(prefix="harness-base-shape-") as folder:
        return compare(random(Path(folder), rows, path, progress), rows, options, title, progress)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw the rows where the options say."""
    options = parse(arguments)
    rows = measure(options, Workspace.current(), Terminal())
    finish(rows, options, ["tokenization is done beforehand for both sides; scores are accuracy, percent"])


if __name__ == "__main__":
    raise SystemExit(guarded(main))
