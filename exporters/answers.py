"""What a network answers to rows, each row once; PyTorch's answers are kept for each checkpoint."""

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
from harness.evaluation.answers import AnswerOrigin, AnswerStore, DamagedAnswers, pack, unpack
from harness.evaluation.workload import unanswered
from harness.inference.planner import BatchPlanner

Infer: TypeAlias = Callable[[Tensors], Tensors]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where answers are kept between exports, and what they are answers of; see `harness.evaluation.answers`."""

    #: The folder of the workspace's stores.
    folder: Path
    #: Digest of everything that an answer depends on beside its row.
    network: str
    #: What computes.
    numerics: str
    #: Gets a line about what was damaged.
    say: Callable[[str], None]


class RowAnswers:
    """The answers of one network, asked in batches as an evaluation would send them.

    Args:
        infer: one batch to its outputs.
        pad_id: fills batches up.
        signature: the network's inputs and outputs.
        kept: where answers from before are, and new ones go; None keeps them in memory alone.
    """

    def __init__(self, infer: Infer, pad_id: int, signature: GraphSignature, kept: Kept | None = None) -> None:
        self._infer, self._pad_id, self._signature, self._kept = infer, pad_id, signature, kept
        self._known: dict[bytes, Outputs] = {}
        self._closing = ExitStack()
        self._store: AnswerStore | None = None

    def __enter__(self) -> Self:
        if self._kept is not None:
            origin = AnswerOrigin(graph=self._kept.network, numerics=self._kept.numerics)
            self._store = self._closing.enter_context(AnswerStore(self._kept.folder / origin.file, origin))
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
        if self._store is not None and self._kept is not None:
            self._known |= self._read(self._store, self._kept, pending)
            pending = [row for row in pending if row.key not in self._known]
        for batch in BatchPlanner().plan([len(row.input_ids) for row in pending]):
            self._ask([pending[index] for index in batch.rows], batch.width)
            advance(len(batch.rows))
        return {row.key: self._known[row.key] for row in wanted}

    def _read(self, store: AnswerStore, kept: Kept, rows: Sequence[Feature]) -> dict[bytes, Outputs]:
        """Return the answers that are kept; a damaged block is dropped, and its rows are asked again."""
        while True:
            there = store.keys()
            stored = [row.key for row in rows if row.key in there]
            try:
                found = store.read(stored)
            except DamagedAnswers as error:
                kept.say(str(error))
                continue
            return {
                key: unpack(blob, tokens, self._signature) for key, (tokens, blob) in zip(stored, found, strict=True)
            }

    def _ask(self, rows: Sequence[Feature], width: int) -> None:
        tensors = self._infer(pad_features(rows, self._pad_id, self._signature.inputs, width))
        lengths = [len(row.input_ids) for row in rows]
        blobs = pack(lengths, tensors, self._signature)
        if self._store is not None:
            self._store.add([row.key for row in rows], lengths, blobs, width)
        for row, size, blob in zip(rows, lengths, blobs, strict=True):
            self._known[row.key] = unpack(blob, size, self._signature)
