"""The batches of one graph to its endpoint, several at a time, and the answers into the journal."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError
from harness.core.features import Feature, pad_features
from harness.core.progress import Advance, Progress
from harness.core.tensors import Tensors
from harness.evaluation.answers import pack
from harness.evaluation.journal import BatchRecord, Journal
from harness.inference.endpoints import Endpoint, NotFiniteAnswer
from harness.inference.planner import Batch

#: Rows that an error names; a graph that overflows does so on many.
_NAMED = 3


def unnamed(features: Sequence[Feature]) -> Sequence[str]:
    """Return a name for each row where nobody knows what the rows are of."""
    return [f"a row of {len(feature.input_ids)} tokens" for feature in features]


def answer(
    artifact: Artifact,
    pending: Sequence[Feature],
    plan: Sequence[Batch],
    endpoint: Endpoint,
    pad_id: int,
    journal: Journal,
    progress: Progress,
    names: Callable[[Sequence[Feature]], Sequence[str]] = unnamed,
) -> None:
    """Query one graph for the batches of some rows, several in flight, and write each answer into the journal.

    Args:
        artifact: the graph.
        pending: the rows.
        plan: their batches.
        endpoint: what answers.
        pad_id: fills the rows up.
        journal: where the answers are written.
        progress: counts tokens.
        names: gives what errors call some of the rows: task, language and example.

    Raises:
        EndpointError: the graph could not be queried, or computed NaN or infinity for a row, which is named; what was
            answered beside it is kept.
    """
    useful = sum(len(pending[row].input_ids) for batch in plan for row in batch.rows)
    waiting: deque[tuple[Batch, Future[_Answer]]] = deque()
    pool = ThreadPoolExecutor(endpoint.concurrency)
    recorder = _Recorder(artifact, pending, endpoint, pad_id, journal, names)
    try:
        with progress.step(f"{artifact.name}", useful, "tokens") as advance:
            for batch in plan:
                if len(waiting) > endpoint.concurrency:
                    recorder.record(*waiting.popleft(), advance)
                inputs = recorder.inputs(batch.rows, batch.width)
                waiting.append((batch, pool.submit(_query, endpoint, inputs)))
            while waiting:
                recorder.record(*waiting.popleft(), advance)
    except EndpointError:
        # One batch failed; what was answered beside it is kept, so that less is pending in a resumed run.
        for batch, future in waiting:
            if not future.cancel() and future.exception() is None and recorder.is_finite(batch, future.result()):
                recorder.record(batch, future, lambda _: None)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def answer_seconds(artifact: Artifact, pending: Sequence[Feature], plan: Sequence[Batch]) -> float:
    """Return about how many seconds a plan takes in this process, from a few of its batches.

    Widest, middle and narrowest batch are timed after one warm-up; time is taken as proportional to
    padded tokens between them, which leaves out that attention grows with the square of the width.
    """
    from harness.inference.endpoints.onnx import OnnxEndpoint

    with OnnxEndpoint.of(artifact) as endpoint:
        chosen = [plan[place] for place in sorted({0, len(plan) // 2, len(plan) - 1})]
        inputs = [
            pad_features([pending[row] for row in batch.rows], artifact.pad_id, artifact.signature.inputs, batch.width)
            for batch in chosen
        ]
        _query(endpoint, inputs[-1])
        seconds = sum(_query(endpoint, batch).seconds for batch in inputs)
    return seconds * sum(batch.padded_tokens for batch in plan) / sum(batch.padded_tokens for batch in chosen)


@dataclass(frozen=True, slots=True)
class _Answer:
    tensors: Tensors
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """Return how long the call took."""
        return self.end - self.begin


def _query(endpoint: Endpoint, inputs: Tensors) -> _Answer:
    begin = time.perf_counter()
    tensors = endpoint.infer(inputs)
    return _Answer(tensors, begin, time.perf_counter())


@dataclass(slots=True)
class _BusyTime:
    """Time in which a graph is queried: calls overlap, and each moment counts once."""

    until: float = 0.0

    def add(self, answered: _Answer) -> float:
        """Return the seconds that a call adds to those of the calls before it."""
        new = max(0.0, answered.end - max(answered.begin, self.until))
        self.until = max(self.until, answered.end)
        return new


@dataclass(slots=True)
class _Recorder:
    """Writes the answered batches of one graph into the journal."""

    artifact: Artifact
    pending: Sequence[Feature]
    endpoint: Endpoint
    pad_id: int
    journal: Journal
    names: Callable[[Sequence[Feature]], Sequence[str]]
    busy: _BusyTime = field(default_factory=_BusyTime)

    def inputs(self, rows: Sequence[int], width: int | None = None) -> Tensors:
        """Return what the graph takes for some of the rows."""
        return pad_features([self.pending[row] for row in rows], self.pad_id, self.artifact.signature.inputs, width)

    def record(self, batch: Batch, future: "Future[_Answer]", advance: Advance) -> None:
        """Write one batch.

        Raises:
            EndpointError: the batch failed, or has NaN or infinity; names the rows.
        """
        try:
            answered = future.result()
        except NotFiniteAnswer as error:
            # A server refuses the whole batch; each row by itself shows which of them it is.
            raise self._not_finite(self._refused(batch), f" ({error})") from error
        seconds = self.busy.add(answered)
        features, lengths, blobs = self._packed(batch, answered)
        if not _finite(answered.tensors):
            wrong = [feature for feature, blob in zip(features, blobs, strict=True) if not _is_finite(blob)]
            if wrong:
                raise self._not_finite(wrong, "")
        useful = sum(lengths)
        record = BatchRecord(len(features), batch.width, useful, seconds)
        self.journal.record(self.artifact.graph_sha256, features, blobs, record)
        advance(useful)

    def is_finite(self, batch: Batch, answered: _Answer) -> bool:
        """Return whether a batch can be kept."""
        return _finite(answered.tensors) or all(map(_is_finite, self._packed(batch, answered)[2]))

    def _packed(self, batch: Batch, answered: _Answer) -> tuple[list[Feature], list[int], list[bytes]]:
        features = [self.pending[row] for row in batch.rows]
        lengths = [len(feature.input_ids) for feature in features]
        return features, lengths, pack(lengths, answered.tensors, self.artifact.signature)

    def _refused(self, batch: Batch) -> list[Feature]:
        """Return the rows of a batch that a server refuses by themselves, at least as many as an error names."""
        found: list[Feature] = []
        for row in batch.rows:
            try:
                self.endpoint.infer(self.inputs([row]))
            except NotFiniteAnswer:
                found.append(self.pending[row])
            if len(found) == _NAMED + 1:
                break
        return found or [self.pending[row] for row in batch.rows]

    def _not_finite(self, wrong: Sequence[Feature], reason: str) -> EndpointError:
        named = ", ".join(self.names(wrong[:_NAMED]))
        more = "" if len(wrong) <= _NAMED else " and others of its batch"
        return EndpointError(
            f"graph {self.artifact.name!r} in {self.endpoint.where} answered with NaN or infinity for {named}{more}"
            f"{reason}; nothing of that batch was kept, export the model again with "
            f"`harness export --model {self.artifact.model} --force`"
        )


def _finite(tensors: Tensors) -> bool:
    """Return whether nothing in a batch is NaN or infinite; what is may still stand for padding alone."""
    return all(np.isfinite(value).all() for value in tensors.values())


def _is_finite(blob: bytes) -> bool:
    """Return whether no number of a packed row is NaN or infinite."""
    return bool(np.isfinite(np.frombuffer(blob, "<f4")).all())
