"""Queries the graphs of a plan for what is pending, and keeps every answer in the run's journal."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain

from harness.artifacts.store import Artifact
from harness.core.features import Feature
from harness.core.progress import Progress
from harness.evaluation.connection import Connection
from harness.evaluation.dispatch import answer
from harness.evaluation.journal import Journal
from harness.evaluation.plan import Plan, pending_batches, read
from harness.evaluation.stages import Stages
from harness.evaluation.workload import GraphWorkload
from harness.inference.cost import CallCosts
from harness.inference.endpoints import Endpoint


def execute(planned: Plan, journal: Journal, connection: Connection, stages: Stages, progress: Progress) -> str:
    """Let every graph answer what is pending, and return what computed the answers, as results name it.

    While one graph answers, the next one's rows are made and its endpoint is opened.

    Args:
        planned: what to answer.
        journal: of the run; what is in it already is not queried again.
        connection: opens endpoints.
        stages: counts the time.
        progress: shows every batch.

    Raises:
        UsageError: the journal belongs to another run.
        EndpointError: a graph could not be queried, or answered NaN; what was answered stays in the journal.
    """
    evaluation = planned.evaluation
    journal.claim_run({"model": evaluation.model, "variant": evaluation.variant, "endpoint": connection.name})
    # A resumed run queries the batches that it would have queried, wherever an answer depends on them.
    journal.claim_run(
        {
            f"batch budget of {artifact.name}": str(evaluation.planner_of(artifact).max_tokens)
            for artifact in evaluation.artifacts
            if artifact.batch_dependent
        }
    )
    journal.set_metadata({"request": json.dumps(evaluation.request)})
    answered = {graph.graph_sha256: journal.answered(graph.graph_sha256) for graph in evaluation.artifacts}
    queries = _Queries(planned, answered, connection, stages)
    if not any(answered.values()):
        connection.begin()
        queries.begun = True
    with stages.stage("reading"):
        read(evaluation, planned.rows, progress)
    queries.run(journal, progress)
    backend = queries.backend or journal.metadata().get("backend", "")
    journal.set_metadata({"backend": backend})
    return backend


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
    #: The rows that each graph has answered, by its digest.
    answered: Mapping[str, set[bytes]]
    connection: Connection
    stages: Stages
    #: Whether endpoints may be opened from another thread than the main one.
    begun: bool = False
    #: What computed the answers; empty if nothing was pending.
    backend: str = ""

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
        done = self.answered[workload.artifact.graph_sha256]
        if may_open and any(feature.key not in done for feature in first):
            turn.endpoint = self._open(workload.artifact)
        return turn

    def _open(self, artifact: Artifact) -> Endpoint:
        with self.stages.stage("opening"):
            return self.connection.open(artifact)

    def _answer(self, turn: _Turn, opened: ExitStack, journal: Journal, progress: Progress) -> None:
        evaluation, artifact = self.planned.evaluation, turn.workload.artifact
        done = self.answered[artifact.graph_sha256]
        planner, setting = evaluation.planner_of(artifact), evaluation.setting(artifact)
        placement = "" if setting is None else setting.placement
        for block in turn.blocks:
            if turn.endpoint is None and any(feature.key not in done for feature in block):
                turn.endpoint = opened.enter_context(self._open(artifact))
            if turn.endpoint is None:
                continue
            self.begun = True
            self.backend = self.backend or turn.endpoint.backend
            if evaluation.cache is not None:
                with self.stages.stage("measuring"):
                    costs = CallCosts(evaluation.cache / "costs.json")
                    planner = replace(planner, overhead=costs.overhead(artifact, turn.endpoint, block[0], placement))
            with self.stages.stage("planning"):
                pending, batches = pending_batches(artifact, block, done, planner)
            self.stages.first_batch()
            with self.stages.stage("answering"):
                names = turn.workload.names
                answer(artifact, pending, batches, turn.endpoint, artifact.pad_id, journal, progress, names)
            done.update(feature.key for feature in pending)
