"""One evaluation: featurize, answer what is owed, journal it, score from the journal."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.artifacts import Artifact
from harness.data import Layout
from harness.endpoints import Endpoint
from harness.errors import ArtifactError, EndpointError, UsageError
from harness.examples import scored
from harness.exposure import exposure
from harness.features import Feature
from harness.journal import BatchRecord, Journal, pack
from harness.planner import Batch, BatchPlanner
from harness.progress import Advance, Progress
from harness.provenance import provenance
from harness.results import LanguageScore, TaskScore, read_json, write_json, write_text
from harness.suites import SUITES, Suite, group_means, overall
from harness.task import AnyTask, Pool, SuiteName
from harness.tasks import names as task_names
from harness.tensors import Tensors, pad
from harness.tokenizer import FastTokenizer
from harness.workload import POOL_BLOCK, FeaturizedJob, FeaturizedPool, GraphWorkload, Job, unanswered

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
    #: What was asked for, as JSON values: enough to make this evaluation again.
    request: Mapping[str, Any]
    #: Where predictions go in the official submission layout; nowhere if None.
    submission: Path | None = None
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


def featurize(evaluation: Evaluation, progress: Progress) -> FastTokenizer:
    """Read and featurize every job; return the model's tokenizer.

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
    return tokenizer


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
    tokenizer = featurize(evaluation, progress)
    with Journal(evaluation.output / JOURNAL) as journal:
        journal.identify({"model": evaluation.model, "variant": evaluation.variant, "endpoint": endpoint_name})
        journal.remember({"request": json.dumps(evaluation.request)})
        backends = []
        for workload in evaluation.workloads:
            with connect(workload.artifact) as endpoint:
                backends.append(endpoint.backend)
                answered = journal.answered(workload.artifact.graph_sha256)
                for block in workload.blocks(evaluation.layout, tokenizer):
                    owed, plan = owed_batches(workload.artifact, block, answered, evaluation.planner)
                    answer(workload.artifact, owed, plan, endpoint, tokenizer.pad_id, journal, progress)
                    answered.update(feature.key for feature in owed)
        return conclude(evaluation, journal, endpoint_name, backends[0], progress)


def rescore(evaluation: Evaluation, progress: Progress) -> Result:
    """Compute the scores of a finished run again, from its journal and the data.

    Raises:
        UsageError: the run has not answered everything.
    """
    tokenizer = featurize(evaluation, progress)
    with Journal(evaluation.output / JOURNAL) as journal:
        for workload in evaluation.workloads:
            answered = journal.answered(workload.artifact.graph_sha256)
            owed = sum(len(unanswered(block, answered)) for block in workload.blocks(evaluation.layout, tokenizer))
            if owed:
                message = (
                    f"run {evaluation.output} lacks {owed:,} answers of {workload.artifact.name!r}; it was stopped, "
                    f"or the graph or the data changed; finish it with `harness eval --output {evaluation.output} ...`"
                )
                raise UsageError(message)
        told = read_json(evaluation.output / SCORES)
        return conclude(evaluation, journal, told["endpoint"], told["provenance"]["backend"], progress)


def conclude(evaluation: Evaluation, journal: Journal, endpoint: str, backend: str, progress: Progress) -> Result:
    """Score what the journal holds, and write `scores.json`."""
    journal.clear_predictions()
    tasks = score_all(evaluation, journal, progress)
    padding = journal.padding([artifact.graph_sha256 for artifact in evaluation.artifacts])
    document = {
        "model": evaluation.model,
        "variant": evaluation.variant,
        "endpoint": endpoint,
        "suite": evaluation.suite,
        "request": evaluation.request,
        "tasks": {task.task.name: task.to_json() for task in tasks},
        **({} if evaluation.suite is None else suite_json(SUITES[evaluation.suite], tasks)),
        "padding": padding,
        "repeats": repeats(evaluation.artifacts),
        "provenance": provenance(evaluation.jobs, evaluation.layout, evaluation.artifacts, backend),
    }
    write_json(evaluation.output / SCORES, document)
    return Result(evaluation.model, evaluation.output, tasks, padding)


def repeats(artifacts: Sequence[Artifact]) -> str:
    """Return by which means the same evaluation gives the same answers again."""
    dependent = [artifact.name for artifact in artifacts if artifact.batch_dependent]
    if not dependent:
        return "each row's answer is its own, whatever it is batched with"
    return (
        f"{', '.join(dependent)} scale whole batches: answers repeat since the plan follows from the data alone, "
        f"one batch is one call, and the server merges nothing"
    )


def suite_json(suite: Suite, tasks: Sequence[TaskScore]) -> dict[str, Any]:
    """Return the group means and the overall numbers by rule, over complete tasks only."""
    complete = {task.task.name: task.means() for task in tasks if task.complete}
    return {
        "groups": group_means(suite, {name: task.score for name, task in complete.items()}),
        "overall": overall(suite, complete),
    }


def owed_batches(
    artifact: Artifact, block: Sequence[Feature], answered: set[bytes], planner: BatchPlanner
) -> tuple[list[Feature], list[Batch]]:
    """Return the rows that a graph has to answer, and the batches that hold those still owed.

    Where an answer depends on its batch, as with int8 that scales whole batches, the plan is that of a
    run from the start: a resumed evaluation asks the same batches, and so gets the same answers.
    """
    rows = unanswered(block, set() if artifact.batch_dependent else answered)
    plan = planner.plan([len(feature.input_ids) for feature in rows])
    return rows, [batch for batch in plan if any(rows[row].key not in answered for row in batch.rows)]


