"""Chunk F1 of tags, as seqeval counts it; token accuracy beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.examples import WordsExample

Variant = Literal["legacy", "current"]


class Chunk(NamedTuple):
    """A run of tags of one type; `end` is the index of its last token."""

    type: str
    start: int
    end: int


def _legacy_type(tag: str) -> str:
    """Return the type as seqeval up to 0.0.13 reads it: what follows the last hyphen."""
    return tag.rsplit("-", 1)[-1]


def _current_type(tag: str) -> str:
    """Return the type as seqeval from 0.0.18 on reads it: without the first letter and hyphen."""
    return tag[1:].split("-", 1)[-1] or "_"


_TYPE = {"legacy": _legacy_type, "current": _current_type}


def chunks(tags: Sequence[str], variant: Variant) -> Iterator[Chunk]:
    """Yield the chunks of a flat sequence of tags, in the order of their ends.

    seqeval's default `get_entities`; on bare tags such as UPOS, the first letter is read as the
    prefix, so runs of equal tags merge and tags that start with S stand alone.
    """
    read_type = _TYPE[variant]
    previous_tag, previous_type, begin = "O", "", 0
    for index, whole in enumerate([*tags, "O"]):
        tag, kind = whole[0], read_type(whole)
        changed = kind != previous_type
        if previous_tag in "ES" or (previous_tag in "BI" and tag in "BSO") or (previous_tag not in "O." and changed):
            yield Chunk(previous_type, begin, index - 1)
        if tag in "BS" or (previous_tag in "ESO" and tag in "EI") or (tag not in "O." and changed):
            begin = index
        previous_tag, previous_type = tag, kind


@dataclass(frozen=True, slots=True)
class ChunkF1:
    """Micro F1 over the chunks of a language's file, and the accuracy of its tokens.

    Sentences are concatenated with one O after each. Chunks are taken over the whole file and
    counted for the sentence of their end: in the current variant a chunk may begin in an earlier
    sentence, so sentences cannot be scored one by one.
    """

    variant: Variant = "legacy"
    columns: tuple[str, ...] = ("matched", "predicted", "gold", "correct", "total")

    def counts(
        self, examples: Sequence[WordsExample], predictions: Sequence[Sequence[str]], language: str
    ) -> NDArray[np.float64]:
        """See `harness.task.Metric`."""
        rows = np.zeros((len(examples), 5))
        gold, sentence = _flat([example.tags for example in examples])
        predicted, _ = _flat(predictions)
        found, expected = set(chunks(predicted, self.variant)), set(chunks(gold, self.variant))
        for column, group in enumerate((found & expected, found, expected)):
            for chunk in group:
                rows[sentence[chunk.end], column] += 1
        for row, example, tags in zip(rows, examples, predictions, strict=True):
            row[3] = sum(tag == own for tag, own in zip(tags, example.tags, strict=True))
            row[4] = len(tags)
        return rows

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.task.Metric`."""
        matched, predicted, gold, correct, total = (float(value) for value in totals)
        precision = matched / predicted if predicted else 0.0
        recall = matched / gold if gold else 0.0
        f1 = 2 * precision * recall / (precision + recall) if matched else 0.0
        return {
            "f1": 100 * f1,
            "precision": 100 * precision,
            "recall": 100 * recall,
            "accuracy": 100 * correct / total,
        }


def _flat(sentences: Sequence[Sequence[str]]) -> tuple[list[str], NDArray[np.int64]]:
    """Return all tags with an O after each sentence, and the sentence of each position."""
    flat: list[str] = []
    lengths = []
    for tags in sentences:
        flat.extend(tags)
        flat.append("O")
        lengths.append(len(tags) + 1)
    return flat, np.repeat(np.arange(len(sentences)), lengths)
