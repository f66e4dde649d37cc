"""Queries the graphs of a plan for what is pending, and keeps every answer in the graph's store."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain

from harness.artifacts.store import Artifact
from harness.core.features import Feature
from harness.core.progress import Progress
from harness.evaluation.answers import AnswerOrigin
from harness.evaluation.connection import Connection
from harness.evaluation.dispatch import answer
from harness.evaluation.journal import Journal
from harness.evaluation.plan import Plan, pending_batches, read
from harness.evaluation.stages import Stages
from harness.evaluation.workload import GraphWorkload, unanswered
from harness.inference.cost import CallCosts
from harness.inference.endpoints import Endpoint
from harness.inference.planner import BatchPlanner


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a run asked."""

    #: What computed the answers, as results name it.
    backend: str
    #: Rows of different content that were asked, and whose answers were kept from before.
    asked: int
    kept: int

    def after(self, before: "Asked | None") -> "Asked":
        """Return what was asked with an earlier attempt at the same rows, some of whose answers were damaged."""
        if before is None:
            return self
        asked = before.asked + self.asked
        return replace(self, asked=asked, kept=max(0, before.kept + before.asked - asked))


def execute(planned: Plan, journal: Journal, connection: Connection, stages: Stages, progress: Progress) -> Asked:
    """Let every graph answer what is pending, and return what was asked.

    While one graph answers, the next one's rows are made and its endpoint is opened.

    Args:
        planned: what to answer.
        journal: of the run; what any run of the workspace has answered is not queried again.
        connection: opens endpoints.
        stages: counts the time.
        progress: shows every batch.

    Raises:
        UsageError: the journal belongs to another run.
        EndpointError: a graph could not be queried, or answered NaN; what was answered is kept.
    """
    evaluation = planned.evaluation
    journal.claim_run({"model": evaluation.model, "variant": evaluation.variant})
    journal.set_metadata({"request": json.dumps(evaluation.request)})
    for graph in evaluation.artifacts:
        numerics = connection.numerics(graph)
        journal.attach(AnswerOrigin(graph=graph.graph_sha256, numerics=numerics, by_batch=graph.batch_dependent))
    stored = {graph.graph_sha256: journal.stored(graph.graph_sha256) for graph in evaluation.artifacts}
    queries = _Queries(planned, stored, connection, stages)
    if not all(stored.values()):
        connection.begin()
        queries.begun = True
    with stages.stage("reading"):
        read(evaluation, planned.rows, progress)
    queries.run(journal, progress)
    origins = sorted({journal.origin(graph.graph_sha256).numerics for graph in evaluation.artifacts})
    backend = queries.backend or journal.metadata().get("backend") or f"{' and '.join(origins)}, answers kept"
    journal.set_metadata({"backend": backend})
    return Asked(backend=backend, asked=queries.asked, kept=queries.kept)


@dataclass(slots=True)
class _Turn:
    """One graph's turn: its rows, block by block, and its endpoint where one is needed."""

    workload: GraphWorkload
    blocks: Iterator[list[Feature]]
    endpoint: Endpoint | None = None


@dataclass(slots=True)
class _Queries:
    """Lets the graphs answer in turn, and prepares each one's turn during the one before."""

    planned: Plan
    #: The keys of the answers that each graph's store has, by the graph's digest.
    stored: Mapping[str, set[bytes]]
    connection: Connection
    stages: Stages
    #: Whether endpoints may be opened from another thread than the main one.
    begun: bool = False
    #: What computed the answers; empty if nothing was pending.
    backend: str = ""
    asked: int = 0
    kept: int = 0

    def run(self, journal: Journal, progress: Progress) -> None:
        """Query every graph for what is pending."""
        workloads = self.planned.evaluation.workloads
        with ThreadPoolExecutor(1, "ahead") as ahead, ExitStack() as opened:
            coming: Future[_Turn] | None = None
            try:
                for index, workload in enumerate(workloads):
                    turn = self._prepare(workload, True) if coming is None else coming.result()
                    coming = None
                    if index + 1 < len(workloads):
                        coming = ahead.submit(self._prepare, workloads[index + 1], self.begun)
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
            workload.featurize(self.planned.rows, lambda _: None)
            blocks = workload.blocks(self.planned.rows)
            first = next(blocks, [])
        turn = _Turn(workload, chain([first], blocks))
        if may_open and self._asks(workload.artifact, first):
            turn.endpoint = self._open(workload.artifact)
        return turn

    def _asks(self, artifact: Artifact, block: Sequence[Feature]) -> bool:
        """Return whether any row of a block is pending."""
        stored = self.stored[artifact.graph_sha256]
        if not artifact.batch_dependent:
            return any(feature.key not in stored for feature in block)
        return bool(pending_batches(artifact, block, stored, self.planned.evaluation.planner_of(artifact))[1])

    def _open(self, artifact: Artifact) -> Endpoint:
        with self.stages.stage("opening"):
            return self.connection.open(artifact)

    def _answer(self, turn: _Turn, opened: ExitStack, journal: Journal, progress: Progress) -> None:
        evaluation, artifact = self.planned.evaluation, turn.workload.artifact
        stored = self.stored[artifact.graph_sha256]
        planner, setting = evaluation.planner_of(artifact), evaluation.setting(artifact)
        placement = "" if setting is None else setting.placement
        for block in turn.blocks:
            if turn.endpoint is None and self._asks(artifact, block):
                turn.endpoint = opened.enter_context(self._open(artifact))
            if turn.endpoint is None:
                self._see(artifact, block, planner, journal)
                self.kept += len(unanswered(block, set()))
                continue
            self.begun = True
            self.backend = self.backend or turn.endpoint.backend
            # A measured cost would cut other batches another day, and where an answer depends on its batch, that
            # would be another answer.
            if evaluation.cache is not None and not artifact.batch_dependent:
                with self.stages.stage("measuring"):
                    costs = CallCosts(evaluation.cache / "costs.json")
                    planner = replace(planner, overhead=costs.overhead(artifact, turn.endpoint, block[0], placement))
            with self.stages.stage("planning"):
                pending, batches = pending_batches(artifact, block, stored, planner)
                self._see(artifact, block, planner, journal)
            asked = sum(len(batch.rows) for batch in batches)
            self.asked += asked
            self.kept += len(unanswered(block, set())) - asked
            self.stages.first_batch()
            with self.stages.stage("answering"):
                names = turn.workload.names
                answer(artifact, pending, batches, turn.endpoint, artifact.pad_id, journal, progress, names)
            stored |= (
                journal.stored(artifact.graph_sha256) if artifact.batch_dependent else {row.key for row in pending}
            )

    def _see(self, artifact: Artifact, block: Sequence[Feature], planner: BatchPlanner, journal: Journal) -> None:
        """Note where a run takes its answers, which follows from the data alone."""
        if artifact.batch_dependent:
            rows = unanswered(block, set())
            journal.see(artifact.graph_sha256, rows, planner.plan([len(row.input_ids) for row in rows]))
