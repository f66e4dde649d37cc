"""The body of `harness tune`: a small search for the fastest way to ask each graph of a model on this machine.

Coordinates are searched one after the other, not in all combinations: where a graph computes (engine,
threads, instances), then the token budget, then the first again if the second changed. What is
compared is measured in turn, several times over, so that a machine that slows down slows all alike.
Every measurement is what an evaluation does with real rows: it plans, asks and journals them.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from harness.artifacts.store import GATE, Artifact, ArtifactStore
from harness.artifacts.workspace import Workspace
from harness.commands.evaluation import layout_of
from harness.core import machine
from harness.core.errors import ArtifactError, DataError, UsageError, nearest
from harness.core.examples import first
from harness.core.features import Feature, pad_features
from harness.core.files import read_json
from harness.core.layout import Layout
from harness.core.progress import Progress, Silent
from harness.core.tables import Table
from harness.evaluation.connection import Connection, check_published, connection
from harness.evaluation.dispatch import answer, answer_seconds, owed_batches
from harness.evaluation.journal import Journal
from harness.evaluation.provenance import commit, data_sha256, packages
from harness.evaluation.runner import JOURNAL
from harness.evaluation.selection import choose_jobs, choose_tasks
from harness.evaluation.tuning import (
    ENDPOINTS,
    ENGINES,
    Engine,
    Entry,
    Record,
    Setting,
    Trial,
    TunedGraph,
    consult,
    pick,
    record_path,
    write,
)
from harness.evaluation.workload import EXACT, Job, available, checked, unanswered
from harness.inference.cost import CallCosts
from harness.inference.endpoints import Endpoint
from harness.inference.planner import BatchPlanner
from harness.serving.repository.store import serves
from harness.tokenization.tokenizer import FastTokenizer

BUDGETS = (1_024, 2_048, 4_096, 8_192)
#: Of each measurement, in turn with those that it is compared with.
REPEATS = 3
#: Rounds of the two coordinates at most.
_ROUNDS = 3
#: Rows of each language from which the time of a measurement is estimated, and at most.
_FIRST, _MOST = 8, 1_000
#: What one measurement should take.
_SECONDS = 2.0
#: Resident memory of an instance, for each byte of its graph: 1.3 GB was measured for a graph of 1.1 GB.
_RESIDENT = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
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
class Sample:
    """One measurement."""

    #: Useful tokens a second.
    rate: float
    #: Padded tokens for each useful one.
    padding: float
    #: MiB that the processes with the graph hold.
    memory: int


#: Measures a variant by a setting.
Measure = Callable[[str, Setting], Sample]
Candidate = tuple[str, Setting]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Measures candidates in turn."""

    measure: Measure
    progress: Progress
    #: What is tuned, as the progress names it.
    name: str
    repeats: int = REPEATS

    def of(self, stage: str, candidates: Sequence[Candidate]) -> list[Trial]:
        """Return a trial of each candidate, equal ones once: A B C A B C A B C."""
        samples: dict[Candidate, list[Sample]] = {candidate: [] for candidate in candidates}
        with self.progress.step(f"{self.name}: {stage}", self.repeats * len(samples), "measurements") as advance:
            for _ in range(self.repeats):
                for (variant, setting), taken in samples.items():
                    taken.append(self.measure(variant, setting))
                    advance(1)
        return [
            Trial(
                stage=stage,
                variant=variant,
                setting=setting,
                rates=tuple(sample.rate for sample in taken),
                padding=taken[-1].padding,
                memory=max(sample.memory for sample in taken),
            )
            for (variant, setting), taken in samples.items()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the search found for one finetune."""

    variant: str
    default: Trial
    #: By variant: the engine that won, and the best trial of each.
    graphs: Mapping[str, tuple[Engine, Mapping[Engine, Trial]]]
    table: Sequence[Trial]


def places(engines: Sequence[Engine], cores: int) -> list[Setting]:
    """Return where a graph may compute, the default first; no place has more threads than there are cores."""
    counts: Mapping[Engine, Sequence[tuple[int, int]]] = {
        "triton": [(1, cores), (cores, 1)],
        "onnx": [(1, cores), (cores, 1)],
    }
    found = [
        Setting(engine=engine, instances=instances, threads=threads)
        for engine in ENGINES
        if engine in engines
        for instances, threads in counts[engine]
    ]
    return list(dict.fromkeys(found))


def search(
    variants: Mapping[str, Sequence[Setting]], compare: Comparison, *, budgets: Sequence[int] = BUDGETS
) -> Found:
    """Return the settings that win for one finetune.

    Args:
        variants: places of each variant, as `places` gives them; fp32 is one of them, and its first place is
            the default.
        compare: measures.
        budgets: token budgets.
    """
    default = variants[EXACT][0]
    table: list[Trial] = []
    found = {variant: _coordinates(variant, there, budgets, compare, table) for variant, there in variants.items()}
    # All that won once more, in turn with the default: what was found one after the other may differ by the
    # machine's mood alone.
    candidates: list[Candidate] = [(EXACT, default)]
    candidates += [(variant, trial.setting) for variant, trials in found.items() for trial in _best(trials, default)]
    last = compare.of("winners", list(dict.fromkeys(candidates)))
    graphs: dict[str, tuple[Engine, Mapping[Engine, Trial]]] = {}
    for variant in variants:
        best = {
            trial.setting.engine: trial
            for trial in _best([trial for trial in last if trial.variant == variant], default)
        }
        graphs[variant] = (pick(list(best.values()), default).setting.engine, best)
    winners = [best[engine] for engine, best in graphs.values()]
    return Found(variant=pick(winners, default).variant, default=last[0], graphs=graphs, table=[*table, *last])


def _best(trials: Sequence[Trial], default: Setting) -> list[Trial]:
    """Return the best trial of each engine."""
    engines = dict.fromkeys(trial.setting.engine for trial in trials)
    return [pick([trial for trial in trials if trial.setting.engine == engine], default) for engine in engines]


def _coordinates(
    variant: str, there: Sequence[Setting], budgets: Sequence[int], compare: Comparison, table: list[Trial]
) -> list[Trial]:
    """Search place and budget in turn until neither changes; return the trials of all places by the budget found."""
    default, budget, last = there[0], there[0].max_tokens, ""
    for number in range(1, _ROUNDS + 1):
        found = compare.of(
            f"{variant} place {number}", [(variant, replace(place, max_tokens=budget)) for place in there]
        )
        table += found
        place = pick(found, default).setting
        if place.place == last or number == _ROUNDS:
            break
        last = place.place
        tried = compare.of(
            f"{variant} budget {number}", [(variant, replace(place, max_tokens=each)) for each in budgets]
        )
        table += tried
        chosen = pick(tried, default).setting.max_tokens
        if chosen == budget:
            break
        budget = chosen
    return found


class Bench:
    """Measures settings of one finetune's graphs with one set of rows; at most one graph is open at a time."""

    def __init__(
        self,
        artifacts: Mapping[str, Artifact],
        rows: Sequence[Feature],
        workspace: Workspace,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare; entering the context opens nothing yet.

        Args:
            artifacts: by variant.
            rows: what is asked.
            workspace: whose model repository a local Triton serves, and where journals go meanwhile.
            clock: seconds.
        """
        self._artifacts = artifacts
        self._rows = rows
        self._workspace = workspace
        self._clock = clock
        self._stack = ExitStack()
        self._connections: dict[Engine, Connection] = {}
        #: Of the graph that is opened next, by its name; the connections look here.
        self._settings: dict[str, Setting] = {}
        self._opened: tuple[str, str] | None = None
        self._endpoint: Endpoint | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close()
        finally:
            self._stack.__exit__(kind, error, trace)

    def measure(self, variant: str, setting: Setting) -> Sample:
        """Return what a setting gives; its graph is loaded and has answered before the clock runs.

        Raises:
            EndpointError: the graph does not load or does not answer.
        """
        artifact = self._artifacts[variant]
        endpoint = self._open(artifact, setting)
        costs = CallCosts(self._workspace.cache / "costs.json")
        overhead = costs.overhead(artifact, endpoint, self._rows[0], setting.place)
        planner = BatchPlanner(max_tokens=setting.max_tokens, overhead=overhead)
        owed, plan = owed_batches(artifact, self._rows, set(), planner)
        widest = plan[0]
        rows = [owed[row] for row in widest.rows]
        endpoint.infer(pad_features(rows, artifact.pad_id, artifact.signature.inputs, widest.width))
        self._workspace.runs.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix=".tune-", dir=self._workspace.runs) as folder,
            Journal(Path(folder) / JOURNAL) as journal,
        ):
            begin = self._clock()
            owed, plan = owed_batches(artifact, self._rows, set(), planner)
            answer(artifact, owed, plan, endpoint, artifact.pad_id, journal, Silent())
            seconds = self._clock() - begin
            told = journal.padding()
        pids = self._connections[setting.engine].processes(artifact)
        return Sample(
            rate=told["useful_tokens"] / seconds, padding=told["ratio"], memory=sum(_resident(pid) for pid in pids)
        )

    def _open(self, artifact: Artifact, setting: Setting) -> Endpoint:
        wanted = (artifact.name, setting.place)
        if self._opened == wanted and self._endpoint is not None:
            return self._endpoint
        self._close()
        if setting.engine not in self._connections:
            opening = connection(
                ENDPOINTS[setting.engine],
                list(self._artifacts.values()),
                self._workspace.model_repository,
                Silent(),
                self._settings,
            )
            self._connections[setting.engine] = self._stack.enter_context(opening)
        self._settings[artifact.name] = setting
        self._endpoint, self._opened = self._connections[setting.engine].open(artifact), wanted
        return self._endpoint

    def _close(self) -> None:
        endpoint, self._endpoint, self._opened = self._endpoint, None, None
        if endpoint is not None:
            endpoint.close()


def _resident(pid: int) -> int:
    """Return the resident memory of a process in MiB: second field of statm, proc(5)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """One finetune: its graphs by variant, and the jobs that they answer."""

    finetune: str
    artifacts: Mapping[str, Artifact]
    jobs: Sequence[Job]
    #: Variants that are not measured, each with the reason.
    left_out: Sequence[str]


def run(request: Request, workspace: Workspace, progress: Progress) -> Iterator[str]:
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


def _subjects(request: Request, engines: Sequence[Engine], workspace: Workspace, layout: Layout) -> list[_Subject]:
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
    request: Request, engines: Sequence[Engine], workspace: Workspace, finetune: str, jobs: Sequence[Job]
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
    return _Subject(finetune=finetune, artifacts=artifacts, jobs=jobs, left_out=left_out)


def _passed(artifact: Artifact) -> bool:
    """Return whether a graph passed its gate; one that was accepted with its losses did not, nor one without a gate.

    Raises:
        ArtifactError: what the gate found cannot be read.
    """
    path = artifact.directory / GATE
    if not path.is_file():
        return False
    try:
        told = read_json(path)
    except UsageError as error:
        message = f"{path} is damaged; export again with `harness export --model {artifact.model} --force`"
        raise ArtifactError(message) from error
    return isinstance(told, dict) and told.get("passed") is True


def _tune(
    subject: _Subject,
    engines: Sequence[Engine],
    request: Request,
    workspace: Workspace,
    layout: Layout,
    progress: Progress,
) -> Iterator[str]:
    rows, limit = _rows(subject, request.limit, layout)
    useful = sum(len(row.input_ids) for row in rows)
    by_variant, too_large = {}, []
    for variant, artifact in subject.artifacts.items():
        by_variant[variant], dropped = _fitting(artifact, places(engines, machine.cores()))
        too_large += dropped
    with Bench(subject.artifacts, rows, workspace) as bench:
        name = f"{request.model} {subject.finetune}"
        found = search(by_variant, Comparison(bench.measure, progress, name))
    account = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": commit(),
        "tasks": list(dict.fromkeys(job.task.name for job in subject.jobs)),
        "data": str(layout.xtreme),
        "data_sha256": data_sha256(subject.jobs, layout),
        "rows_per_language": limit,
        "rows": len(rows),
    }
    entry = Entry(
        variant=found.variant,
        default=found.default,
        graphs={
            variant: TunedGraph(graph_sha256=subject.artifacts[variant].graph_sha256, engine=engine, best=best)
            for variant, (engine, best) in found.graphs.items()
        },
        useful_tokens=useful,
        account=account,
        table=found.table,
    )
    _keep(workspace.artifacts, request.model, subject.finetune, entry)
    yield from (*subject.left_out, *too_large)
    yield from _report(f"{request.model} {subject.finetune}", entry)


def _fitting(artifact: Artifact, there: Sequence[Setting]) -> tuple[list[Setting], list[str]]:
    """Return the places for which there is memory, the first in any case, and one line for each other."""
    room = _free_memory()
    one = _RESIDENT * artifact.graph_bytes
    # Calls in this process share the weights.
    needs = {place: one * (place.instances if place.engine == "triton" else 1) for place in there}
    kept = [place for place in there if place is there[0] or needs[place] <= room]
    lines = [
        f"{artifact.name} by {place.place} is left out: it needs about {needs[place] / 2**30:.1f} GiB, "
        f"{room / 2**30:.1f} GiB are free"
        for place in there
        if place not in kept
    ]
    return kept, lines


def _free_memory() -> int:
    """Return the bytes that new processes can have, caches that would be dropped for them included: proc(5)."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1_024


def _keep(store: ArtifactStore, model: str, finetune: str, entry: Entry) -> None:
    """Write an entry beside those of other finetunes that count on this machine."""
    here, installed = machine.describe(), packages()
    try:
        before = consult(store, model, here, installed).record
    except UsageError:  # damaged: what is written now replaces it, as its message advises
        before = None
    entries = {} if before is None else dict(before.entries)
    write(store, Record(model=model, machine=here, packages=installed, entries={**entries, finetune: entry}))


def _rows(subject: _Subject, limit: int | None, layout: Layout) -> tuple[list[Feature], int]:
    """Return the rows that are asked each time, equal ones once, and how many examples of each language they are of.

    Raises:
        DataError: a file is malformed, or holds no row.
    """
    artifact = subject.artifacts[EXACT]
    most = limit or _MOST
    read = [(job, replace(job, limit=most).read(layout)) for job in subject.jobs]
    pools = {(job.task.name, job.split): job for job in subject.jobs if job.task.pool is not None}
    tokenizer = FastTokenizer(artifact.tokenizer)

    def featurized(count: int) -> list[Feature]:
        made: list[Feature] = []
        for job, examples in read:
            made += job.task.finetune.featurizer(first(examples, count), tokenizer)
        for job in pools.values():
            # Of a shared pool as many candidates as there are questions.
            share = count * sum(other.task.name == job.task.name for other in subject.jobs)
            candidates = list(islice(job.task.pool.source.read(layout, job.split), share))  # type: ignore[union-attr]
            made += job.task.finetune.featurizer(candidates, tokenizer)
        return unanswered(made, set())

    rows = featurized(min(most, _FIRST) if limit is None else limit)
    if not rows:
        files = ", ".join(str(path) for job in subject.jobs for path in job.own_paths(layout))
        message = f"{files} hold no row to tune {artifact.name!r} with; get them again with `harness data get`"
        raise DataError(message)
    if limit is not None:
        return rows, limit
    owed, plan = owed_batches(artifact, rows, set(), BatchPlanner())
    seconds = answer_seconds(artifact, owed, plan, artifact.pad_id)
    limit = rows_for(seconds, sum(len(row.input_ids) for row in rows))
    return featurized(limit), limit


def rows_for(seconds: float, tokens: int) -> int:
    """Return how many rows of each language a measurement takes.

    As many as take two seconds, and at least so many that the largest budget is filled once: with fewer,
    budgets would all give the same plan.

    Args:
        seconds: what the first rows take.
        tokens: what they hold.
    """
    times = max(_SECONDS / seconds, max(BUDGETS) / tokens)
    return max(1, min(_MOST, math.ceil(_FIRST * times)))


def _report(name: str, entry: Entry) -> Iterator[str]:
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
