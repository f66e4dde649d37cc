"""The body of `harness eval`: from a request to runs and the lines that tell of them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.artifacts import ArtifactStore
from harness.connect import connection
from harness.data import Layout
from harness.errors import UsageError
from harness.evaluate import Evaluation, Result, answer_seconds, featurize
from harness.evaluate import run as run_one
from harness.progress import Progress
from harness.report import (
    difference_table,
    language_table,
    padding_line,
    protocol_lines,
    script_table,
    suite_lines,
)
from harness.selection import check_suite, choose_jobs, choose_tasks, parse_splits
from harness.suites import SUITES
from harness.workload import check_splits, group
from harness.workspace import SAMPLE, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asked for."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    suite: str | None
    languages: tuple[str, ...]
    scripts: tuple[str, ...]
    split: str
    data: Path | None
    endpoint: str | None
    variant: str
    limit: int | None
    output: Path | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    evaluations: Sequence[Evaluation]
    is_sample: bool


def _prepare(request: Request, workspace: Workspace) -> _Prepared:
    """Return one checked evaluation for each model; no answer has been asked for yet.

    Raises:
        UsageError: an unknown name, split or filter.
        DataError: a data file is missing.
        ArtifactError: a graph is missing, damaged, or of another head.
    """
    store = workspace.artifacts
    suite = check_suite(request.suite)
    chosen = choose_tasks(request.tasks, suite)
    splits = parse_splits(request.split, chosen)
    for model in request.models:
        store.check_names(model, request.variant)
    evaluations = []
    layout = _layout(request, workspace, store)
    coverage = layout.coverage() if not request.languages else None
    for model in request.models:
        jobs = choose_jobs(
            chosen,
            suite=suite,
            languages=request.languages,
            scripts=request.scripts,
            splits=splits,
            limit=request.limit,
            coverage=coverage,
        )
        check_splits(jobs, layout)
        evaluations.append(
            Evaluation(
                model=model,
                variant=request.variant,
                workloads=group(jobs, store, model, request.variant),
                layout=layout,
                suite=suite,
                output=_output(request, workspace, model),
            )
        )
    return _Prepared(evaluations, layout.coverage() is not None)


def _layout(request: Request, workspace: Workspace, store: ArtifactStore) -> Layout:
    """Return the data: what was given, or what the models' recipe names.

    Raises:
        UsageError: the models were trained for different data, and none was given.
    """
    named = {
        artifact.manifest["checkpoint"]["account"].get("recipe", {}).get("data")
        for model in request.models
        for artifact in store.of(model)
    }
    if request.data is None and len(named) > 1:
        message = f"the recipes of {', '.join(request.models)} name different data; choose one with `--data`"
        raise UsageError(message)
    return workspace.layout(request.data, next(iter(named), None))


def _output(request: Request, workspace: Workspace, model: str) -> Path:
    if request.output is not None:
        return request.output if len(request.models) == 1 else request.output / model
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return workspace.runs / f"{stamp}-{model}-{request.variant}"


def run(request: Request, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Evaluate every model through one connection; yield the lines of the report."""
    prepared = _prepare(request, workspace)
    artifacts = [artifact for evaluation in prepared.evaluations for artifact in evaluation.artifacts]
    results = []
    with connection(request.endpoint, artifacts, workspace.model_repository, progress) as opened:
        # A server that is down or lacks a model shows before anything is read or written.
        for artifact in artifacts if opened.remote else ():
            opened.open(artifact).close()
        for evaluation in prepared.evaluations:
            results.append(run_one(evaluation, opened.open, opened.name, progress))
    for evaluation, result in zip(prepared.evaluations, results, strict=True):
        yield from _report(evaluation, result, prepared.is_sample)
    for other in results[1:]:
        yield ""
        title = f"{other.model} minus {results[0].model} per script, percentage points"
        yield difference_table(results[0].tasks, other.tasks, _marked(title, prepared.is_sample)).text()
    yield ""
    for result in results:
        yield f"run of {result.model}: {result.directory}"


def _marked(title: str, is_sample: bool) -> str:
    return f"{title} [{SAMPLE} data, not XTREME numbers]" if is_sample else title


def _report(evaluation: Evaluation, result: Result, is_sample: bool) -> Iterator[str]:
    name = f"{evaluation.model} {evaluation.variant}"
    yield ""
    yield language_table(result.tasks, _marked(f"{name} per language, percent", is_sample)).text()
    yield ""
    yield script_table(result.tasks, _marked(f"{name} per script, percent", is_sample)).text()
    yield ""
    yield from protocol_lines(result.tasks)
    if evaluation.suite is not None:
        yield from suite_lines(SUITES[evaluation.suite], result.tasks)
    yield padding_line(result)


def dry_run(request: Request, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield what would run: graphs, rows before and after de-duplication, tokens, estimated time.

    The time is extrapolated from a few batches of each plan, answered in this process.
    """
    prepared = _prepare(request, workspace)
    for evaluation in prepared.evaluations:
        begin = time.perf_counter()
        pad_id = featurize(evaluation, progress)
        reading = time.perf_counter() - begin
        total = reading
        for workload in evaluation.workloads:
            owed = workload.owed(set())
            plan = evaluation.planner.plan([len(feature.input_ids) for feature in owed])
            useful = sum(len(feature.input_ids) for feature in owed)
            padded = sum(batch.padded_tokens for batch in plan)
            seconds = answer_seconds(workload.artifact, owed, plan, pad_id)
            total += seconds
            tasks = ", ".join(dict.fromkeys(job.task.name for job in workload.jobs))
            yield (
                f"{workload.artifact.name} ({tasks}): {len(workload.jobs)} files, {workload.rows():,} rows, "
                f"{len(owed):,} after de-duplication, {useful:,} tokens, {padded / useful:.3f} padded/useful, "
                f"{len(plan)} batches, about {seconds:.1f} s"
            )
        yield f"{evaluation.model}: about {total:.0f} s in process, {reading:.1f} s of them to read and tokenize"
        yield f"would write {evaluation.output}"
