"""Mining of translation pairs by ratio margin, with a tuned threshold (BUCC).

The procedure is that of google-research/xtreme@838c13b third_party/utils_retrieve.py, whose margin is
that of Artetxe and Schwenk 2019, https://aclanthology.org/P19-1309.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.chance import EqualCandidates
from harness.benchmark.postprocessors.neighbours import Neighbours, check_finite, embeddings, normalise, search_both
from harness.core.examples import SentenceExample
from harness.core.features import Feature
from harness.core.task import Outputs


class Mined(NamedTuple):
    """Pairs of a source and a target, aligned, by descending score; neither side is used twice."""

    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    scores: NDArray[np.float64]


def margin_scores(forward: Neighbours, backward: Neighbours) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the ratio margin of each source and of each target with its neighbours: (sources, k), (targets, k).

    The inner product over the mean of two means, that of the products of either side with its own neighbours: `score`
    with margin "ratio" in google-research/xtreme@838c13b third_party/utils_retrieve.py. Where it would
    be divided by 0 the score is 0.

    Args:
        forward: neighbours of each source among the targets.
        backward: neighbours of each target among the sources.
    """
    means, other_means = forward.products.mean(axis=1), backward.products.mean(axis=1)
    return _ratios(forward, means, other_means), _ratios(backward, other_means, means)


def mine(forward: Neighbours, backward: Neighbours, scores: tuple[NDArray[np.float32], NDArray[np.float32]]) -> Mined:
    """Return the pairs that score best: `mine_bitext` with retrieval "max" of the same file.

    Each source proposes the target that scores best, each target the source. Proposals are taken by
    descending score, as long as both sides are free and the score is above 0. Of equal scores those of the sources come
    first, by source, then those of the targets, by target; the original's order of equal scores is open, since its
    sort is not stable.

    Args:
        forward: neighbours of each source among the targets.
        backward: neighbours of each target among the sources.
        scores: of both, as `margin_scores` returns them.
    """
    targets, forward_scores = _best(forward, scores[0])
    sources, backward_scores = _best(backward, scores[1])
    sources = np.concatenate((np.arange(len(targets)), sources))
    targets = np.concatenate((targets, np.arange(len(backward_scores))))
    proposed = np.concatenate((forward_scores, backward_scores))
    order = np.argsort(-proposed, kind="stable")[: np.count_nonzero(proposed > 0)]
    taken = order[_first_come(sources[order], targets[order])]
    return Mined(sources[taken], targets[taken], proposed[taken].astype(np.float64))


def choose_threshold(scores: NDArray[np.float64], hits: NDArray[np.bool_], gold: int) -> float:
    """Return the score from which on pairs are kept, so that their F1 is best, as `bucc_optimize` (same file).

    The first of the best prefixes counts. The threshold is the mean of its last score and the next; where
    there is no next, its last score (the original stops with an IndexError). 0 if no pair is right.

    Args:
        scores: (pairs,); equal scores keep their order.
        hits: (pairs,), whether a pair is gold.
        gold: how many gold pairs there are, found or not.
    """
    order = np.argsort(-scores, kind="stable")
    correct = np.cumsum(hits[order])
    if not len(order) or not correct[-1]:
        return 0.0
    # The same operations in the same order as the original, since prefixes may be equal but for rounding.
    precision, recall = correct / np.arange(1, len(order) + 1), correct / gold
    f1 = np.divide(2 * precision * recall, precision + recall, out=np.zeros_like(precision), where=correct > 0)
    best = int(np.argmax(f1))
    return float(scores[order[best : best + 2]].mean())


def _ratios(
    neighbours: Neighbours, means: NDArray[np.float32], other_means: NDArray[np.float32]
) -> NDArray[np.float32]:
    middle = (means[:, None] + other_means[neighbours.indices]) / 2
    return np.divide(neighbours.products, middle, out=np.zeros_like(middle), where=middle != 0)


