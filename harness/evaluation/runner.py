"""One evaluation: featurize, answer what is owed, journal it, score from the journal."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.artifacts.store import MANIFEST, Artifact
from harness.benchmark.suites import SUITES, Suite, group_means, overall
from harness.benchmark.tasks import names as task_names
from harness.core.errors import ArtifactError, UsageError
from harness.core.examples import scored
from harness.core.features import Feature
from harness.core.files import code_sha256, file_sha256, read_json, write_json, write_text
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.core.task import AnyTask, Pool, SuiteName
from harness.evaluation.dispatch import answer, owed_batches, repeats
from harness.evaluation.exposure import exposure
from harness.evaluation.journal import Journal
from harness.evaluation.provenance import data_sha256, packages, provenance
from harness.evaluation.results import LanguageScore, TaskScore
from harness.evaluation.stages import Stages
from harness.evaluation.tuning import Applied, Setting
from harness.evaluation.workload import FeaturizedJob, FeaturizedPool, GraphWorkload, Job, unanswered
from harness.inference.cost import CallCosts
from harness.inference.endpoints import Endpoint
from harness.inference.planner import BatchPlanner
from harness.tokenization.cache import TokenCache
from harness.tokenization.rows import POOL_BLOCK, Rows

SCORES = "scores.json"
JOURNAL = "journal.sqlite"
#: The sources that turn data and answers into scores.
_PACKAGE = Path(__file__).parents[1]


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
    #: Where tokenised rows and measured costs are kept; nowhere if None.
    cache: Path | None = None
    #: What is known of the fastest way to ask on this machine; the defaults where None.
    tuning: Applied | None = None

    def setting(self, artifact: Artifact) -> Setting | None:
        """Return how a graph is asked; None for the defaults."""
        return None if self.tuning is None else self.tuning.settings.get(artifact.finetune)

    def planner_of(self, artifact: Artifact) -> BatchPlanner:
        """Return what cuts a graph's rows into batches."""
        setting = self.setting(artifact)
        return self.planner if setting is None else replace(self.planner, max_tokens=setting.max_tokens)

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


def fingerprint(evaluation: Evaluation) -> str:
    """Return a digest of everything that the scores of an evaluation depend on: equal ones score alike."""
    told = {
        "request": evaluation.request,
        "tuning": None if evaluation.tuning is None else evaluation.tuning.told(),
        "graphs": [file_sha256(artifact.directory / MANIFEST) for artifact in evaluation.artifacts],
        "data": data_sha256(evaluation.jobs, evaluation.layout),
        "code": code_sha256(_PACKAGE),
        "packages": packages(),
    }
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def finished(evaluation: Evaluation) -> Result | None:
    """Return what an earlier run of the very same evaluation found in the same folder, if there was one.

    Anything that could change a score makes it another evaluation: data, graphs, code, packages or request.

    Raises:
        UsageError: its `scores.json` is damaged.
    """
    path = evaluation.output / SCORES
    if evaluation.submission is not None or not path.is_file() or not (evaluation.output / JOURNAL).is_file():
        return None
    told = read_json(path)
    if told.get("fingerprint") != fingerprint(evaluation):
        return None
    chosen = {job.task.name: job.task for job in evaluation.jobs}
    tasks = [
        TaskScore.from_json(chosen[name], chosen[name].all_languages(evaluation.suite), value)
        for name, value in told["tasks"].items()
    ]
    return Result(evaluation.model, evaluation.output, tasks, told["padding"])


def rows_of(evaluation: Evaluation) -> Rows:
    """Return what makes the rows of an evaluation.

    Raises:
        ArtifactError: the graphs of the model do not share one tokenizer.
    """
    digests = {artifact.tokenizer_sha256 for artifact in evaluation.artifacts}
    if len(digests) > 1:
        message = f"the graphs of {evaluation.model!r} have {len(digests)} tokenizers; train and export the model again"
        raise ArtifactError(message)
    first = evaluation.artifacts[0]
    cache = None if evaluation.cache is None else TokenCache(evaluation.cache / "tokens")
    return Rows(evaluation.layout, first.tokenizer, first.tokenizer_sha256, cache)


