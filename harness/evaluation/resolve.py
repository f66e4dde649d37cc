"""From a request to evaluations: every name is checked, every graph and file is found, before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.artifacts.checkpoint import MixRecord
from harness.artifacts.run import read_run
from harness.artifacts.store import EXACT, ArtifactStore
from harness.artifacts.workspace import Workspace
from harness.core.errors import ArtifactError, UsageError
from harness.core.examples import Sample
from harness.core.layout import Layout, Split
from harness.core.task import AnyTask
from harness.evaluation.plan import fingerprint
from harness.evaluation.request import Evaluation, EvaluationRequest
from harness.evaluation.selection import check_suite, choose_jobs, choose_protocols, choose_tasks, parse_splits
from harness.evaluation.tuning.applied import TUNED
from harness.evaluation.tuning.choice import MachineTuning, RunTuning, TuningChoice
from harness.evaluation.workload import GraphWorkload, Job, available, by_task, check_splits, group, with_graphs


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a request means in a workspace."""

    #: One for each model, in the order of the request.
    evaluations: Sequence[Evaluation]
    #: As `harness.evaluation.connection.connection` takes it.
    endpoint: str | None
    is_sample: bool
    #: Jobs that are not scored since the data folder lacks their files.
    absent: Sequence[Job]
    #: Jobs that are not scored since a model has no graph for them, by model.
    without_graph: Mapping[str, Sequence[Job]]
    #: Lines about tuning, for the report.
    remarks: Sequence[str]


def resolve(request: EvaluationRequest, workspace: Workspace) -> Resolved:
    """Return one checked evaluation for each model; no graph has been queried yet.

    Raises:
        UsageError: an unknown name, split or filter.
        DataError: a data file is missing.
        ArtifactError: a graph is missing, damaged, or of another head.
    """
    store = workspace.artifacts
    _tasks(request)
    for model in request.models:
        store.check_names(model, EXACT if request.variant == TUNED else request.variant)
    tuning = MachineTuning.load(request.models, store, use=request.tuning, variant=request.variant)
    resolved = _resolve(request, workspace, tuning)
    return replace(resolved, evaluations=[_with_output(request, each) for each in resolved.evaluations])


def resolve_run(
    run: Path, submission: Path | None, workspace: Workspace, *, allow_gold_errors: bool = False
) -> Resolved:
    """Return the evaluation of a finished run: its variants and settings count, not those of today.

    Args:
        run: folder of the run.
        submission: where predictions are written; nowhere where None.
        workspace: where its graphs are.
        allow_gold_errors: count gold answers that contradict their text, even where the run refused them.

    Raises:
        UsageError: the folder holds no run, or one without its request.
        DataError, ArtifactError: see `resolve`.
    """
    recorded = read_run(run)
    request = EvaluationRequest.from_record(recorded.request, run, submission)
    request = replace(request, allow_gold_errors=request.allow_gold_errors or allow_gold_errors)
    resolved = _resolve(request, workspace, RunTuning.of(recorded.provenance))
    return replace(resolved, evaluations=[replace(each, output=run) for each in resolved.evaluations])


def _resolve(request: EvaluationRequest, workspace: Workspace, tuning: TuningChoice) -> Resolved:
    store = workspace.artifacts
    layout = layout_of(request.models, request.data, workspace).allowing(request.allow_gold_errors)
    jobs, absent = _jobs(request, layout)
    variant = None if request.variant == TUNED else request.variant
    own = {model: with_graphs(jobs, store, model, variant) for model in request.models}
    for model, (there, left) in own.items():
        if not there and request.available:
            message = (
                f"nothing is left to evaluate for {model!r}: of {', '.join(by_task(jobs)) or 'these tasks'} "
                f"it has no graph, or {layout.xtreme} has no file; `harness models` lists its graphs"
            )
            raise UsageError(message)
        if left and not request.available:
            names = ", ".join(by_task(left))
            message = (
                f"model {model!r} has no {variant or EXACT} graph for {names}; make it with `harness train` and "
                f"`harness export --model {model}`, or leave out what has none with `--available`"
            )
            raise ArtifactError(message)
    evaluations = [
        Evaluation(
            model=model,
            variant=request.variant,
            workloads=_workloads(own[model][0], store, model, request.variant, tuning),
            layout=layout,
            suite=check_suite(request.suite),
            output=workspace.runs,
            request=request.to_json(model, layout.root or layout.xtreme),
            submission=request.folder(request.submission, model),
            cache=workspace.cache,
        )
        for model in request.models
    ]
    chosen = tuning.settings({each.model: each.artifacts for each in evaluations}, request.endpoint)
    return Resolved(
        evaluations=[replace(each, tuning=chosen.applied.get(each.model)) for each in evaluations],
        endpoint=chosen.endpoint,
        is_sample=layout.coverage() is not None,
        absent=absent,
        without_graph={model: left for model, (_, left) in own.items() if left},
        remarks=chosen.remarks,
    )