def answer(
    artifact: Artifact,
    owed: Sequence[Feature],
    plan: Sequence[Batch],
    endpoint: Endpoint,
    pad_id: int,
    journal: Journal,
    progress: Progress,
) -> None:
    """Ask one graph a plan's batches of rows, several in flight, and journal each answer."""
    useful = sum(len(owed[row].input_ids) for batch in plan for row in batch.rows)
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
    scores = []
    with progress.step(f"{evaluation.model}: scoring", len(evaluation.jobs), "files") as advance:
        for workload in evaluation.workloads:
            grouped: dict[str, list[LanguageScore]] = {}
            chosen: dict[str, AnyTask] = {}
            for item, predictions, candidates in predict(workload, journal):
                row = score(item, predictions, candidates, workload.artifact, journal)
                if evaluation.submission is not None:
                    write_submission(evaluation.submission, item, predictions)
                chosen[item.job.task.name] = item.job.task
                grouped.setdefault(item.job.task.name, []).append(row)
                advance(1)
            scores += [_task_score(evaluation, workload.artifact, chosen[name], grouped[name]) for name in grouped]
    order = SUITES[evaluation.suite].tasks if evaluation.suite else task_names()
    return sorted(scores, key=lambda score: order.index(score.task.name))


def _task_score(evaluation: Evaluation, artifact: Artifact, task: AnyTask, rows: Sequence[LanguageScore]) -> TaskScore:
    order = task.all_languages(evaluation.suite)
    told = artifact.manifest["checkpoint"]["account"]
    taught_by = told.get("taught_by")
    # Only where the task is evaluated on the very files that its training set names dev (PAN-X, PAWS-X, UDPOS).
    shared = task.source is task.finetune.train and taught_by in (None, task.finetune.name)
    chosen_by = told.get("development") or {}
    selected = {code for code, found in chosen_by.items() if shared and found.get("origin") == "dev"}
    layer, layers = artifact.manifest.get("retrieval_layer"), artifact.manifest.get("layers")
    answered_by = [] if layer is None else [f"hidden state {layer} of {layers}"]
    answered_by += [] if artifact.variant == evaluation.variant else [f"answered in {artifact.variant}"]
    return TaskScore(
        task=task,
        languages=tuple(sorted(rows, key=lambda row: order.index(row.language))),
        expected=order,
        leak=told.get("leak_allowed") or "",
        selected_on=next((row.language for row in rows if row.split == "dev" and row.language in selected), ""),
        stand_in="" if taught_by in (None, task.finetune.name) else taught_by,
        representation=", ".join(answered_by),
    )


def predict(workload: GraphWorkload, journal: Journal) -> Iterator[tuple[FeaturizedJob, Sequence[Any], int | None]]:
    """Yield each job with its predictions and, where it has a pool, the number of candidates in it."""
    graph, signature = workload.artifact.graph_sha256, workload.artifact.signature
    for item in workload.featurized:
        if item.job.task.pool is None:
            outputs = journal.outputs(graph, (feature.key for feature in item.features), signature)
            yield item, item.job.task.postprocess(item.examples, item.features, outputs), None
    for pool in workload.pools:
        items = [item for item in workload.featurized if (item.job.task, item.job.split) == (pool.task, pool.split)]
        found = iter(_search(pool, items, workload.artifact, journal))
        for item in items:
            yield item, [next(found) for _ in item.examples], len(pool.ids)


def _search(
    pool: FeaturizedPool, items: Sequence[FeaturizedJob], artifact: Artifact, journal: Journal
) -> list[tuple[str, ...]]:
    """Return the candidates of the queries of all jobs, found in one pass over the pool."""
    (output,) = (spec.name for spec in artifact.signature.outputs)

    def vectors(keys: Iterable[bytes]) -> NDArray[np.float32]:
        answers = journal.outputs(artifact.graph_sha256, keys, artifact.signature)
        return np.stack([answer[output] for answer in answers])

    blocks = (
        (pool.ids[start : start + POOL_BLOCK], vectors(pool.keys[start : start + POOL_BLOCK]))
        for start in range(0, len(pool.ids), POOL_BLOCK)
    )
    declared: Pool = pool.task.pool  # type: ignore[assignment]
    return declared.search.among(vectors(feature.key for item in items for feature in item.features), blocks)


def score(
    item: FeaturizedJob, predictions: Sequence[Any], candidates: int | None, artifact: Artifact, journal: Journal
) -> LanguageScore:
    """Return the scores of one task and language, and journal its predictions."""
    job, task = item.job, item.job.task
    counts = task.metric.counts(item.examples, predictions, job.language)
    journal.write_predictions(task.name, job.language, [example.id for example in item.examples], predictions, counts)
    examples, totals = len(scored(item.examples)), counts.sum(axis=0)
    whole = task.pool is None or candidates == task.pool.official
    return LanguageScore(
        language=job.language,
        split=job.split,
        examples=examples,
        scores=task.metric.scores(totals),
        official=job.split == "test"
        and job.limit is None
        and whole
        and task.size(examples, totals) == task.official_count(job.language),
        exposure=exposure(task, job.language, artifact.manifest["checkpoint"]["account"]["seen"]),
    )


def write_submission(folder: Path, item: FeaturizedJob, predictions: Sequence[Any]) -> None:
    """Write the predictions of one task and language as the official scorer reads them."""
    job = item.job
    path = folder / job.task.name / f"{job.split}-{job.language}.{job.task.submission.suffix}"
    write_text(path, job.task.submission.render(item.examples, predictions))
