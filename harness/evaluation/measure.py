"""Times one setting of a graph on real rows, as an evaluation would query it."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import psutil

from harness.artifacts.store import Artifact
from harness.artifacts.workspace import Workspace
from harness.core.errors import DataError
from harness.core.examples import first
from harness.core.features import Feature
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.core.tensors import pad
from harness.evaluation.connection import Connection, connection
from harness.evaluation.dispatch import answer, answer_seconds
from harness.evaluation.journal import Journal
from harness.evaluation.plan import pending_batches
from harness.evaluation.request import JOURNAL
from harness.evaluation.tuning.record import ENDPOINTS, Engine, Setting
from harness.evaluation.tuning.search import BUDGETS, Measurement
from harness.evaluation.workload import Job, unanswered
from harness.inference.cost import CallCosts
from harness.inference.endpoints import Endpoint
from harness.inference.planner import BatchPlanner
from harness.tokenization.tokenizer import FastTokenizer

#: Rows of each language from which the time of a measurement is estimated, and at most.
_FIRST, _MOST = 8, 1_000
#: What one measurement should take.
_SECONDS = 2.0
#: Resident memory of an instance, for each byte of its graph: 1.3 GB was measured for a graph of 1.1 GB.
_RESIDENT = 1.2


class SettingTimer:
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
            rows: what is queried.
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

    def measure(self, variant: str, setting: Setting) -> Measurement:
        """Return what a setting gives; its graph is loaded and has answered before the clock runs.

        Raises:
            EndpointError: the graph does not load or does not answer.
        """
        artifact = self._artifacts[variant]
        endpoint = self._open(artifact, setting)
        costs = CallCosts(self._workspace.cache / "costs.json")
        overhead = costs.overhead(artifact, endpoint, self._rows[0], setting.placement)
        planner = BatchPlanner(max_tokens=setting.max_tokens, overhead=overhead)
        pending, plan = pending_batches(artifact, self._rows, set(), planner)
        widest = plan[0]
        endpoint.infer(pad([pending[row].input_ids for row in widest.rows], artifact.pad_id, widest.width))
        self._workspace.runs.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix=".tune-", dir=self._workspace.runs) as folder,
            Journal(Path(folder) / JOURNAL) as journal,
        ):
            begin = self._clock()
            pending, plan = pending_batches(artifact, self._rows, set(), planner)
            answer(artifact, pending, plan, endpoint, artifact.pad_id, journal, Silent())
            seconds = self._clock() - begin
            counted = journal.padding()
        pids = self._connections[setting.engine].processes(artifact)
        return Measurement(
            rate=counted["useful_tokens"] / seconds,
            padding=counted["ratio"],
            memory=sum(_resident(pid) for pid in pids),
        )

    def _open(self, artifact: Artifact, setting: Setting) -> Endpoint:
        wanted = (artifact.name, setting.placement)
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
    """Return the resident memory of a process in MiB."""
    return round(int(psutil.Process(pid).memory_info().rss) / 2**20)


def fitting(artifact: Artifact, there: Sequence[Setting]) -> tuple[list[Setting], list[str]]:
    """Return the placements for which there is memory, the first in any case, and one line for each other."""
    room = psutil.virtual_memory().available
    one = _RESIDENT * artifact.graph_bytes
    # Calls in this process share the weights.
    needs = {placement: one * (placement.instances if placement.engine == "triton" else 1) for placement in there}
    kept = [placement for placement in there if placement is there[0] or needs[placement] <= room]
    lines = [
        f"{artifact.name} by {placement.placement} is left out: it needs about {needs[placement] / 2**30:.1f} GiB, "
        f"{room / 2**30:.1f} GiB are free"
        for placement in there
        if placement not in kept
    ]
    return kept, lines


def rows_to_time(
    artifact: Artifact, jobs: Sequence[Job], limit: int | None, layout: Layout
) -> tuple[list[Feature], int]:
    """Return the rows that are queried each time, equal ones once, and how many examples of each language they are of.

    Raises:
        DataError: a file is malformed, or holds no row.
    """
    most = limit or _MOST
    read = [(job, replace(job, limit=most).read(layout)) for job in jobs]
    pools = {(job.task.name, job.split): job for job in jobs if job.task.pool is not None}
    tokenizer = FastTokenizer(artifact.tokenizer)

    def featurized(count: int) -> list[Feature]:
        made: list[Feature] = []
        for job, examples in read:
            made += job.task.finetune.featurizer(first(examples, count), tokenizer)
        for job in pools.values():
            # Of a shared pool as many candidates as there are questions.
            share = count * sum(other.task.name == job.task.name for other in jobs)
            candidates = list(islice(job.task.pool.source.read(layout, job.split), share))  # type: ignore[union-attr]
            made += job.task.finetune.featurizer(candidates, tokenizer)
        return unanswered(made, set())

    rows = featurized(min(most, _FIRST) if limit is None else limit)
    if not rows:
        files = ", ".join(str(path) for job in jobs for path in job.own_paths(layout))
        message = f"{files} hold no row to tune {artifact.name!r} with; get them again with `harness data get`"
        raise DataError(message)
    if limit is not None:
        return rows, limit
    pending, plan = pending_batches(artifact, rows, set(), BatchPlanner())
    seconds = answer_seconds(artifact, pending, plan)
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
