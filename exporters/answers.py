"""What a network answers to rows, each row once; PyTorch's answers are kept for each checkpoint."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from harness.core.features import Feature, pad_features
from harness.core.progress import Advance
from harness.core.task import Outputs
from harness.core.tensors import GraphSignature, Tensors
from harness.evaluation.journal import BatchRecord, Journal, pack, unpack
from harness.evaluation.workload import unanswered
from harness.inference.planner import BatchPlanner

Infer: TypeAlias = Callable[[Tensors], Tensors]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where answers are kept between exports, and what they are answers of."""

    path: Path
    #: Digest of everything that an answer depends on beside its row.
    network: str


class RowAnswers:
    """The answers of one network, asked in batches as an evaluation would send them.

    Args:
        infer: one batch to its outputs.
        pad_id: fills batches up.
        signature: the network's inputs and outputs.
        kept: a file that has answers from before and takes new ones; None keeps them in memory alone.
    """

    def __init__(self, infer: Infer, pad_id: int, signature: GraphSignature, kept: Kept | None = None) -> None:
        self._infer, self._pad_id, self._signature, self._kept = infer, pad_id, signature, kept
        self._known: dict[bytes, Outputs] = {}
        self._closing = ExitStack()
        self._journal: Journal | None = None

    def __enter__(self) -> Self:
        if self._kept is not None:
            self._journal = self._closing.enter_context(_open(self._kept))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def of(self, features: Iterable[Feature], advance: Advance = lambda done: None) -> dict[bytes, Outputs]:
        """Return the answer to each row by its key; rows that were answered before are not asked again.

        Args:
            features: the rows.
            advance: called with the number of rows after each batch.
        """
        wanted = list(features)
        pending = unanswered(wanted, set(self._known))
        if self._journal is not None and self._kept is not None:
            there = self._journal.answered(self._kept.network)
            stored = [row.key for row in pending if row.key in there]
            found = self._journal.outputs(self._kept.network, stored, self._signature)
            self._known |= dict(zip(stored, found, strict=True))
            pending = [row for row in pending if row.key not in there]
        for batch in BatchPlanner().plan([len(row.input_ids) for row in pending]):
            self._ask([pending[index] for index in batch.rows], batch.width)
            advance(len(batch.rows))
        return {row.key: self._known[row.key] for row in wanted}

    def _ask(self, rows: Sequence[Feature], width: int) -> None:
        begin = time.monotonic()
        tensors = self._infer(pad_features(rows, self._pad_id, self._signature.inputs, width))
        lengths = [len(row.input_ids) for row in rows]
        blobs = pack(lengths, tensors, self._signature)
        if self._journal is not None and self._kept is not None:
            cost = BatchRecord(
                rows=len(rows), width=width, useful_tokens=sum(lengths), seconds=time.monotonic() - begin
            )
            self._journal.record(self._kept.network, rows, blobs, cost)
        for row, size, blob in zip(rows, lengths, blobs, strict=True):
            self._known[row.key] = unpack(blob, size, self._signature)


def _open(kept: Kept) -> Journal:
    """Open the file of kept answers; one of another network is of no use any more and begins anew."""
    journal = Journal(kept.path)
    if journal.metadata().get("network", kept.network) != kept.network:
        journal.__exit__(None, None, None)
        for path in kept.path.parent.glob(f"{kept.path.name}*"):
            path.unlink(missing_ok=True)
        journal = Journal(kept.path)
    journal.claim_run({"network": kept.network})
    return journal
