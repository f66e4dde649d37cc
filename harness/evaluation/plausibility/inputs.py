"""What became of the texts: unknown subwords, words without subwords, truncated rows, rows made equal.

Counting runs over arrays of many rows at once. Only what may be a fault is looked at one by one: rows that are full,
words without a visible character.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.featurizers.dual import DualFeaturizer
from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.core.examples import QuestionExample, WordsExample
from harness.core.features import Feature, Tokenizer
from harness.evaluation.plausibility.marks import SPECIAL, UNKNOWN, Marks, marks
from harness.tokenization.shared import shared_tokenizer

#: Rows whose ids are counted together: 65,536 of 64 tokens are 16 MiB.
BLOCK = 65_536
#: Longer than any row: with it a featurizer truncates nothing.
_WHOLE = 2**24
#: Full rows of a language that are made again without truncation; beyond that many, every full row counts as
#: truncated, and equal rows are looked for among the first so many.
CHECKED = 20_000
#: What is no letter, digit or underscore in a word; the fillers of Hangul are letters without a shape.
_VISIBLE = re.compile(r"[^\W\u115f\u1160\u3164\uffa0]")
#: Categories of characters that a tokenizer may drop: marks, control and format characters, spaces.
_DROPPED = frozenset("CMZ")
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")

#: Loads the tokenizer when it is called.
Loader: TypeAlias = Callable[[], Tokenizer]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputFacts:
    """What became of the texts of one task and language."""

    rows: int
    #: Ordinary and unknown ones of each example (examples,); special tokens are none.
    subwords: NDArray[np.int64]
    unknown: NDArray[np.int64]
    #: None where the task has no words.
    words_without_subwords: int | None
    #: None where nobody has said how the featurizer truncates.
    truncated_rows: int | None
    equal_rows: int | None


def input_facts(
    featurizer: object, examples: Sequence[Any], features: Sequence[Feature], tokenizer: Path
) -> InputFacts:
    """Return the facts of one task and language.

    Args:
        featurizer: that made the rows.
        examples: the task's.
        features: their rows.
        tokenizer: `tokenizer.json`; loaded only where something has to be made again.

    Raises:
        ArtifactError: the tokenizer cannot be read.
    """

    def load() -> Tokenizer:
        return shared_tokenizer(tokenizer)

    subwords, unknown = count_subwords(features, len(examples), marks(tokenizer))
    truncation = truncated(featurizer, examples, features, load)
    return InputFacts(
        rows=len(features),
        subwords=subwords,
        unknown=unknown,
        words_without_subwords=words_without_subwords(examples, load),
        truncated_rows=None if truncation is None else truncation.rows,
        equal_rows=None if truncation is None else truncation.equal,
    )


def count_subwords(
    features: Sequence[Feature], examples: int, found: Marks
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the subwords and the unknown ones of each example (examples,), special tokens left out."""
    subwords, unknown = np.zeros(examples, dtype=np.int64), np.zeros(examples, dtype=np.int64)
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK]
        rows = [feature.input_ids for feature in block]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        kinds = found.of(np.concatenate(rows))
        owners = np.fromiter((feature.example for feature in block), np.int64, len(rows))
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        special = np.add.reduceat(kinds == SPECIAL, starts, dtype=np.int64)
        subwords += np.bincount(owners, weights=lengths - special, minlength=examples).astype(np.int64)
        if (kinds == UNKNOWN).any():
            own = np.add.reduceat(kinds == UNKNOWN, starts, dtype=np.int64)
            unknown += np.bincount(owners, weights=own, minlength=examples).astype(np.int64)
    return subwords, unknown


# Words


def words_without_subwords(examples: Sequence[Any], load: Loader) -> int | None:
    """Return how many words of tagged sentences have no subword; None where the task has no words.

    A tokenizer may drop a word that has no visible character, and nothing else; only such words are tokenized.
    """
    if not examples or not isinstance(examples[0], WordsExample):
        return None
    different: set[str] = set()
    for example in examples:
        different.update(example.words)
    invisible = sorted(word for word in different if not _VISIBLE.search(word) and _may_vanish(word))
    if not invisible:
        return 0
    gone = {word for word, ids in zip(invisible, load().subwords(invisible), strict=True) if not ids}
    return sum(word in gone for example in examples for word in example.words) if gone else 0


def _may_vanish(word: str) -> bool:
    return all(unicodedata.category(letter)[0] in _DROPPED or letter in _FILLERS for letter in word)


# Truncation


@dataclass(frozen=True, slots=True)
class Truncation:
    """Rows that lost some of their text, and those of them that equal another row of another text."""

    rows: int
    equal: int


