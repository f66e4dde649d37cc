"""From the answers in a journal to scores: predictions, statistics of each example, scores."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.artifacts.store import Artifact
from harness.benchmark import finetunes
from harness.benchmark.sources.rows import placeholders
from harness.benchmark.suites import SUITES
from harness.benchmark.tasks import names as task_names
from harness.core.examples import holding, ids_sha256, scored
from harness.core.files import write_text
from harness.core.heads import SentenceEmbedding
from harness.core.progress import Progress
from harness.core.task import AnyTask, Pool
from harness.evaluation.beside import counted, second_scores
from harness.evaluation.exposure import exposure
from harness.evaluation.journal import Journal
from harness.evaluation.plausibility.answers import PoolFacts, plausibility
from harness.evaluation.plausibility.inputs import input_facts
from harness.evaluation.request import Evaluation
from harness.evaluation.results import LanguageScore, TaskScore
from harness.evaluation.workload import FeaturizedJob, FeaturizedPool, GraphWorkload, Job
from harness.tokenization.rows import POOL_BLOCK


def score_run(evaluation: Evaluation, journal: Journal, progress: Progress) -> list[TaskScore]:
    """Return the scores of every task, computed from the journal and the data."""
    journal.clear_predictions()
    scores = []
    with progress.step(f"{evaluation.model}: scoring", len(evaluation.jobs), "files") as advance:
        for workload in evaluation.workloads:
            grouped: dict[str, list[LanguageScore]] = {}
            chosen: dict[str, AnyTask] = {}
            for item, predictions, pool in predict(workload, journal):
                row = score_language(item, predictions, pool, workload.artifact, journal)
                # The examples have been read by now, whatever the cache had of their rows.
                row = replace(row, gold_errors=counted_errors(evaluation, item.job))
                if evaluation.submission is not None:
                    write_submission(evaluation.submission, item, predictions)
                chosen[item.job.task.name] = item.job.task
                grouped.setdefault(item.job.task.name, []).append(row)
                advance(1)
            scores += [_task_score(evaluation, workload.artifact, chosen[name], grouped[name]) for name in grouped]
    order = SUITES[evaluation.suite].tasks if evaluation.suite else task_names()
    return sorted(scores, key=lambda score: order.index(score.task.name))


def counted_errors(evaluation: Evaluation, job: Job) -> int | None:
    """Return how many gold answers of a job's file contradict their text; None where they are refused."""
    errors = job.gold_errors(evaluation.layout)
    return None if errors is None else len(errors)


def _task_score(evaluation: Evaluation, artifact: Artifact, task: AnyTask, rows: Sequence[LanguageScore]) -> TaskScore:
    order = task.all_languages(evaluation.suite)
    recorded = artifact.checkpoint
    taught_by = recorded.taught_by
    # Only where the task is evaluated on the very files that its training set names dev (PAN-X, PAWS-X, UDPOS).
    shared = task.source is task.finetune.train and taught_by in (None, task.finetune.name)
    chosen_by = recorded.development or {}
    selected = {code for code, found in chosen_by.items() if shared and found.get("origin") == "dev"}
    answered_by = [*representation(artifact)]
    answered_by += [] if artifact.variant == evaluation.variant else [f"answered in {artifact.variant}"]
    return TaskScore(
        task=task,
        languages=tuple(sorted(rows, key=lambda row: order.index(row.language))),
        expected=order,
        leak=recorded.leak_allowed or "",
        selected_on=next((row.language for row in rows if row.split == "dev" and row.language in selected), ""),
        stand_in="" if taught_by in (None, task.finetune.name) else taught_by,
        representation=", ".join(answered_by),
        exposure_declared=recorded.exposure_declared,
        sample_seed=next((job.sample.seed for job in evaluation.jobs if job.sample is not None), None),
    )


