"""The body of `harness eval`: from a request to runs and the lines that tell of them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.artifacts.store import ArtifactStore
from harness.artifacts.workspace import SAMPLE, Workspace
from harness.benchmark.suites import SUITES
from harness.core import machine
from harness.core.errors import UsageError
from harness.core.files import read_json
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.evaluation.connection import connection
from harness.evaluation.dispatch import answer_seconds, owed_batches, repeats
from harness.evaluation.provenance import packages
from harness.evaluation.report import (
    difference_table,
    equal_line,
    family_table,
    language_table,
    padding_line,
    protocol_lines,
    script_table,
    suite_lines,
)
from harness.evaluation.runner import SCORES, Evaluation, Result, featurize, fingerprint, finished
from harness.evaluation.runner import rescore as rescore_one
from harness.evaluation.runner import run as run_one
from harness.evaluation.selection import check_suite, choose_jobs, choose_protocols, choose_tasks, parse_splits
from harness.evaluation.stages import Stages, process_age
from harness.evaluation.tuning import ENDPOINTS, TUNED, Applied, Known, Setting, consult, fastest_engine
from harness.evaluation.workload import EXACT, GraphWorkload, Job, available, by_task, check_splits, group


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
    #: ``TASK=ALTERNATIVE`` entries.
    protocols: tuple[str, ...] = ()
    #: Take what the data folder has, instead of refusing where something is missing.
    available: bool = False
    submission: Path | None = None
    #: Whether what `harness tune` found on this machine is used.
    tuning: bool = True

    def to_json(self, model: str, data: Path) -> dict[str, Any]:
        """Return the request for one model as the journal keeps it, the data folder resolved."""
        told = {**asdict(self), "models": [model], "data": str(data), "output": None, "submission": None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}

    @staticmethod
    def from_json(value: Mapping[str, Any], output: Path, submission: Path | None) -> "Request":
        """Return the request that a run was made with."""
        told: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
        return Request(**{**told, "data": Path(value["data"]), "output": output, "submission": submission})


@dataclass(frozen=True, slots=True)
class _Prepared:
    evaluations: Sequence[Evaluation]
    is_sample: bool
    #: What is not scored since the data folder lacks it.
    absent: Sequence[Job]
    #: What `harness.evaluation.connection.connection` takes.
    endpoint: str | None
    #: What is to be said of each model's tuning.
    remarks: Sequence[str]


def _prepare(request: Request, workspace: Workspace, run: Mapping[str, Any] | None = None) -> _Prepared:
    """Return one checked evaluation for each model; no answer has been asked for yet.

    Args:
        request: what was asked for.
        workspace: where graphs are found and runs are put.
        run: the `scores.json` of a finished run, whose variants and tuning count instead of those of today.

    Raises:
        UsageError: an unknown name, split or filter.
        DataError: a data file is missing.
        ArtifactError: a graph is missing, damaged, or of another head.
    """
    store = workspace.artifacts
    suite = check_suite(request.suite)
    chosen = choose_protocols(choose_tasks(request.tasks, suite), request.protocols)
    splits = parse_splits(request.split, chosen)
    for model in request.models:
        store.check_names(model, EXACT if request.variant == TUNED else request.variant)
    evaluations = []
    layout = layout_of(request.models, request.data, workspace)
    known = _known(request if run is None else replace(request, variant=EXACT, tuning=False), store)
    coverage = layout.coverage() if not request.languages else None
    absent: Sequence[Job] = ()
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
        if request.available:
            jobs, absent = available(jobs, layout)
        check_splits(jobs, layout)
        evaluation = Evaluation(
            model=model,
            variant=request.variant,
            workloads=_workloads(jobs, store, request.variant, known[model], run),
            layout=layout,
            suite=suite,
            output=workspace.runs,
            request=request.to_json(model, layout.root or layout.xtreme),
            submission=_each(request.submission, model, len(request.models)),
            cache=workspace.cache,
        )
        evaluations.append(evaluation)
    if run is None:
        evaluations, endpoint, remarks = _tuned(request, evaluations, known)
    else:
        evaluations, endpoint, remarks = [_tuned_then(evaluation, run) for evaluation in evaluations], None, []
    evaluations = [replace(evaluation, output=_output(request, evaluation)) for evaluation in evaluations]
    return _Prepared(evaluations, layout.coverage() is not None, absent, endpoint, remarks)


def _known(request: Request, store: ArtifactStore) -> dict[str, Known]:
    """Return what is known of each model on this machine: nothing where the request wants none of it.

    Raises:
        UsageError: a record is damaged, or the variants of a search are asked for and its use is not.
    """
    if not request.tuning and request.variant == TUNED:
        message = f"`--variant {TUNED}` is what `harness tune` found, and `--no-tuning` leaves it out; drop one of them"
        raise UsageError(message)
    if not request.tuning:
        return {model: Known(model=model, store=store, record=None) for model in request.models}
    return {model: consult(store, model, machine.describe(), packages()) for model in request.models}


def _workloads(
    jobs: Sequence[Job], store: ArtifactStore, variant: str, known: Known, run: Mapping[str, Any] | None
) -> list[GraphWorkload]:
    """Return the jobs by the graph that answers them; tuned variants differ from finetune to finetune."""
    if variant != TUNED:
        return group(jobs, store, known.model, variant)
    order = list(dict.fromkeys(job.task.finetune.name for job in jobs))
    then = None if run is None else run["provenance"]["variant"]
    chosen: dict[str, list[str]] = {}
    for finetune in order:
        chosen.setdefault(known.variant(finetune) if then is None else then[finetune], []).append(finetune)
    workloads = [
        workload
        for each, finetunes in chosen.items()
        for workload in group([job for job in jobs if job.task.finetune.name in finetunes], store, known.model, each)
    ]
    return sorted(workloads, key=lambda workload: order.index(workload.artifact.finetune))


def _tuned(
    request: Request, evaluations: Sequence[Evaluation], known: Mapping[str, Known]
) -> tuple[list[Evaluation], str | None, list[str]]:
    """Return the evaluations with what is known of their graphs, the endpoint, and what to say of it."""
    endpoint = request.endpoint
    if endpoint is None:
        # One connection answers for all models.
        engine = fastest_engine((known[each.model], each.artifacts) for each in evaluations)
        endpoint = ENDPOINTS[engine]
    elif endpoint in ENDPOINTS.values():
        engine = next(engine for engine, name in ENDPOINTS.items() if name == endpoint)
    else:
        # A GPU, or somebody else's server.
        return list(evaluations), endpoint, []
    tuned, remarks = [], []
    for evaluation in evaluations:
        applied = known[evaluation.model].applied(evaluation.artifacts, engine)
        tuned.append(replace(evaluation, tuning=applied))
        remarks += [] if applied is None else [applied.describe()]
        remarks += filter(None, [known[evaluation.model].untuned(evaluation.artifacts)])
    return tuned, endpoint, remarks


def _tuned_then(evaluation: Evaluation, run: Mapping[str, Any]) -> Evaluation:
    told = run["provenance"].get("tuning")
    return replace(evaluation, tuning=None if told is None else Applied.from_json(told))


def _each(folder: Path | None, model: str, models: int) -> Path | None:
    return folder if folder is None or models == 1 else folder / model


def layout_of(models: Sequence[str], data: Path | None, workspace: Workspace) -> Layout:
    """Return the data: what was given, or what the models' recipe names.

    Args:
        models: exported models.
        data: what `--data` said.
        workspace: where their graphs are found.

    Raises:
        DataError: there is no such folder.
        UsageError: the models were trained for different data, and none was given.
    """
    named = {
        artifact.manifest["checkpoint"]["account"].get("recipe", {}).get("data")
        for model in models
        for artifact in workspace.artifacts.of(model)
    }
    if data is None and len(named) > 1:
        message = f"the recipes of {', '.join(models)} name different data; choose one with `--data`"
        raise UsageError(message)
    return workspace.layout(data, next(iter(named), None))


def _output(request: Request, evaluation: Evaluation) -> Path:
    given = _each(request.output, evaluation.model, len(request.models))
    if given is not None:
        return given
    # The same evaluation has the same folder, so that one that was stopped goes on and a finished one is found.
    name = f"{evaluation.model}-{evaluation.variant}-{fingerprint(evaluation)[:12]}"
    return evaluation.output / name


def run(request: Request, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Evaluate every model through one connection; yield the lines of the report."""
    stages = Stages(imports=process_age())
    prepared = _prepare(request, workspace)
    known = [finished(evaluation) for evaluation in prepared.evaluations]
    artifacts = [
        artifact
        for evaluation, result in zip(prepared.evaluations, known, strict=True)
        if result is None
        for artifact in evaluation.artifacts
    ]
    results = []
    settings = _settings(prepared.evaluations)
    with connection(prepared.endpoint, artifacts, workspace.model_repository, progress, settings) as opened:
        # A server that is down or lacks a model shows before anything is read or written.
        for artifact in artifacts if opened.remote else ():
            opened.open(artifact).close()
        for evaluation, result in zip(prepared.evaluations, known, strict=True):
            if result is None:
                result = run_one(evaluation, opened.open, opened.name, progress, begin=opened.begin, stages=stages)
                stages = Stages()
            results.append(result)
    yield from _absent_lines(prepared.absent)
    yield from prepared.remarks
    for evaluation, result in zip(prepared.evaluations, results, strict=True):
        yield from _report(evaluation, result, prepared.is_sample)
    first = prepared.evaluations[0]
    for place, other in enumerate(results[1:], start=1):
        yield ""
        title = f"{other.model} minus {results[0].model} per script, percentage points"
        yield difference_table(results[0].tasks, other.tasks, _marked(title, prepared.is_sample)).text()
        yield equal_line(*(_mix(evaluation) for evaluation in (first, prepared.evaluations[place])))
    yield ""
    for result, earlier in zip(results, known, strict=True):
        remark = "" if earlier is None else " (finished before, nothing was asked again)"
        yield f"run of {result.model}: {result.directory}{remark}"


