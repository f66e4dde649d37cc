"""Texts as every peer takes them: pairs or single ones, in batches, and the decision about each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.core.features import Feature, Tokenizer

#: Texts of a batch, where a peer's documentation names no number.
ROWS = 32


@dataclass(frozen=True, slots=True)
class Text:
    """One text, or a pair."""

    first: str
    second: str | None = None
    #: What it should be classified as, where that is known.
    label: str | None = None
    #: Of a sentence with a translation: the language of its pair, its id, and what it should find.
    group: str = ""
    name: str = ""
    gold: frozenset[str] = frozenset()

    @property
    def query(self) -> bool:
        """Return whether the sentence looks for its translation."""
        return bool(self.gold)


@dataclass(frozen=True, slots=True)
class LabelDecision:
    """One text's label, and its probability."""

    label: int
    probability: float


def decide(logits: NDArray[np.float32]) -> list[LabelDecision]:
    """Return the most probable label of each row of logits (rows, labels)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = shifted / shifted.sum(axis=1, keepdims=True)
    return [LabelDecision(int(row.argmax()), float(row.max())) for row in chances]


def batches(texts: Sequence[Text]) -> list[tuple[list[str], list[str] | None]]:
    """Return texts as tokenizers take them: 32 in file order; a batch holds pairs only, or none."""
    found: list[tuple[list[str], list[str] | None]] = []
    for kind in (False, True):
        chosen = [text for text in texts if (text.second is None) == kind]
        for start in range(0, len(chosen), ROWS):
            part = chosen[start : start + ROWS]
            seconds = None if kind else [text.second or "" for text in part]
            found.append(([text.first for text in part], seconds))
    return found


def tokenize(texts: Sequence[Text], tokenizer: Tokenizer) -> list[Feature]:
    """Return the row of each text."""
    firsts = tokenizer.subwords([text.first for text in texts])
    seconds = iter(tokenizer.subwords([text.second for text in texts if text.second is not None]))
    rows = [
        tokenizer.single(first) if text.second is None else tokenizer.pair(first, next(seconds))
        for text, first in zip(texts, firsts, strict=True)
    ]
    return [Feature(number, np.asarray(row, dtype=np.int64)) for number, row in enumerate(rows)]