def representation(artifact: Artifact) -> Iterator[str]:
    """Yield what a graph's answers are made of, beyond the task's own declaration."""
    recorded, declared = artifact.checkpoint, finetunes.load(artifact.finetune).head
    if artifact.manifest.retrieval_layer is not None:
        if not isinstance(declared, SentenceEmbedding):
            yield "the encoder's own vectors, not trained for the task"
        yield f"hidden state {artifact.manifest.retrieval_layer} of {artifact.manifest.layers}"
        pooling = artifact.manifest.head.pooling if artifact.manifest.head is not None else None
        if pooling is not None and pooling != getattr(declared, "pooling", None):
            yield f"pooling {pooling}"
    limits = [limit for limit in (artifact.manifest.max_tokens, recorded.row_tokens) if limit is not None]
    if limits and min(limits) < finetunes.load(artifact.finetune).featurizer.max_tokens:
        yield f"rows of at most {min(limits)} tokens"
    prompts = recorded.prompts
    if prompts is not None and (prompts.query or prompts.candidate):
        # Translations are of one kind, so both sides have the query's.
        sides = [prompts.query] if isinstance(declared, SentenceEmbedding) else [prompts.query, prompts.candidate]
        yield f"prompt {' and '.join(repr(text) for text in sides)}"
    if recorded.gold_errors is not None:
        yield f"trained with gold errors allowed: {recorded.gold_errors:,}"
    if recorded.origin is not None and recorded.origin.weights:
        yield f"trained from {recorded.origin.weights}" if recorded.steps else recorded.origin.weights


def predict(
    workload: GraphWorkload, journal: Journal
) -> Iterator[tuple[FeaturizedJob, Sequence[Any], PoolFacts | None]]:
    """Yield each job with its predictions and, where it has a pool, what was counted of the candidates in it."""
    graph, signature = workload.artifact.graph_sha256, workload.artifact.signature
    for item in workload.featurized:
        if item.job.task.pool is None:
            outputs = journal.outputs(graph, (feature.key for feature in item.features), signature)
            yield item, item.job.task.postprocess(item.examples, item.features, outputs), None
    for pool in workload.pools:
        items = [item for item in workload.featurized if (item.job.task, item.job.split) == (pool.task, pool.split)]
        found = iter(_search(pool, items, workload.artifact, journal))
        facts = PoolFacts.of(pool.ids, pool.keys)
        for item in items:
            yield item, [next(found) for _ in item.examples], facts


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


def score_language(
    item: FeaturizedJob, predictions: Sequence[Any], pool: PoolFacts | None, artifact: Artifact, journal: Journal
) -> LanguageScore:
    """Return the scores of one task and language, and write its predictions into the journal."""
    job, task = item.job, item.job.task
    # One list: examples may be read at the first look, and each look at one of them costs a call.
    all_examples = item.examples[:]
    counts = task.metric.counts(all_examples, predictions, job.language)
    journal.write_predictions(task.name, job.language, [example.id for example in all_examples], predictions, counts)
    examples, totals = len(scored(all_examples)), counts.sum(axis=0)
    whole = task.pool is None or (pool is not None and pool.candidates == task.pool.official)
    return LanguageScore(
        language=job.language,
        split=job.split,
        examples=examples,
        placeholders=holding(scored(item.examples), placeholders(task.source)),
        scores={**task.metric.scores(totals), **second_scores(item, predictions, artifact, journal)},
        official=job.split == "test"
        and job.limit is None
        and job.sample is None
        and whole
        and task.size(examples, totals) == task.official_count(job.language),
        exposure=(
            exposure(task, job.language, artifact.checkpoint.seen) if artifact.checkpoint.exposure_declared else None
        ),
        plausibility=plausibility(
            task,
            all_examples,
            predictions,
            counts,
            job.language,
            pool=pool,
            inputs=input_facts(task.featurizer, all_examples, item.features, artifact.tokenizer),
        ),
        counted=counted(item, artifact),
        drawn=None if job.sample is None else ids_sha256([example.id for example in scored(all_examples)]),
    )


def write_submission(folder: Path, item: FeaturizedJob, predictions: Sequence[Any]) -> None:
    """Write the predictions of one task and language as the official scorer reads them."""
    job = item.job
    path = folder / job.task.name / f"{job.split}-{job.language}.{job.task.submission.suffix}"
    write_text(path, job.task.submission.render(item.examples, predictions))