def _tasks(request: EvaluationRequest) -> tuple[list[AnyTask], dict[str, Split]]:
    """Return the tasks by their chosen protocols, and the split of each."""
    chosen = choose_protocols(choose_tasks(request.tasks, check_suite(request.suite)), request.protocols)
    return chosen, parse_splits(request.split, chosen)


def _jobs(request: EvaluationRequest, layout: Layout) -> tuple[Sequence[Job], Sequence[Job]]:
    """Return the jobs that are run, and those that the data folder lacks; the same for every model."""
    chosen, splits = _tasks(request)
    jobs: Sequence[Job] = choose_jobs(
        chosen,
        suite=check_suite(request.suite),
        languages=request.languages,
        scripts=request.scripts,
        splits=splits,
        limit=request.limit,
        sample=_sample(request, chosen),
        coverage=layout.coverage() if not request.languages else None,
    )
    absent: Sequence[Job] = ()
    if request.available:
        jobs, absent = available(jobs, layout)
    check_splits(jobs, layout)
    return jobs, absent


def _sample(request: EvaluationRequest, chosen: Sequence[AnyTask]) -> Sample | None:
    """Return how examples are drawn; None where all are taken.

    Raises:
        UsageError: with a limit, or for a task whose gold counts pairs of a whole file.
    """
    if request.sample is None:
        if request.sample_seed != 1:
            message = f"--sample-seed {request.sample_seed} draws nothing without --sample; give `--sample N` too"
            raise UsageError(message)
        return None
    if request.limit is not None:
        message = f"--limit {request.limit} and --sample {request.sample} were both given; leave one of them out"
        raise UsageError(message)
    whole = next((task.name for task in chosen if task.counted), None)
    if whole is not None:
        message = (
            f"--sample {request.sample} cannot draw examples of {whole}, whose sentences are mined from whole files; "
            f"leave it out with `--tasks`, or take the first ones with `--limit {request.sample}`"
        )
        raise UsageError(message)
    return Sample(request.sample, request.sample_seed)


def _workloads(
    jobs: Sequence[Job], store: ArtifactStore, model: str, variant: str, tuning: TuningChoice
) -> list[GraphWorkload]:
    """Return the jobs by the graph that answers them; tuned variants differ from finetune to finetune."""
    if variant != TUNED:
        return group(jobs, store, model, variant)
    order = list(dict.fromkeys(job.task.finetune.name for job in jobs))
    chosen: dict[str, list[str]] = {}
    for finetune in order:
        chosen.setdefault(tuning.variant(model, finetune), []).append(finetune)
    workloads = [
        workload
        for each, finetunes in chosen.items()
        for workload in group([job for job in jobs if job.task.finetune.name in finetunes], store, model, each)
    ]
    return sorted(workloads, key=lambda workload: order.index(workload.artifact.finetune))


def _with_output(request: EvaluationRequest, evaluation: Evaluation) -> Evaluation:
    given = request.folder(request.output, evaluation.model)
    if given is None:
        # The same evaluation has the same folder, so that a stopped one is resumed and a finished one is found.
        given = evaluation.output / f"{evaluation.model}-{evaluation.variant}-{fingerprint(evaluation)[:12]}"
    return replace(evaluation, output=given)


def layout_of(models: Sequence[str], data: Path | None, workspace: Workspace) -> Layout:
    """Return the data: the folder given, or the one that the models' recipe names.

    Args:
        models: exported models.
        data: what `--data` names.
        workspace: where their graphs are found.

    Raises:
        DataError: there is no such folder.
        UsageError: the models were trained for different data, and none was given.
    """
    named = {artifact.checkpoint.data for model in models for artifact in workspace.artifacts.of(model)}
    if data is None and len(named) > 1:
        message = f"the recipes of {', '.join(models)} name different data; choose one with `--data`"
        raise UsageError(message)
    return workspace.layout(data, next(iter(named), None))


def phase_2(evaluation: Evaluation) -> MixRecord | None:
    """Return what a model's checkpoints record of their phase 2; None if it had none."""
    return evaluation.artifacts[0].checkpoint.mix
