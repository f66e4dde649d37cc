"""One evaluation: featurize, answer what is owed, journal it, score from the journal."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.artifacts import Artifact
from harness.data import Layout
from harness.endpoints import Endpoint
from harness.errors import ArtifactError, EndpointError
from harness.examples import scored
from harness.features import Feature
from harness.journal import BatchRecord, Journal, pack
from harness.planner import Batch, BatchPlanner
from harness.progress import Advance, Progress
from harness.provenance import provenance
from harness.results import LanguageScore, TaskScore, write_json
from harness.task import SuiteName
from harness.tensors import Tensors, pad
from harness.tokenizer import FastTokenizer
from harness.workload import FeaturizedJob, GraphWorkload, Job

SCORES = "scores.json"
JOURNAL = "journal.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is evaluated; how it is answered is the endpoints' business."""

    model: str
    variant: str
    workloads: Sequence[GraphWorkload]
    layout: Layout
    suite: SuiteName | None
    output: Path
    planner: BatchPlanner = field(default_factory=BatchPlanner)

    @property
    def jobs(self) -> list[Job]:
        """Return the jobs of all graphs."""
        return [job for workload in self.workloads for job in workload.jobs]

    @property
    def artifacts(self) -> list[Artifact]:
        """Return the graphs."""
        return [workload.artifact for workload in self.workloads]


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run."""

    model: str
    directory: Path
    tasks: Sequence[TaskScore]
    padding: dict[str, float]


def featurize(evaluation: Evaluation, progress: Progress) -> int:
    """Read and featurize every job; return the padding id of the model's tokenizer.

    Raises:
        ArtifactError: the graphs of the model do not share one tokenizer.
    """
    digests = {artifact.tokenizer_sha256 for artifact in evaluation.artifacts}
    if len(digests) > 1:
        message = f"the graphs of {evaluation.model!r} have {len(digests)} tokenizers; train and export the model again"
        raise ArtifactError(message)
    tokenizer = FastTokenizer(evaluation.artifacts[0].tokenizer)
    with progress.step(f"{evaluation.model}: tokenizing", len(evaluation.jobs), "files") as advance:
        for workload in evaluation.workloads:
            workload.featurize(evaluation.layout, tokenizer, lambda _: advance(1))
    return tokenizer.pad_id


def run(
    evaluation: Evaluation, connect: Callable[[Artifact], Endpoint], endpoint_name: str, progress: Progress
) -> Result:
    """Evaluate, write `journal.sqlite` and `scores.json`, and return the scores.

    Args:
        evaluation: what to answer.
        connect: opens the endpoint of one graph.
        endpoint_name: how results name the kind of endpoint.
        progress: told of every batch.

    Raises:
        EndpointError: a graph could not be asked, or answered NaN; what was answered stays journaled.
    """
    pad_id = featurize(evaluation, progress)
    with Journal(evaluation.output / JOURNAL) as journal:
        journal.identify({"model": evaluation.model, "variant": evaluation.variant, "endpoint": endpoint_name})
        backends = []
        for workload in evaluation.workloads:
            with connect(workload.artifact) as endpoint:
                backends.append(endpoint.backend)
                answer(workload, endpoint, pad_id, evaluation.planner, journal, progress)
        journal.clear_predictions()
        tasks = score_all(evaluation, journal, progress)
        padding = journal.padding([artifact.graph_sha256 for artifact in evaluation.artifacts])
    document = {
        "model": evaluation.model,
        "variant": evaluation.variant,
        "endpoint": endpoint_name,
        "suite": evaluation.suite,
        "tasks": {task.task.name: task.to_json() for task in tasks},
        "padding": padding,
        "provenance": provenance(evaluation.jobs, evaluation.layout, evaluation.artifacts, backends[0]),
    }
    write_json(evaluation.output / SCORES, document)
    return Result(evaluation.model, evaluation.output, tasks, padding)


def answer(
    workload: GraphWorkload,
    endpoint: Endpoint,
    pad_id: int,
    planner: BatchPlanner,
    journal: Journal,
    progress: Progress,
) -> None:
    """Ask one graph for everything it still owes, several batches in flight, and journal each answer."""
    artifact = workload.artifact
    owed = workload.owed(journal.answered(artifact.graph_sha256))
    plan = planner.plan([len(feature.input_ids) for feature in owed])
    useful = sum(len(feature.input_ids) for feature in owed)
    waiting: deque[tuple[Batch, Future[_Answer]]] = deque()
    pool = ThreadPoolExecutor(endpoint.concurrency)
    try:
        with progress.step(f"{artifact.name}", useful, "tokens") as advance:
            for batch in plan:
                if len(waiting) > endpoint.concurrency:
                    _record(artifact, owed, *waiting.popleft(), journal, advance)
                rows = [owed[row].input_ids for row in batch.rows]
                waiting.append((batch, pool.submit(_ask, endpoint, pad(rows, pad_id, batch.width))))
            while waiting:
                _record(artifact, owed, *waiting.popleft(), journal, advance)
    except EndpointError:
        # One batch failed; what was answered beside it is kept, so that a resumed run owes less.
        for batch, future in waiting:
            if not future.cancel() and future.exception() is None:
                _record(artifact, owed, batch, future, journal, lambda _: None)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def answer_seconds(artifact: Artifact, owed: Sequence[Feature], plan: Sequence[Batch], pad_id: int) -> float:
    """Return about how many seconds a plan takes in this process, from a few of its batches.

    Widest, middle and narrowest batch are timed after one warm-up; time is taken as proportional to
    padded tokens between them, which leaves out that attention grows with the square of the width.
    """
    from harness.endpoints.onnx import OnnxEndpoint

    with OnnxEndpoint.of(artifact) as endpoint:
        chosen = [plan[place] for place in sorted({0, len(plan) // 2, len(plan) - 1})]
        inputs = [pad([owed[row].input_ids for row in batch.rows], pad_id, batch.width) for batch in chosen]
        _ask(endpoint, inputs[-1])
        seconds = sum(_ask(endpoint, batch).seconds for batch in inputs)
    return seconds * sum(batch.padded_tokens for batch in plan) / sum(batch.padded_tokens for batch in chosen)


@dataclass(frozen=True, slots=True)
class _Answer:
    tensors: Tensors
    seconds: float


def _ask(endpoint: Endpoint, inputs: Tensors) -> _Answer:
    begin = time.perf_counter()
    tensors = endpoint.infer(inputs)
    return _Answer(tensors, time.perf_counter() - begin)


def _record(
    artifact: Artifact,
    owed: Sequence[Feature],
    batch: Batch,
    future: "Future[_Answer]",
    journal: Journal,
    advance: Advance,
) -> None:
    """Journal one answered batch."""
    answered = future.result()
    features = [owed[row] for row in batch.rows]
    blobs = [
        pack(index, len(feature.input_ids), answered.tensors, artifact.signature)
        for index, feature in enumerate(features)
    ]
    if not all(np.isfinite(np.frombuffer(blob, dtype="<f4")).all() for blob in blobs):
        message = (
            f"graph {artifact.name!r} answered with NaN or infinity for a batch of {len(features)} rows; "
            f"nothing of it was kept, export the model again with `harness export --model {artifact.model} --force`"
        )
        raise EndpointError(message)
    useful = sum(len(feature.input_ids) for feature in features)
    journal.record(
        artifact.graph_sha256, features, blobs, BatchRecord(len(features), batch.width, useful, answered.seconds)
    )
    advance(useful)


def score_all(evaluation: Evaluation, journal: Journal, progress: Progress) -> list[TaskScore]:
    """Return the scores of every task, computed from the journal and the data."""
    grouped: dict[str, list[LanguageScore]] = {}
    with progress.step(f"{evaluation.model}: scoring", len(evaluation.jobs), "files") as advance:
        for workload in evaluation.workloads:
            for item in workload.featurized:
                row = score(item, workload.artifact, journal)
                grouped.setdefault(item.job.task.name, []).append(row)
                advance(1)
    return [_task_score(evaluation, name, rows) for name, rows in sorted(grouped.items())]


def _task_score(evaluation: Evaluation, name: str, rows: Sequence[LanguageScore]) -> TaskScore:
    job = next(job for job in evaluation.jobs if job.task.name == name)
    expected = set(job.task.all_languages(evaluation.suite))
    complete = job.split == "test" and expected == {row.language for row in rows} and all(row.official for row in rows)
    return TaskScore(task=job.task, split=job.split, languages=tuple(rows), complete=complete)


def score(item: FeaturizedJob, artifact: Artifact, journal: Journal) -> LanguageScore:
    """Return the scores of one task and language, and journal its predictions."""
    job, task = item.job, item.job.task
    outputs = journal.outputs(artifact.graph_sha256, item.features, artifact.signature)
    predictions: Sequence[Any] = task.postprocess(item.examples, item.features, outputs)
    counts = task.metric.counts(item.examples, predictions, job.language)
    journal.write_predictions(task.name, job.language, [example.id for example in item.examples], predictions, counts)
    examples = len(scored(item.examples))
    return LanguageScore(
        language=job.language,
        examples=examples,
        scores=task.metric.scores(counts.sum(axis=0)),
        official=job.split == "test" and job.limit is None and examples == task.official_count(job.language),
    )
