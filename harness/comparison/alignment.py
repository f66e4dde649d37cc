"""The same items of several runs: what they answered, item by item, and which items are not independent.

Runs compare where they answered the same files in the same way: split, limit, protocol and the content of the data.
What differs otherwise is a mark: the layer that retrieval compares, what a model was taught before, the encoder.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.artifacts.run import TaskRecord
from harness.artifacts.workspace import SAMPLE, Workspace
from harness.benchmark import tasks
from harness.comparison.runs import FinishedRun
from harness.comparison.signature import Network, network
from harness.comparison.stored import StoredAnswers, StoredRow
from harness.core.errors import DataError, HarnessError, UsageError, nearest
from harness.core.examples import cluster_of
from harness.core.files import content_sha256
from harness.core.languages import language as language_row
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.core.task import AnyTask
from harness.evaluation.selection import choose_protocols
from harness.evaluation.workload import Job, sample_of
from harness.statistics.clusters import numbered
from harness.statistics.paired import Counts, Score

#: Scores of a record and those of its journal differ by rounding only.
_ROUNDING = 1e-6
#: Items that a message names.
_SHOWN = 3

#: Starts the remark on what `--force` allowed.
FORCED = "FORCED: "
LAYER, EXPOSURE, ENCODER, TRAINING = "layer", "exposure", "encoder", "training set"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedCell:
    """One task in one language, answered by every run."""

    task: str
    language: str
    score: Score
    #: For each run (examples, columns), the same examples in the same order.
    counts: tuple[Counts, ...]
    #: (examples,): equal labels belong together, also across the languages of the task.
    clusters: NDArray[np.int64]
    #: What differs between the first run and each other one, besides the model: for each run.
    marks: tuple[tuple[str, ...], ...]
    #: What each run's model was taught before; None where nobody said.
    exposure: tuple[str | None, ...]
    #: For each run where each example stands in its answers.
    places: tuple[NDArray[np.int64], ...]
    #: Where each example stands in the file, which `read` gives.
    file_places: NDArray[np.int64]
    read: Callable[[], Sequence[Any]]

    @property
    def name(self) -> str:
        """Return the cell as errors name it: ``xnli sw``."""
        return f"{self.task} {self.language}"

    @property
    def script(self) -> str:
        """Return the language's script."""
        return language_row(self.language).script

    @property
    def family(self) -> str:
        """Return the language's family."""
        return language_row(self.language).top_family

    def scores(self) -> tuple[float, ...]:
        """Return the headline number of each run, in points."""
        return tuple(self.score(counts.sum(axis=0)) for counts in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AlignedTask:
    """One task over the languages that all runs have."""

    task: AnyTask
    #: In the task's official order.
    cells: tuple[AlignedCell, ...]
    #: What each run's record says of the task.
    records: tuple[TaskRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aligned:
    """Several runs on the same items; the first is what the others are compared with."""

    runs: tuple[FinishedRun, ...]
    networks: tuple[Network, ...]
    tasks: tuple[AlignedTask, ...]
    #: Whether the data are the sample's, which has no XTREME numbers.
    is_sample: bool
    #: What a reader must know: tasks of one run only, differences that were forced, marks.
    remarks: list[str] = field(default_factory=list)

    def marked(self, title: str) -> str:
        """Return a title that says where the data are the sample's."""
        return f"{title} [{SAMPLE} data, not XTREME numbers]" if self.is_sample else title

    @property
    def forced(self) -> bool:
        """Return whether only the common items of runs with other data or protocol are here."""
        return any(line.startswith(FORCED) for line in self.remarks)

    @property
    def cells(self) -> list[AlignedCell]:
        """Return the cells of all tasks."""
        return [cell for task in self.tasks for cell in task.cells]


def only(aligned: Aligned, number: int) -> Aligned | None:
    """Return one run of several as if it had been aligned alone; None where it has answered more than the others.

    Args:
        aligned: the runs.
        number: of the run.
    """
    run = aligned.runs[number]
    whole = {(name, code) for name, record in run.record.tasks.items() for code in record.languages}
    if whole != {(cell.task, cell.language) for cell in aligned.cells} or aligned.forced:
        return None
    tasks_ = tuple(
        replace(
            task,
            records=(task.records[number],),
            cells=tuple(
                replace(
                    cell,
                    counts=(cell.counts[number],),
                    marks=((),),
                    exposure=(cell.exposure[number],),
                    places=(cell.places[number],),
                )
                for cell in task.cells
            ),
        )
        for task in aligned.tasks
    )
    networks = (aligned.networks[number],)
    return Aligned(runs=(run,), networks=networks, tasks=tasks_, is_sample=aligned.is_sample)


def align(
    runs: Sequence[FinishedRun],
    workspace: Workspace,
    progress: Progress,
    *,
    chosen: Sequence[str] = (),
    data: Path | None = None,
    force: bool = False,
) -> Aligned:
    """Return the items that all runs answered.

    Args:
        runs: at least one; the first is the one that others are compared with.
        workspace: where data and graphs are.
        progress: shows what is read.
        chosen: tasks; all that the runs share where empty.
        data: the data folder, where it is not where the runs found it.
        force: take the common items of runs with different data or protocol, and say so.

    Raises:
        UsageError: the runs have nothing in common, or their data or protocols differ.
        DataError: the data folder is missing.
    """
    records = {run.path: run.record.tasks for run in runs}
    shared = [name for name in runs[0].record.tasks if all(name in each for each in records.values())]
    remarks = _left_out(runs, shared)
    if chosen:
        wrong = next((name for name in chosen if name not in shared), None)
        if wrong is not None:
            hint = nearest(wrong, shared)
            message = f"task {wrong!r} is not in all of these runs{hint}; they share {', '.join(shared) or 'no task'}"
            raise UsageError(message)
        shared = [name for name in shared if name in chosen]
    if not shared:
        listed = "; ".join(f"{run.name} has {', '.join(run.record.tasks) or 'no task'}" for run in runs)
        message = f"the runs have no task in common: {listed}; evaluate both with the same `--tasks`"
        raise UsageError(message)
    networks = tuple(network(run, workspace.artifacts) for run in runs)
    found = []
    total = sum(len(runs[0].record.tasks[name].languages) for name in shared)
    with progress.step("comparing", total, "files") as advance:
        for name in shared:
            reader = _TaskReader(runs, networks, workspace, name, data, force, remarks)
            found.append(reader.read(advance))
    folder = Path(runs[0].record.request.data) if data is None else data
    is_sample = workspace.layout(folder, None).coverage() is not None
    return Aligned(runs=tuple(runs), networks=networks, tasks=tuple(found), is_sample=is_sample, remarks=remarks)


def _left_out(runs: Sequence[FinishedRun], shared: Sequence[str]) -> list[str]:
    """Return a line for each task that only some of the runs have."""
    every = list(dict.fromkeys(name for run in runs for name in run.record.tasks))
    lines = []
    for name in every:
        if name not in shared:
            having = ", ".join(run.name for run in runs if name in run.record.tasks)
            lines.append(f"not compared: {name} is only in {having}")
    return lines


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """One language before its clusters are known."""

    language: str
    job: Job
    counts: Sequence[Counts]
    places: Sequence[NDArray[np.int64]]
    standing: NDArray[np.int64]


class _TaskReader:
    """Aligns one task."""

    def __init__(
        self,
        runs: Sequence[FinishedRun],
        networks: Sequence[Network],
        workspace: Workspace,
        name: str,
        data: Path | None,
        force: bool,
        remarks: list[str],
    ) -> None:
        self.runs, self.networks, self.workspace, self.name = runs, networks, workspace, name
        self.data, self.force, self.remarks = data, force, remarks
        self.records = tuple(run.record.tasks[name] for run in runs)
        self.tasks = {run.path: self._task(run) for run in runs}
        self.task = self.tasks[runs[0].path]

    def _task(self, run: FinishedRun) -> AnyTask:
        entries = [entry for entry in run.record.request.protocols if entry.partition("=")[0] == self.name]
        (task,) = choose_protocols([tasks.load(self.name)], entries)
        return task

    def read(self, advance: Callable[[int], None]) -> AlignedTask:
        """Return the task's cells."""
        self._check_protocol()
        codes = self._languages()
        self._check_data(codes)
        cells: list[_Read] = []
        keys: list[list[Hashable]] = []
        items: list[list[Hashable]] = []
        opened = [StoredAnswers(run.path) for run in self.runs]
        try:
            for code in codes:
                job = self._job(self.runs[0], self.task, code)
                examples = job.read(self._layout(self.runs[0]))
                rows = [each.row(self.name, code) for each in opened]
                standing, *places = self._places(code, [example.id for example in examples], rows)
                counts = [row.counts[place] for row, place in zip(rows, places, strict=True)]
                counting = np.any([each.any(axis=1) for each in counts], axis=0)
                chosen = [examples[place] for place in standing[counting]]
                keys.append([self._cluster(code, example) for example in chosen])
                items.append([example.id if self.task.parallel else (code, example.id) for example in chosen])
                kept = [[each[counting] for each in part] for part in (counts, places)]
                cells.append(_Read(code, job, kept[0], kept[1], standing[counting]))
                self._check_scores(code, rows)
                advance(1)
        finally:
            for each in opened:
                each.close()
        labels = linked(keys, items)
        return AlignedTask(
            task=self.task,
            records=self.records,
            cells=tuple(
                AlignedCell(
                    task=self.name,
                    language=each.language,
                    score=headline(self.task),
                    counts=tuple(each.counts),
                    clusters=own,
                    marks=self._marks(each.language),
                    exposure=tuple(record.rows[each.language].exposure for record in self.records),
                    places=tuple(each.places),
                    file_places=each.standing,
                    read=partial(each.job.read, self._layout(self.runs[0])),
                )
                for each, own in zip(cells, labels, strict=True)
            ),
        )

    def _cluster(self, code: str, example: Any) -> Hashable:
        """Return what an example shares with others; candidates that all languages share have the same ids in all."""
        own = cluster_of(example)
        if own is None:
            return (code, example.id)
        return own if self.task.pool is not None else (code, own)

    def _check_protocol(self) -> None:
        """Refuse runs whose numbers are of different things."""
        first = self.records[0]
        for run, record in zip(self.runs[1:], self.records[1:], strict=True):
            pairs = [
                ("protocol", first.protocol or "the default", record.protocol or "the default"),
                ("metrics", ", ".join(first.headline), ", ".join(record.headline)),
                ("limit", self.runs[0].record.request.limit, run.record.request.limit),
                ("sample", sample_of(self.runs[0].record.request), sample_of(run.record.request)),
            ]
            for what, before, after in pairs:
                if before != after:
                    self._refuse(
                        f"{self.name}: {self.runs[0].name} and {run.name} have different {what}, {before} and {after}",
                        "evaluate both in the same way",
                    )

    def _refuse(self, problem: str, fix: str) -> None:
        if not self.force:
            message = f"{problem}; {fix}, or compare their common items nevertheless with `--force`"
            raise UsageError(message)
        line = f"{FORCED}{problem}"
        if line not in self.remarks:
            self.remarks.append(line)

    def _languages(self) -> list[str]:
        """Return the languages that all runs have, in official order.

        Raises:
            UsageError: there is none.
        """
        codes = [code for code in self.records[0].languages if all(code in each.languages for each in self.records)]
        if not codes:
            listed = "; ".join(
                f"{run.name} has {' '.join(record.languages)}"
                for run, record in zip(self.runs, self.records, strict=True)
            )
            message = f"{self.name}: the runs have no language in common: {listed}; evaluate both with the same ones"
            raise UsageError(message)
        for run, record in zip(self.runs, self.records, strict=True):
            rest = [code for code in record.languages if code not in codes]
            if rest:
                self.remarks.append(f"not compared: {self.name} in {' '.join(rest)}, not in all runs ({run.name})")
        splits = {code: {record.rows[code].split for record in self.records} for code in codes}
        for code, found in splits.items():
            if len(found) > 1:
                message = (
                    f"{self.name} in {code!r}: the runs scored different splits, {' and '.join(sorted(found))}; "
                    "evaluate both with the same `--split`"
                )
                raise UsageError(message)
        return codes

    def _layout(self, run: FinishedRun) -> Layout:
        folder = Path(run.record.request.data) if self.data is None else self.data
        try:
            return self.workspace.layout(folder, None)
        except DataError as error:
            message = (
                f"the data of run {run.path} are not in {folder} any more, and which examples belong together is "
                "read from them; name the folder with `--data DIR`"
            )
            raise DataError(message) from error

    def _job(self, run: FinishedRun, task: AnyTask, code: str) -> Job:
        request = run.record.request
        return Job(task, code, run.record.tasks[self.name].rows[code].split, request.limit, sample_of(request))

    def _check_data(self, codes: Sequence[str]) -> None:
        """Refuse data that changed since a run, and runs of different data."""
        first = self._file_digests(self.runs[0])
        for run in self.runs[1:]:
            recorded = [each.record.provenance.data_sha256.get(self.name) for each in (self.runs[0], run)]
            same = list(self.records[0].languages) == list(run.record.tasks[self.name].languages)
            if recorded[0] == recorded[1] and same:
                continue
            other = self._file_digests(run)
            unequal = [code for code in codes if first[code] != other[code]]
            if unequal:
                self._refuse(
                    f"{self.name}: {self.runs[0].name} and {run.name} were scored on different data "
                    f"(files of {' '.join(unequal[:_SHOWN])}{' ...' if len(unequal) > _SHOWN else ''})",
                    "evaluate both on the same folder",
                )

    def _file_digests(self, run: FinishedRun) -> dict[str, str]:
        """Return a digest of the data files of each language of a run, checked against the run's record."""
        layout, task = self._layout(run), self.tasks[run.path]
        whole = sha256()
        found = {}
        for code in run.record.tasks[self.name].languages:
            own = sha256()
            paths = self._job(run, task, code).paths(layout)
            missing = next((path for path in paths if not path.is_file()), None)
            if missing is not None:
                message = f"{missing} is missing, on which {run.path} was scored; name its folder with `--data DIR`"
                raise DataError(message)
            for path in paths:
                line = f"{path.name} {content_sha256(path)}\n".encode()
                whole.update(line)
                own.update(line)
            found[code] = own.hexdigest()
        if whole.hexdigest() != run.record.provenance.data_sha256.get(self.name):
            self._refuse(
                f"{self.name}: the files in {layout.xtreme} are not those that {run.path} was scored on",
                "name the right folder with `--data DIR`, or evaluate again",
            )
        return found

    def _places(self, code: str, ids: Sequence[str], rows: Sequence[StoredRow]) -> list[NDArray[np.int64]]:
        """Return where the common examples stand: in the file, and in the answers of each run."""
        whole = np.arange(len(ids))
        if all(row.ids == tuple(ids) for row in rows):
            return [whole] * (len(rows) + 1)
        for run, row in zip(self.runs, rows, strict=True):
            if row.ids != tuple(ids):
                self._refuse(
                    f"{self.name} in {code!r}: run {run.path} answered {len(row.ids):,} examples that are not the "
                    f"{len(ids):,} of the file",
                    "evaluate again",
                )
        common = set(ids).intersection(*(row.ids for row in rows))
        if not common:
            message = f"{self.name} in {code!r}: the runs answered no common example; evaluate both on the same data"
            raise UsageError(message)
        self.remarks.append(f"{self.name} in {code!r}: {len(common):,} common examples of {len(ids):,}")
        kept = [name for name in ids if name in common]
        # An id that stands twice in a file is found at its last place; ids are unique within a file.
        return [
            np.array([where[name] for name in kept], dtype=np.int64)
            for where in (
                {name: place for place, name in enumerate(each)} for each in (ids, *(row.ids for row in rows))
            )
        ]

    def _check_scores(self, code: str, rows: Sequence[StoredRow]) -> None:
        """Refuse a journal whose statistics are not those of the scores in the record."""
        for run, record, row in zip(self.runs, self.records, rows, strict=True):
            metric = self.tasks[run.path].metric
            expected = record.rows[code].scores
            fits = row.counts.shape[1] == len(metric.columns) and row.counts.any()
            found = metric.scores(row.counts.sum(axis=0)) if fits else {}
            # The fairer second scores stand beside the official ones in a record, and come from other statistics.
            second = self.task.second
            named = expected.keys() - set(() if second is None else second.names)
            if not named or any(abs(found.get(name, np.inf) - expected[name]) > _ROUNDING for name in named):
                message = (
                    f"{self.name} in {code!r}: the answers of run {run.path} do not give the scores of its record, "
                    f"which another version wrote or somebody changed; run `harness rescore {run.path}`"
                )
                raise UsageError(message)

    def _marks(self, code: str) -> tuple[tuple[str, ...], ...]:
        return tuple(
            tuple(name for name, differs in self._differing(number, code).items() if differs)
            for number in range(len(self.runs))
        )

    def _differing(self, number: int, code: str) -> Mapping[str, bool]:
        before, after = self.records[0], self.records[number]
        known = [each.encoder for each in (self.networks[0], self.networks[number])]
        tokenizers = {self.runs[each].record.provenance.tokenizer_sha256 for each in (0, number)}
        return {
            LAYER: before.representation != after.representation,
            EXPOSURE: before.rows[code].exposure != after.rows[code].exposure,
            ENCODER: len(tokenizers) > 1 or (all(known) and _public(known[0]) != _public(known[1])),
            TRAINING: before.stand_in != after.stand_in or before.leak != after.leak,
        }


def _public(encoder: str) -> str:
    """Return a public encoder's name; what is trained here differs by recipe, which is what is compared."""
    return "" if encoder.startswith("trained here") else encoder


def headline(task: AnyTask) -> Score:
    """Return the function from summed statistics (columns,) to a task's number in points."""
    metric, names = task.metric, task.headline

    def number(totals: Counts) -> float:
        scores = metric.scores(totals)
        return sum(scores[name] for name in names) / len(names)

    return number


def linked(keys: Sequence[Sequence[Hashable]], items: Sequence[Sequence[Hashable]]) -> tuple[NDArray[np.int64], ...]:
    """Return cluster labels: examples that share a key or an item belong together, however long the chain.

    Three hypotheses share a premise, and each is one item with its translations: all of them are one cluster.

    Args:
        keys: for each cell what each example shares with others of its language.
        items: for each cell what each example shares with its translations.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = numbered(keys), numbered(items)
    rows, columns = np.concatenate(first), np.concatenate(second)
    shape = (int(rows.max(initial=-1)) + 1, int(columns.max(initial=-1)) + 1)
    nodes = shape[0] + shape[1]
    graph = coo_array((np.ones(len(rows)), (rows, columns + shape[0])), shape=(nodes, nodes))
    _, found = connected_components(graph, directed=False)
    return tuple(np.asarray(found[cell], dtype=np.int64) for cell in first)


def offset(tasks_: Sequence[AlignedTask]) -> dict[str, int]:
    """Return what is added to the labels of each task so that tasks share none."""
    start, found = 0, {}
    for task in tasks_:
        found[task.task.name] = start
        start += max((int(cell.clusters.max(initial=0)) for cell in task.cells), default=0) + 1
    return found


def problem_of(error: HarnessError) -> str:
    """Return a statistic's refusal as a table's remark says it."""
    return str(error).partition(";")[0]