def featurize(evaluation: Evaluation, progress: Progress) -> Rows:
    """Read and featurize every job; return what made the rows, and makes those of the pools.

    Raises:
        ArtifactError: see `rows_of`.
        DataError: a file is malformed.
    """
    rows = rows_of(evaluation)
    read(evaluation, rows, progress)
    with progress.step(f"{evaluation.model}: tokenizing", len(evaluation.jobs), "files") as advance:
        for workload in evaluation.workloads:
            workload.featurize(rows, advance)
    return rows


def read(evaluation: Evaluation, rows: Rows, progress: Progress) -> None:
    """Read what has to be tokenized, so that a malformed file shows before any graph is asked.

    Raises:
        DataError: a file is malformed.
    """
    with progress.step(f"{evaluation.model}: reading", len(evaluation.jobs), "files") as advance:
        for workload in evaluation.workloads:
            workload.read(evaluation.layout, rows, advance)


def run(
    evaluation: Evaluation,
    connect: Callable[[Artifact], Endpoint],
    endpoint_name: str,
    progress: Progress,
    *,
    begin: Callable[[], None] = lambda: None,
    stages: Stages | None = None,
) -> Result:
    """Evaluate, write `journal.sqlite` and `scores.json`, and return the scores.

    While one graph answers, the next one's rows are made and its endpoint is opened.

    Args:
        evaluation: what to answer.
        connect: opens the endpoint of one graph; called from another thread too, once `begin` was called
            or it was called itself.
        endpoint_name: how results name the kind of endpoint.
        progress: told of every batch.
        begin: told once it is sure that something will be asked.
        stages: counts the time; a new one if None.

    Raises:
        EndpointError: a graph could not be asked, or answered NaN; what was answered stays journaled.
    """
    stages = stages or Stages()
    rows = rows_of(evaluation)
    with Journal(evaluation.output / JOURNAL) as journal:
        journal.identify({"model": evaluation.model, "variant": evaluation.variant, "endpoint": endpoint_name})
        # A resumed run asks the batches that it would have asked, wherever an answer depends on them.
        journal.identify(
            {
                f"batch budget of {artifact.name}": str(evaluation.planner_of(artifact).max_tokens)
                for artifact in evaluation.artifacts
                if artifact.batch_dependent
            }
        )
        journal.remember({"request": json.dumps(evaluation.request)})
        answered = {graph.graph_sha256: journal.answered(graph.graph_sha256) for graph in evaluation.artifacts}
        asks = _Asks(evaluation, rows, answered, connect, stages)
        if not any(answered.values()):
            begin()
            asks.begun = True
        with stages.stage("reading"):
            read(evaluation, rows, progress)
        asks.all(journal, progress)
        backend = asks.backend or journal.identity().get("backend", "")
        journal.remember({"backend": backend})

        def account() -> dict[str, Any]:
            tokens = {"tokenized_rows": rows.tokenized, "cached_rows": rows.cached}
            return {"stages": stages.to_json(), "tokens": tokens, "fingerprint": fingerprint(evaluation)}

        with stages.stage("scoring"):
            tasks = score_all(evaluation, journal, progress)
        return conclude(evaluation, journal, endpoint_name, backend, tasks, account)


@dataclass(slots=True)
class _Turn:
    """One graph's turn: its rows, block by block, and its endpoint where one is needed."""

    workload: GraphWorkload
    blocks: Iterator[list[Feature]]
    endpoint: Endpoint | None = None


