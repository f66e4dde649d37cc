"""The batches of one graph to its endpoint, several at a time, and the answers into the journal."""

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from harness.artifacts.store import Artifact
from harness.core.errors import EndpointError
from harness.core.features import Feature, pad_features
from harness.core.progress import Advance, Progress
from harness.core.tensors import Tensors
from harness.evaluation.journal import BatchRecord, Journal, pack
from harness.inference.endpoints import Endpoint
from harness.inference.planner import Batch


def answer(
    artifact: Artifact,
    pending: Sequence[Feature],
    plan: Sequence[Batch],
    endpoint: Endpoint,
    pad_id: int,
    journal: Journal,
    progress: Progress,
) -> None:
    """Query one graph for the batches of some rows, several in flight, and write each answer into the journal."""
    useful = sum(len(pending[row].input_ids) for batch in plan for row in batch.rows)
    waiting: deque[tuple[Batch, Future[_Answer]]] = deque()
    pool = ThreadPoolExecutor(endpoint.concurrency)
    busy = _BusyTime()
    try:
        with progress.step(f"{artifact.name}", useful, "tokens") as advance:
            for batch in plan:
                if len(waiting) > endpoint.concurrency:
                    _record(artifact, pending, *waiting.popleft(), journal, advance, busy)
                rows = [pending[row] for row in batch.rows]
                inputs = pad_features(rows, pad_id, artifact.signature.inputs, batch.width)
                waiting.append((batch, pool.submit(_query, endpoint, inputs)))
            while waiting:
                _record(artifact, pending, *waiting.popleft(), journal, advance, busy)
    except EndpointError:
        # One batch failed; what was answered beside it is kept, so that less is pending in a resumed run.
        for batch, future in waiting:
            if not future.cancel() and future.exception() is None:
                _record(artifact, pending, batch, future, journal, lambda _: None, busy)
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


def _record(
    artifact: Artifact,
    pending: Sequence[Feature],
    batch: Batch,
    future: "Future[_Answer]",
    journal: Journal,
    advance: Advance,
    busy: _BusyTime,
) -> None:
    """Write one answered batch into the journal."""
    answered = future.result()
    seconds = busy.add(answered)
    features = [pending[row] for row in batch.rows]
    lengths = [len(feature.input_ids) for feature in features]
    blobs = pack(lengths, answered.tensors, artifact.signature)
    if not _finite(answered.tensors) and not all(np.isfinite(np.frombuffer(blob, "<f4")).all() for blob in blobs):
        message = (
            f"graph {artifact.name!r} answered with NaN or infinity for a batch of {len(features)} rows; "
            f"nothing of it was kept, export the model again with `harness export --model {artifact.model} --force`"
        )
        raise EndpointError(message)
    useful = sum(lengths)
    record = BatchRecord(len(features), batch.width, useful, seconds)
    journal.record(artifact.graph_sha256, features, blobs, record)
    advance(useful)


def _finite(tensors: Tensors) -> bool:
    """Return whether nothing in a batch is NaN or infinite; what is may still stand for padding alone."""
    return all(np.isfinite(value).all() for value in tensors.values())
