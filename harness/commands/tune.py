"""`harness tune`: the fastest way to query each graph of a model on this machine, searched and recorded.

Every measurement is what an evaluation does with real rows: it plans, queries and journals them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.artifacts.gate import GATE, read_gate
from harness.artifacts.store import EXACT, Artifact, ArtifactStore
from harness.artifacts.workspace import Workspace
from harness.core import machine
from harness.core.errors import DataError, UsageError, nearest
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.core.tables import Table
from harness.core.version import packages
from harness.evaluation.connection import check_published
from harness.evaluation.measure import SettingTimer, fitting, rows_to_time
from harness.evaluation.provenance import commit, data_sha256
from harness.evaluation.resolve import layout_of
from harness.evaluation.selection import choose_jobs, choose_tasks
from harness.evaluation.tuning.applied import load_tuning
from harness.evaluation.tuning.record import (
    ENGINES,
    Engine,
    FinetuneTuning,
    TunedGraph,
    TuningRecord,
    record_path,
    write,
)
from harness.evaluation.tuning.search import Comparison, placements, search
from harness.evaluation.workload import Job, answered_by, available, checked
from harness.serving.repository.check import serves


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """What the command line asked for."""

    model: str
    tasks: tuple[str, ...] = ("all",)
    #: Beside fp32; every variant where empty.
    variants: tuple[str, ...] = ()
    engines: tuple[str, ...] = ENGINES
    data: Path | None = None
    #: Rows per language; chosen by the time that they take where None.
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """One finetune: its graphs by variant, and the jobs that they answer."""

    finetune: str
    artifacts: Mapping[str, Artifact]
    jobs: Sequence[Job]
    #: Variants that are not measured, each with the reason.
    left_out: Sequence[str]


def run(request: TuneRequest, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Tune every graph that the tasks need; yield the lines of the report, and write the record after each finetune.

    Raises:
        UsageError: an unknown model, task, variant or engine, or the graphs are not published.
        DataError: the data folder has nothing of the tasks.
        ArtifactError: a graph is missing, damaged, or of another head.
        EndpointError: a graph does not answer.
    """
    engines = _engines(request.engines)
    store = workspace.artifacts
    store.check_names(request.model, EXACT)
    for variant in request.variants:
        store.check_names(request.model, variant)
    layout = layout_of([request.model], request.data, workspace)
    subjects = _subjects(request, engines, workspace, layout)
    for subject in subjects:
        yield from _tune(subject, engines, request, workspace, layout, progress)
    yield f"table of all measurements: {record_path(store, request.model)}"


def _engines(names: Sequence[str]) -> list[Engine]:
    for name in names:
        if name not in ENGINES:
            message = f"no engine {name!r}{nearest(name, ENGINES)}; `--engine` takes {', '.join(ENGINES)}"
            raise UsageError(message)
    if not names:
        message = f"`--engine` names no engine; it takes {', '.join(ENGINES)}"
        raise UsageError(message)
    return [engine for engine in ENGINES if engine in names]


def _subjects(request: TuneRequest, engines: Sequence[Engine], workspace: Workspace, layout: Layout) -> list[_Subject]:
    store = workspace.artifacts
    exported = {artifact.finetune for artifact in store.of(request.model)}
    chosen = choose_tasks(request.tasks, None)
    if "all" in request.tasks:
        chosen = [task for task in chosen if task.finetune.name in exported]
    jobs = choose_jobs(chosen, splits={task.name: "test" for task in chosen}, coverage=layout.coverage())
    there, _ = available(jobs, layout)
    by_finetune: dict[str, list[Job]] = {}
    for job in there:
        by_finetune.setdefault(job.task.finetune.name, []).append(job)
    lacking = sorted({task.finetune.name for task in chosen} - by_finetune.keys())
    if lacking and ("all" not in request.tasks or not by_finetune):
        names = ",".join(task.name for task in chosen if task.finetune.name in lacking)
        message = (
            f"{layout.xtreme} has no rows for the graphs of {', '.join(lacking)}; "
            f"`harness data check --tasks {names}` lists what is missing, `--tasks` leaves tasks out"
        )
        raise DataError(message)
    return [_subject(request, engines, workspace, finetune, members) for finetune, members in by_finetune.items()]