@dataclass(slots=True)
class _Asks:
    """Lets the graphs answer in turn, and prepares each one's turn during the one before."""

    evaluation: Evaluation
    rows: Rows
    #: What each graph has answered, by its digest.
    answered: Mapping[str, set[bytes]]
    connect: Callable[[Artifact], Endpoint]
    stages: Stages
    #: Whether endpoints may be opened from another thread than the main one.
    begun: bool = False
    #: What computed the answers; empty if nothing had to be asked.
    backend: str = ""

    def all(self, journal: Journal, progress: Progress) -> None:
        """Ask every graph what it owes."""
        workloads = self.evaluation.workloads
        with ThreadPoolExecutor(1, "ahead") as ahead, ExitStack() as opened:
            coming: Future[_Turn] | None = None
            try:
                for place, workload in enumerate(workloads):
                    turn = self._prepare(workload, True) if coming is None else coming.result()
                    coming = None
                    if place + 1 < len(workloads):
                        coming = ahead.submit(self._prepare, workloads[place + 1], self.begun)
                    if turn.endpoint is not None:
                        opened.callback(turn.endpoint.close)
                    self._answer(turn, opened, journal, progress)
                    opened.close()
            except BaseException:
                if coming is not None and coming.exception() is None:
                    left = coming.result().endpoint
                    if left is not None:
                        left.close()
                raise

    def _prepare(self, workload: GraphWorkload, may_open: bool) -> _Turn:
        with self.stages.stage("tokenizing"):
            workload.featurize(self.rows, lambda _: None)
            blocks = workload.blocks(self.rows)
            first = next(blocks, [])
        turn = _Turn(workload, chain([first], blocks))
        done = self.answered[workload.artifact.graph_sha256]
        if may_open and any(feature.key not in done for feature in first):
            turn.endpoint = self._open(workload.artifact)
        return turn

    def _open(self, artifact: Artifact) -> Endpoint:
        with self.stages.stage("opening"):
            return self.connect(artifact)

    def _answer(self, turn: _Turn, opened: ExitStack, journal: Journal, progress: Progress) -> None:
        artifact = turn.workload.artifact
        done = self.answered[artifact.graph_sha256]
        planner, setting = self.evaluation.planner_of(artifact), self.evaluation.setting(artifact)
        place = "" if setting is None else setting.place
        for block in turn.blocks:
            if turn.endpoint is None and any(feature.key not in done for feature in block):
                turn.endpoint = opened.enter_context(self._open(artifact))
            if turn.endpoint is None:
                continue
            self.begun = True
            self.backend = self.backend or turn.endpoint.backend
            if self.evaluation.cache is not None:
                with self.stages.stage("measuring"):
                    costs = CallCosts(self.evaluation.cache / "costs.json")
                    planner = replace(planner, overhead=costs.overhead(artifact, turn.endpoint, block[0], place))
            with self.stages.stage("planning"):
                owed, plan = owed_batches(artifact, block, done, planner)
            self.stages.first_batch()
            with self.stages.stage("answering"):
                answer(artifact, owed, plan, turn.endpoint, artifact.pad_id, journal, progress)
            done.update(feature.key for feature in owed)


def rescore(evaluation: Evaluation, progress: Progress) -> Result:
    """Compute the scores of a finished run again, from its journal and the data.

    Raises:
        UsageError: the run has not answered everything.
    """
    rows = featurize(evaluation, progress)
    with Journal(evaluation.output / JOURNAL) as journal:
        for workload in evaluation.workloads:
            answered = journal.answered(workload.artifact.graph_sha256)
            owed = sum(len(unanswered(block, answered)) for block in workload.blocks(rows))
            if owed:
                message = (
                    f"run {evaluation.output} lacks {owed:,} answers of {workload.artifact.name!r}; it was stopped, "
                    f"or the graph or the data changed; finish it with `harness eval --output {evaluation.output} ...`"
                )
                raise UsageError(message)
        told = read_json(evaluation.output / SCORES)
        kept = {name: told[name] for name in ("stages", "tokens", "fingerprint") if name in told}
        tasks = score_all(evaluation, journal, progress)
        return conclude(evaluation, journal, told["endpoint"], told["provenance"]["backend"], tasks, lambda: kept)


def conclude(
    evaluation: Evaluation,
    journal: Journal,
    endpoint: str,
    backend: str,
    tasks: Sequence[TaskScore],
    account: Callable[[], Mapping[str, Any]],
) -> Result:
    """Write `scores.json`; `account` gives what it tells beside the scores, and is asked last."""
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
        "provenance": {
            **provenance(evaluation.jobs, evaluation.layout, evaluation.artifacts, backend),
            "tuning": None if evaluation.tuning is None else evaluation.tuning.to_json(),
        },
        **account(),
    }
    write_json(evaluation.output / SCORES, document)
    return Result(evaluation.model, evaluation.output, tasks, padding)


def suite_json(suite: Suite, tasks: Sequence[TaskScore]) -> dict[str, Any]:
    """Return the group means and the overall numbers by rule, over complete tasks only."""
    complete = {task.task.name: task.means() for task in tasks if task.complete}
    return {
        "groups": group_means(suite, {name: task.score for name, task in complete.items()}),
        "overall": overall(suite, complete),
    }


def score_all(evaluation: Evaluation, journal: Journal, progress: Progress) -> list[TaskScore]:
    """Return the scores of every task, computed from the journal and the data."""
    journal.clear_predictions()
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
