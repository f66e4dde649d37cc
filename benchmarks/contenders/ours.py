"""Our side: the path that `harness eval` takes, from planned batches to the journal."""

from pathlib import Path

from benchmarks.contenders.workload import Workload
from harness.artifacts.store import Artifact
from harness.core.features import Feature
from harness.core.progress import Silent
from harness.core.task import Outputs
from harness.core.tensors import pad
from harness.evaluation.dispatch import answer
from harness.evaluation.journal import Journal
from harness.evaluation.plan import pending_batches
from harness.evaluation.workload import unanswered
from harness.inference.endpoints import Endpoint
from harness.inference.planner import Batch, BatchPlanner


class Harness:
    """A contender: one plan over all languages, equal rows once, every answer journaled."""

    def __init__(self, name: str, endpoint: Endpoint, artifact: Artifact, workload: Workload, folder: Path) -> None:
        """Prepare; the endpoint stays the caller's to close.

        Args:
            name: how rows call the way to the graph.
            endpoint: answers for the artifact's graph.
            artifact: the graph.
            workload: what to answer.
            folder: gets a journal for each run.
        """
        self.name = name
        self._endpoint = endpoint
        self._artifact = artifact
        self._workload = workload
        self._folder = folder
        self._planner = BatchPlanner()
        self._runs = 0

    @property
    def padded_tokens(self) -> int:
        """Return what the hardware computes in one run."""
        return sum(batch.padded_tokens for batch in self.plan())

    def warm_up(self) -> None:
        """Send the narrowest batch of the plan."""
        pending, last = self._rows(), self.plan()[-1]
        rows = [pending[row].input_ids for row in last.rows]
        self._endpoint.infer(pad(rows, self._workload.pad_id, last.width))

    def run(self) -> None:
        """Answer everything into a new journal, planning and writing included."""
        self._runs += 1
        with Journal(self._journal()) as journal:
            rows, plan = pending_batches(self._artifact, self._features(), set(), self._planner)
            answer(self._artifact, rows, plan, self._endpoint, self._workload.pad_id, journal, Silent())

    def outputs(self) -> list[list[Outputs]]:
        """Return the last run's answer to every row of every job, from its journal."""
        with Journal(self._journal()) as journal:
            return [
                journal.outputs(
                    self._artifact.graph_sha256, (feature.key for feature in item.features), self._artifact.signature
                )
                for item in self._workload.featurized
            ]

    def _features(self) -> list[Feature]:
        return [feature for item in self._workload.featurized for feature in item.features]

    def _rows(self) -> list[Feature]:
        return unanswered(self._features(), set())

    def _journal(self) -> Path:
        return self._folder / self.name / f"{self._runs}.sqlite"

    def plan(self) -> list[Batch]:
        """Return the batches of one run, over the rows without their repetitions."""
        return self._planner.plan([len(feature.input_ids) for feature in self._rows()])
