"""Chunk F1 of tags, as seqeval counts it; token accuracy beside it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.core.examples import WordsExample

#: seqeval up to 0.0.13, and from 0.0.18 on.
Variant = Literal["legacy", "current"]


def _legacy_type(tag: str) -> str:
    """Return the type as seqeval up to 0.0.13 reads it: what follows the last hyphen."""
    return tag.rsplit("-", 1)[-1]


def _current_type(tag: str) -> str:
    """Return the type as seqeval from 0.0.18 on reads it: without the first letter and hyphen."""
    return tag[1:].split("-", 1)[-1] or "_"


_TYPE = {"legacy": _legacy_type, "current": _current_type}


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of a flat sequence of tags; arrays (tags,), a chunk stands at its last tag."""

    #: Whether a chunk ends with this tag.
    ends: NDArray[np.bool_]
    #: Where the chunk begins that would end here.
    begins: NDArray[np.int64]
    #: The number of the tag's type; equal over calls with the same vocabulary and variant.
    types: NDArray[np.int64]


def chunks(tags: NDArray[np.int64], vocabulary: Sequence[str], variant: Variant) -> Chunks:
    """Return the chunks of a flat sequence of tags, whose last one is O.

    seqeval's default `get_entities`, over all tags at once: whether a chunk starts or ends depends on
    a tag and the one before only, and an ended chunk begins at the last start, wherever that was. On
    bare tags such as UPOS the first letter is read as the prefix, so runs of equal tags merge and tags
    that start with S stand alone.

    Args:
        tags: indices into the vocabulary (tags,).
        vocabulary: the tags' names.
        variant: how a tag's type is read.
    """
    # Before the first tag stands an O without a type.
    letters = ["O", *(tag[0] for tag in vocabulary)]
    names = ["", *map(_TYPE[variant], vocabulary)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    types = np.array([numbers[name] for name in names])

    def among(prefixes: str) -> NDArray[np.bool_]:
        return np.array([letter in prefixes for letter in letters])

    now = tags + 1
    before = np.concatenate([[0], now])[:-1]
    changed = types[before] != types[now]
    ended = among("ES")[before] | (among("BI")[before] & among("BSO")[now]) | (~among("O.")[before] & changed)
    started = among("BS")[now] | (among("ESO")[before] & among("EI")[now]) | (~among("O.")[now] & changed)
    begins = np.maximum.accumulate(np.where(started, np.arange(len(tags)), 0))
    return Chunks(np.append(ended, False)[1:], begins, types[now])


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
        """See `harness.core.task.Metric`."""
        gold = [example.tags for example in examples]
        lengths = np.fromiter(map(len, gold), np.int64, len(gold))
        _check_lengths(lengths, predictions)
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        own, found = (_flat(sentences, lengths, numbers) for sentences in (gold, predictions))
        expected, predicted = (chunks(tags, list(numbers), self.variant) for tags in (own, found))
        matched = (
            (expected.ends & predicted.ends)
            & (expected.begins == predicted.begins)
            & (expected.types == predicted.types)
        )
        # The O after a sentence belongs to it, ends no chunk and is equal on both sides.
        edges = np.concatenate([[0], np.cumsum(lengths + 1)])
        rows = np.empty((len(examples), 5))
        for column, flags in enumerate((matched, predicted.ends, expected.ends, own == found)):
            rows[:, column] = _sums(flags, edges)
        rows[:, 3] -= 1
        rows[:, 4] = lengths
        return rows

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        matched, predicted, gold, correct, total = (float(value) for value in totals)
        precision = matched / predicted if predicted else 0.0
        recall = matched / gold if gold else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {
            "f1": 100 * f1,
            "precision": 100 * precision,
            "recall": 100 * recall,
            "accuracy": 100 * correct / total,
        }


@dataclass(frozen=True, slots=True)
class StrictChunkF1:
    """Micro F1 over the chunks of IOB2, a chunk beginning with B- alone: the second number beside `ChunkF1`.

    As seqeval's strict mode with the scheme IOB2: an I- that does not go on a chunk of its type belongs to none.
    """

    columns: tuple[str, ...] = ("matched", "predicted", "gold")

    def counts(
        self, examples: Sequence[WordsExample], predictions: Sequence[Sequence[str]], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        gold = [example.tags for example in examples]
        lengths = np.fromiter(map(len, gold), np.int64, len(gold))
        _check_lengths(lengths, predictions)
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        own, found = (_flat(sentences, lengths, numbers) for sentences in (gold, predictions))
        expected, predicted = (strict_chunks(tags, list(numbers)) for tags in (own, found))
        matched = (
            (expected.ends & predicted.ends)
            & (expected.begins == predicted.begins)
            & (expected.types == predicted.types)
        )
        edges = np.concatenate([[0], np.cumsum(lengths + 1)])
        rows = np.empty((len(examples), 3))
        for column, flags in enumerate((matched, predicted.ends, expected.ends)):
            rows[:, column] = _sums(flags, edges)
        return rows

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        matched, predicted, gold = (float(value) for value in totals)
        return {"strict_f1": 100 * 2 * matched / (predicted + gold) if predicted + gold else 0.0}


def strict_chunks(tags: NDArray[np.int64], vocabulary: Sequence[str]) -> Chunks:
    """Return the chunks of a flat sequence of IOB2 tags, whose last one is O.

    Args:
        tags: indices into the vocabulary (tags,).
        vocabulary: the tags' names.
    """
    letters = np.array([tag.split("-", 1)[0] for tag in vocabulary])
    names = [tag.split("-", 1)[-1] for tag in vocabulary]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    types = np.array([numbers[name] for name in names])[tags]
    prefixes = letters[tags]
    goes_on = np.zeros(len(tags), dtype=bool)
    goes_on[1:] = (prefixes[1:] == "I") & np.isin(prefixes[:-1], ("B", "I")) & (types[1:] == types[:-1])
    begins = np.maximum.accumulate(np.where(goes_on, 0, np.arange(len(tags))))
    last = np.append(~goes_on, True)[1:]
    return Chunks(last & (prefixes[begins] == "B"), begins, types)


def _check_lengths(lengths: NDArray[np.int64], predictions: Sequence[Sequence[str]]) -> None:
    if len(lengths) != len(predictions):
        message = f"{len(predictions)} predictions for {len(lengths)} sentences; one for each is needed"
        raise ValueError(message)
    different = np.flatnonzero(lengths != np.fromiter(map(len, predictions), np.int64, len(predictions)))
    if len(different):
        first = int(different[0])
        message = (
            f"{len(predictions[first])} tags for the {lengths[first]} words of sentence {first}; as many are needed"
        )
        raise ValueError(message)


def _flat(
    sentences: Sequence[Sequence[str]], lengths: NDArray[np.int64], numbers: defaultdict[str, int]
) -> NDArray[np.int64]:
    """Return the numbers of all tags with an O after each sentence; unknown tags get new numbers."""
    tags = np.full(lengths.sum() + len(lengths), numbers["O"])
    inside = np.ones(len(tags), dtype=bool)
    inside[np.cumsum(lengths + 1) - 1] = False
    found = map(numbers.__getitem__, chain.from_iterable(sentences))
    tags[inside] = np.fromiter(found, np.int64, int(lengths.sum()))
    return tags


def _sums(flags: NDArray[np.bool_], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many flags are set between each edge and the next (edges - 1,)."""
    running = np.concatenate([[0], np.cumsum(flags)])
    sums: NDArray[np.int64] = running[edges[1:]] - running[edges[:-1]]
    return sums