@singledispatch
def truncated(
    featurizer: object, examples: Sequence[Any], features: Sequence[Feature], load: Loader
) -> Truncation | None:
    """Return what a featurizer truncated; None where nobody has said how it does."""
    return None


@truncated.register
def _(
    featurizer: PairFeaturizer, examples: Sequence[Any], features: Sequence[Feature], load: Loader
) -> Truncation | None:
    return _cut(features, {featurizer.max_tokens}, examples, replace(featurizer, max_tokens=_WHOLE), load)


@truncated.register
def _(
    featurizer: ChoiceFeaturizer, examples: Sequence[Any], features: Sequence[Feature], load: Loader
) -> Truncation | None:
    return _cut(features, {featurizer.max_tokens}, examples, replace(featurizer, max_tokens=_WHOLE), load)


@truncated.register
def _(
    featurizer: SentenceFeaturizer, examples: Sequence[Any], features: Sequence[Feature], load: Loader
) -> Truncation | None:
    return _cut(features, {featurizer.max_tokens}, examples, replace(featurizer, max_tokens=_WHOLE), load)


@truncated.register
def _(
    featurizer: DualFeaturizer, examples: Sequence[Any], features: Sequence[Feature], load: Loader
) -> Truncation | None:
    limits = {featurizer.query_tokens, featurizer.candidate_tokens}
    whole = replace(featurizer, query_tokens=_WHOLE, candidate_tokens=_WHOLE)
    return _cut(features, limits, examples, whole, load)


@truncated.register
def _(
    featurizer: WordsFeaturizer, examples: Sequence[Any], features: Sequence[Feature], load: Loader
) -> Truncation | None:
    # Long sentences become several rows; no word is left out.
    return Truncation(0, 0)


@truncated.register
def _(
    featurizer: WindowFeaturizer, examples: Sequence[QuestionExample], features: Sequence[Feature], load: Loader
) -> Truncation | None:
    # Contexts get windows; what is cut are questions, which stand before the context.
    most = featurizer.max_question
    long: list[int] = []
    windows = np.zeros(len(examples), dtype=np.int64)
    for feature in features:
        windows[feature.example] += 1
        if feature.alignment is None:
            return None
        if long and long[-1] == feature.example:
            continue
        # Before the context stand the question and at least one special token.
        if int((feature.alignment[:, 0] < 0).argmin()) > most:
            long.append(feature.example)
    if not long:
        return Truncation(0, 0)
    questions = load().subwords([examples[number].question for number in long])
    cut = [(number, ids) for number, ids in zip(long, questions, strict=True) if len(ids) > most]
    keys = (((tuple(ids[:most]), examples[number].context), tuple(ids)) for number, ids in cut)
    equal = {number for numbers in _same(keys) for number in numbers}
    return Truncation(
        int(sum(windows[number] for number, _ in cut)), int(sum(windows[cut[number][0]] for number in equal))
    )


def _cut(
    features: Sequence[Feature],
    limits: set[int],
    examples: Sequence[Any],
    whole: Callable[[Sequence[Any], Tokenizer], list[Feature]],
    load: Loader,
) -> Truncation:
    """Return what was truncated, where each example has the same rows in the same order with and without a limit.

    Args:
        features: the rows.
        limits: lengths that a truncated row may have.
        examples: what they were cut from.
        whole: makes the rows without a limit.
        load: gives the tokenizer.
    """
    full = [number for number, feature in enumerate(features) if len(feature.input_ids) in limits]
    if not full:
        return Truncation(0, 0)
    checked = full[:CHECKED]
    owners = sorted({features[number].example for number in checked})
    order = np.fromiter((feature.example for feature in features), np.int64, len(features))
    first = dict(zip(owners, np.searchsorted(order, owners).tolist(), strict=True))
    again: defaultdict[int, list[Feature]] = defaultdict(list)
    for feature in whole([examples[owner] for owner in owners], load()):
        again[owners[feature.example]].append(feature)
    uncut = {number: again[features[number].example][number - first[features[number].example]] for number in checked}
    cut = [number for number in checked if len(uncut[number].input_ids) > len(features[number].input_ids)]
    groups = _same((features[number].key, uncut[number].key) for number in checked)
    return Truncation(len(cut) + len(full) - len(checked), sum(map(len, groups)))


def _same(keys: Iterable[tuple[Hashable, Hashable]]) -> list[list[int]]:
    """Return the entries that are equal by their first key and not all by their second one, by their number."""
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    texts: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
    for number, (row, text) in enumerate(keys):
        groups[row].append(number)
        texts[row].add(text)
    return [numbers for row, numbers in groups.items() if len(texts[row]) > 1]
