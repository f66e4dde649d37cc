"""Tagged words: the tag sits on a word's first subword, over-long sentences become several rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.examples import WordsExample
from harness.core.features import IGNORED, Feature, Tokenizer

#: Why the unknown token stands for a word: it has no subwords, or more than a row holds.
WITHOUT, LONG = 1, 2


@dataclass(frozen=True, slots=True)
class WordsFeaturizer:
    """Rows ``<s> x </s></s>``, cut at word boundaries so that a row holds max_tokens - 3 subwords.

    Where a tokenizer puts one separator between two sequences, as BERT's, rows are ``[CLS] x [SEP]`` and hold
    max_tokens - 2 (sep_token_extra of the scripts). A word without subwords (a direction mark, a zero-width space), or
    with more than a row holds, becomes the unknown token, and its tag is what the graph gives for that one; all from
    google-research/xtreme@838c13b utils_preprocess.py and third_party/utils_tag.py.
    `alignment` (words of the row, 3): word index in the sentence; position of its first subword; `WITHOUT` or `LONG`
    where the word became the unknown token, else 0.
    """

    tags: tuple[str, ...]
    max_tokens: int = 128

    def __call__(self, examples: Sequence[WordsExample], tokenizer: Tokenizer) -> list[Feature]:
        """See `harness.core.features.Featurizer`."""
        vocabulary = sorted({word for example in examples for word in example.words})
        subwords = dict(zip(vocabulary, tokenizer.subwords(vocabulary), strict=True))
        index = {tag: number for number, tag in enumerate(self.tags)}
        lead = len(tokenizer.single([])) - 1
        features = []
        for number, example in enumerate(examples):
            for start, words in self._rows(example.words, subwords, tokenizer):
                positions = np.cumsum([0, *(len(word) for word in words[:-1])]) + lead
                ids = [*tokenizer.single([subword for word in words for subword in word]), *_extra(tokenizer)]
                target = np.full(len(ids), IGNORED, dtype=np.int64)
                target[positions] = [index[tag] for tag in example.tags[start : start + len(words)]]
                instead = [
                    self._instead(subwords[word], tokenizer) for word in example.words[start : start + len(words)]
                ]
                alignment = np.stack([np.arange(start, start + len(words)), positions, instead], axis=1)
                features.append(Feature(number, np.asarray(ids, dtype=np.int64), target, alignment))
        return features

    def counted(self, features: Sequence[Feature]) -> Mapping[str, int]:
        """See `harness.core.features.Counting`."""
        instead = [feature.alignment[:, 2] for feature in features if feature.alignment is not None]
        flags = np.concatenate(instead) if instead else np.zeros(0)
        return {
            "words without subwords": int((flags == WITHOUT).sum()),
            "words longer than a row": int((flags == LONG).sum()),
        }

    def _room(self, tokenizer: Tokenizer) -> int:
        """Return the subwords that a row holds."""
        return self.max_tokens - len(tokenizer.single([])) - len(_extra(tokenizer))

    def _instead(self, ids: list[int], tokenizer: Tokenizer) -> int:
        """Return why the unknown token stands for a word of these subwords, 0 where it does not."""
        if not ids:
            return WITHOUT
        return LONG if len(ids) > self._room(tokenizer) else 0

    def _rows(
        self, words: Sequence[str], subwords: dict[str, list[int]], tokenizer: Tokenizer
    ) -> Iterator[tuple[int, list[list[int]]]]:
        """Yield the index of a row's first word and the subwords of each of its words."""
        room = self._room(tokenizer)
        start, used = 0, 0
        row: list[list[int]] = []
        for position, word in enumerate(words):
            ids = [tokenizer.unknown_id] if self._instead(subwords[word], tokenizer) else subwords[word]
            if used + len(ids) > room:
                yield start, row
                start, used, row = position, 0, []
            row.append(ids)
            used += len(ids)
        if row:
            yield start, row


def _extra(tokenizer: Tokenizer) -> list[int]:
    """Return the second separator, where a tokenizer puts two between sequences."""
    return [tokenizer.separator_id] * (len(tokenizer.pair([], [])) - len(tokenizer.single([])) - 1)