def _subject(
    request: TuneRequest, engines: Sequence[Engine], workspace: Workspace, finetune: str, jobs: Sequence[Job]
) -> _Subject:
    store, repository = workspace.artifacts, workspace.model_repository
    exact = checked(store.find(request.model, finetune, EXACT), jobs[0].task)
    if "triton" in engines:
        check_published(exact, repository)
    artifacts, left_out = {EXACT: exact}, []
    for artifact in store.of(request.model):
        variant = artifact.variant
        if artifact.finetune != finetune or variant == EXACT or (request.variants and variant not in request.variants):
            continue
        if not _passed(artifact):
            left_out.append(f"{finetune} {variant} is left out: its gate did not pass")
        elif not serves(artifact, repository):
            left_out.append(f"{finetune} {variant} is left out: it is not published in {repository}")
        else:
            artifacts[variant] = checked(store.find(request.model, finetune, variant), jobs[0].task)
    return _Subject(finetune=finetune, artifacts=artifacts, jobs=answered_by(exact, jobs), left_out=left_out)


def _passed(artifact: Artifact) -> bool:
    """Return whether a graph passed its gate; one that was accepted with its losses did not, nor one without a gate.

    Raises:
        ArtifactError: what the gate found cannot be read.
    """
    found = read_gate(artifact.directory / GATE, artifact.model)
    return found is not None and found.passed


def _tune(
    subject: _Subject,
    engines: Sequence[Engine],
    request: TuneRequest,
    workspace: Workspace,
    layout: Layout,
    progress: Progress,
) -> Iterator[str]:
    rows, limit = rows_to_time(subject.artifacts[EXACT], subject.jobs, request.limit, layout)
    useful = sum(len(row.input_ids) for row in rows)
    by_variant, too_large = {}, []
    for variant, artifact in subject.artifacts.items():
        by_variant[variant], dropped = fitting(artifact, placements(engines, machine.cores()))
        too_large += dropped
    with SettingTimer(subject.artifacts, rows, workspace) as timer:
        name = f"{request.model} {subject.finetune}"
        found = search(by_variant, Comparison(timer.measure, progress, name))
    metadata = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": commit(),
        "tasks": list(dict.fromkeys(job.task.name for job in subject.jobs)),
        "data": str(layout.xtreme),
        "data_sha256": data_sha256(subject.jobs, layout),
        "rows_per_language": limit,
        "rows": len(rows),
    }
    entry = FinetuneTuning(
        variant=found.variant,
        default=found.default,
        graphs={
            variant: TunedGraph(graph_sha256=subject.artifacts[variant].graph_sha256, engine=engine, best=best)
            for variant, (engine, best) in found.graphs.items()
        },
        useful_tokens=useful,
        metadata=metadata,
        table=found.table,
    )
    _keep(workspace.artifacts, request.model, subject.finetune, entry)
    yield from (*subject.left_out, *too_large)
    yield from _report(f"{request.model} {subject.finetune}", entry)


def _keep(store: ArtifactStore, model: str, finetune: str, entry: FinetuneTuning) -> None:
    """Write an entry beside those of other finetunes that count on this machine."""
    here, installed = machine.describe(), packages()
    try:
        before = load_tuning(store, model, here, installed).record
    except UsageError:  # damaged: what is written now replaces it, as its message advises
        before = None
    entries = {} if before is None else dict(before.entries)
    write(store, TuningRecord(model=model, machine=here, packages=installed, entries={**entries, finetune: entry}))


def _report(name: str, entry: FinetuneTuning) -> Iterator[str]:
    default = entry.default
    rows = [
        [
            f"{trial.stage}: {trial.variant}, {trial.setting.describe()}",
            f"{trial.rate:,.0f}",
            f"{trial.spread:,.0f}",
            f"{trial.padding:.3f}",
            f"{trial.memory:,}",
        ]
        for trial in entry.table
    ]
    columns = ["compared", "useful tokens/s", "spread", "padded/useful", "memory MiB"]
    yield Table(f"{name}: {entry.useful_tokens:,} tokens each, median of {len(default.rates)}", columns, rows).text()
    for variant, graph in entry.graphs.items():
        winner = graph.winner
        yield (
            f"{name} {variant}: {winner.setting.describe()}, {winner.rate:,.0f} useful tokens/s, "
            f"{winner.rate / default.rate:.2f} times the default in fp32"
        )
    yield f"{name}: the fastest variant is {entry.variant}; the default is fp32, {default.setting.describe()}"