def _best(neighbours: Neighbours, scores: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each query's neighbour of the highest score, the nearer one of equals, and that score."""
    best = scores.argmax(axis=1)[:, None]
    return np.take_along_axis(neighbours.indices, best, axis=1)[:, 0], np.take_along_axis(scores, best, axis=1)[:, 0]


def _first_come(sources: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of the pairs whose sides are both free when their turn comes."""
    used_sources = bytearray(int(sources.max(initial=-1)) + 1)
    used_targets = bytearray(int(targets.max(initial=-1)) + 1)
    taken = []
    for position, (source, target) in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        if not used_sources[source] and not used_targets[target]:
            used_sources[source] = used_targets[target] = 1
            taken.append(position)
    return np.array(taken, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class MinedPairs:
    """The translation of each query among the candidates, or nothing, as BUCC's official script mines it.

    The examples that are there for tuning are mined by themselves and choose the threshold. Without any, the gold
    of the scored ones does, which is how the official figure of the dev split comes about. Sentences
    that occur more than once in a side are mined once, with the vector of the last, and are then
    left out of the pairs (`text_load_unify`, `unique_embeddings` and `read_sent2id` of the same file).
    """

    chance: ClassVar[EqualCandidates] = EqualCandidates()

    neighbours: int = 4

    def __call__(
        self, examples: Sequence[SentenceExample], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[tuple[str, ...]]:
        """See `harness.core.task.Postprocessor`."""
        parts: dict[bool, list[int]] = {True: [], False: []}
        for number, example in enumerate(examples):
            parts[example.tuning].append(number)
        pairs = self._mine(parts[False], examples, outputs)
        tuning = self._mine(parts[True], examples, outputs) if parts[True] else pairs
        gold = sum(len(examples[number].gold) for number in parts[bool(parts[True])])
        threshold = choose_threshold(tuning.scores, _hits(tuning, examples), gold)
        predictions: list[tuple[str, ...]] = [()] * len(examples)
        for query, candidate, score in zip(*pairs, strict=True):
            if score >= threshold:
                predictions[query] = (examples[candidate].id,)
        return predictions

    def _mine(self, numbers: Sequence[int], examples: Sequence[SentenceExample], outputs: Sequence[Outputs]) -> Mined:
        """Return the pairs of some of the examples, queries and candidates by their numbers."""
        queries = _Side([number for number in numbers if examples[number].side == "query"], examples)
        candidates = _Side([number for number in numbers if examples[number].side == "candidate"], examples)
        if not len(queries.unique) or not len(candidates.unique):
            return Mined(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
        vectors = []
        for name, side in (("query", queries), ("candidate", candidates)):
            found = embeddings(outputs, side.unique.tolist())
            check_finite(found, name, [examples[number].id for number in side.unique.tolist()])
            vectors.append(normalise(found))
        first, second = vectors
        forward, backward = search_both(first, second, self.neighbours)
        mined = mine(forward, backward, margin_scores(forward, backward))
        single = queries.single[mined.sources] & candidates.single[mined.targets]
        return Mined(
            queries.unique[mined.sources[single]], candidates.unique[mined.targets[single]], mined.scores[single]
        )


class _Side:
    """The sentences of one language, each once."""

    def __init__(self, numbers: Sequence[int], examples: Sequence[SentenceExample]) -> None:
        texts = {examples[number].text: number for number in numbers}
        #: The number of the last example with each text, in the order of the first ones.
        self.unique = np.array(list(texts.values()), dtype=np.int64)
        # As the original, white space around a sentence makes it another one, but not another line.
        lines = Counter(examples[number].text.strip() for number in numbers)
        #: Whether each is the text of one example only.
        self.single = np.array([lines[text.strip()] == 1 for text in texts], dtype=np.bool_)


def _hits(pairs: Mined, examples: Sequence[SentenceExample]) -> NDArray[np.bool_]:
    """Return whether each pair of examples is gold."""
    return np.array(
        [examples[target].id in examples[source].gold for source, target, _ in zip(*pairs, strict=True)],
        dtype=np.bool_,
    )
