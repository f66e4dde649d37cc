"""Rows to answers: which a graph still owes, in which batches, asked several at a time and journaled."""

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
from harness.evaluation.workload import unanswered
from harness.inference.endpoints import Endpoint
from harness.inference.planner import Batch, BatchPlanner


def owed_batches(
    artifact: Artifact, block: Sequence[Feature], answered: set[bytes], planner: BatchPlanner
) -> tuple[list[Feature], list[Batch]]:
    """Return the rows that a graph has to answer, and the batches that hold those still owed.

    Where an answer depends on its batch, as with int8 that scales whole batches, the plan is that of a
    run from the start: a resumed evaluation asks the same batches, and so gets the same answers.
    """
    rows = unanswered(block, set() if artifact.batch_dependent else answered)
    plan = planner.plan([len(feature.input_ids) for feature in rows])
    return rows, [batch for batch in plan if any(rows[row].key not in answered for row in batch.rows)]


def repeats(artifacts: Sequence[Artifact]) -> str:
    """Return by which means the same evaluation gives the same answers again."""
    dependent = [artifact.name for artifact in artifacts if artifact.batch_dependent]
    if not dependent:
        return "each row's answer is its own, whatever it is batched with"
    return (
        f"{', '.join(dependent)} scale whole batches: answers repeat since the plan follows from the data alone, "
        f"one batch is one call, and the server merges nothing"
    )


def answer(
    artifact: Artifact,
    owed: Sequence[Feature],
    plan: Sequence[Batch],
    endpoint: Endpoint,
    pad_id: int,
    journal: Journal,
    progress: Progress,
) -> None:
    """Ask one graph a plan's batches of rows, several in flight, and journal each answer."""
    useful = sum(len(owed[row].input_ids) for batch in plan for row in batch.rows)
    waiting: deque[tuple[Batch, Future[_Answer]]] = deque()
    pool = ThreadPoolExecutor(endpoint.concurrency)
    busy = _Busy()
    try:
        with progress.step(f"{artifact.name}", useful, "tokens") as advance:
            for batch in plan:
                if len(waiting) > endpoint.concurrency:
                    _record(artifact, owed, *waiting.popleft(), journal, advance, busy)
                rows = [owed[row] for row in batch.rows]
                inputs = pad_features(rows, pad_id, artifact.signature.inputs, batch.width)
                waiting.append((batch, pool.submit(_ask, endpoint, inputs)))
            while waiting:
                _record(artifact, owed, *waiting.popleft(), journal, advance, busy)
    except EndpointError:
        # One batch failed; what was answered beside it is kept, so that a resumed run owes less.
        for batch, future in waiting:
            if not future.cancel() and future.exception() is None:
                _record(artifact, owed, batch, future, journal, lambda _: None, busy)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def answer_seconds(artifact: Artifact, owed: Sequence[Feature], plan: Sequence[Batch], pad_id: int) -> float:
    """Return about how many seconds a plan takes in this process, from a few of its batches.

    Widest, middle and narrowest batch are timed after one warm-up; time is taken as proportional to
    padded tokens between them, which leaves out that attention grows with the square of the width.
    """
    from harness.inference.endpoints.onnx import OnnxEndpoint

    with OnnxEndpoint.of(artifact) as endpoint:
        chosen = [plan[place] for place in sorted({0, len(plan) // 2, len(plan) - 1})]
        inputs = [
            pad_features([owed[row] for row in batch.rows], pad_id, artifact.signature.inputs, batch.width)
            for batch in chosen
        ]
        _ask(endpoint, inputs[-1])
        seconds = sum(_ask(endpoint, batch).seconds for batch in inputs)
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


def _ask(endpoint: Endpoint, inputs: Tensors) -> _Answer:
    begin = time.perf_counter()
    tensors = endpoint.infer(inputs)
    return _Answer(tensors, begin, time.perf_counter())


@dataclass(slots=True)
class _Busy:
    """Time in which a graph is asked: calls overlap, and each moment counts once."""

    until: float = 0.0

    def add(self, answered: _Answer) -> float:
        """Return the seconds that a call adds to those of the calls before it."""
        new = max(0.0, answered.end - max(answered.begin, self.until))
        self.until = max(self.until, answered.end)
        return new


def _record(
    artifact: Artifact,
    owed: Sequence[Feature],
    batch: Batch,
    future: "Future[_Answer]",
    journal: Journal,
    advance: Advance,
    busy: _Busy,
) -> None:
    """Journal one answered batch."""
    answered = future.result()
    seconds = busy.add(answered)
    features = [owed[row] for row in batch.rows]
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