def _settings(evaluations: Sequence[Evaluation]) -> dict[str, Setting]:
    """Return how each graph is asked, by its artifact's name, where that is known."""
    return {
        artifact.name: setting
        for evaluation in evaluations
        for artifact in evaluation.artifacts
        if (setting := evaluation.setting(artifact)) is not None
    }


def rescore(run: Path, submission: Path | None, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Compute a finished run's scores again from its journal; yield the lines of the report.

    Raises:
        UsageError: the folder holds no run, or one that is not finished.
    """
    told = read_json(run / SCORES)
    if "request" not in told:
        message = f"{run / SCORES} does not tell what was asked for; evaluate again with `harness eval`"
        raise UsageError(message)
    prepared = _prepare(Request.from_json(told["request"], run, submission), workspace, told)
    (evaluation,) = prepared.evaluations
    yield from _report(evaluation, rescore_one(evaluation, progress), prepared.is_sample)


def _absent_lines(absent: Sequence[Job]) -> Iterator[str]:
    for name, jobs in by_task(absent).items():
        yield f"not scored, the data folder has no file: {name} {' '.join(job.language for job in jobs)}"


def _mix(evaluation: Evaluation) -> Mapping[str, Any] | None:
    """Return what a model's checkpoints tell of its phase 2; None if it had none."""
    told: Mapping[str, Any] | None = evaluation.artifacts[0].manifest["checkpoint"]["account"].get("mix")
    return told


def _marked(title: str, is_sample: bool) -> str:
    return f"{title} [{SAMPLE} data, not XTREME numbers]" if is_sample else title


def _report(evaluation: Evaluation, result: Result, is_sample: bool) -> Iterator[str]:
    name = f"{evaluation.model} {evaluation.variant}"
    yield ""
    yield language_table(result.tasks, _marked(f"{name} per language, percent", is_sample)).text()
    yield ""
    yield script_table(result.tasks, _marked(f"{name} per script, percent", is_sample)).text()
    yield ""
    yield family_table(result.tasks, _marked(f"{name} per language family, percent", is_sample)).text()
    yield ""
    yield from protocol_lines(result.tasks)
    if evaluation.variant == TUNED:
        chosen = ", ".join(f"{artifact.finetune} {artifact.variant}" for artifact in evaluation.artifacts)
        yield f"variant of each graph: {chosen}"
    if evaluation.suite is not None:
        yield from suite_lines(SUITES[evaluation.suite], result.tasks)
    if evaluation.submission is not None:
        yield f"predictions in the official layout: {evaluation.submission}"
    yield padding_line(result)
    if any(artifact.batch_dependent for artifact in evaluation.artifacts):
        yield repeats(evaluation.artifacts)


def dry_run(request: Request, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield what would run: graphs, rows before and after de-duplication, tokens, estimated time.

    The time is extrapolated from a few batches of each plan, answered in this process.
    """
    prepared = _prepare(request, workspace)
    for evaluation in prepared.evaluations:
        begin = time.perf_counter()
        made = featurize(evaluation, progress)
        reading = time.perf_counter() - begin
        total = reading
        for workload in evaluation.workloads:
            rows = [row for block in workload.blocks(made) for row in block]
            owed, plan = owed_batches(workload.artifact, rows, set(), evaluation.planner_of(workload.artifact))
            useful = sum(len(feature.input_ids) for feature in owed)
            padded = sum(batch.padded_tokens for batch in plan)
            seconds = answer_seconds(workload.artifact, owed, plan, workload.artifact.pad_id)
            total += seconds
            tasks = ", ".join(dict.fromkeys(job.task.name for job in workload.jobs))
            yield (
                f"{workload.artifact.name} ({tasks}): {len(workload.jobs)} files, {len(rows):,} rows, "
                f"{len(owed):,} after de-duplication, {useful:,} tokens, {padded / useful:.3f} padded/useful, "
                f"{len(plan)} batches, about {seconds:.1f} s"
            )
        yield f"{evaluation.model}: about {total:.0f} s in process, {reading:.1f} s of them to read and tokenize"
        yield f"would write {evaluation.output}"
    yield from prepared.remarks
    yield from _absent_lines(prepared.absent)
