"""Tagged words: the tag sits on a word's first piece, over-long sentences become several rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.examples import WordsExample
from harness.core.features import IGNORED, Feature, Tokenizer


@dataclass(frozen=True, slots=True)
class WordsFeaturizer:
    """Rows ``<s> x </s></s>``, cut at word boundaries so that a row holds max_tokens - 3 pieces.

    A word without pieces, or with more than a row holds, becomes the unknown token; both from
    google-research/xtreme@838c13b utils_preprocess.py and third_party/utils_tag.py. `alignment`
    (words of the row, 2): word index in the sentence, position of its first piece.
    """

    tags: tuple[str, ...]
    max_tokens: int = 128

    def __call__(self, examples: Sequence[WordsExample], tokenizer: Tokenizer) -> list[Feature]:
        """See `harness.core.features.Featurizer`."""
        vocabulary = sorted({word for example in examples for word in example.words})
        pieces = dict(zip(vocabulary, tokenizer.pieces(vocabulary), strict=True))
        index = {tag: number for number, tag in enumerate(self.tags)}
        lead = len(tokenizer.single([])) - 1
        features = []
        for number, example in enumerate(examples):
            for start, words in self._rows(example.words, pieces, tokenizer):
                positions = np.cumsum([0, *(len(word) for word in words[:-1])]) + lead
                ids = [*tokenizer.single([piece for word in words for piece in word]), tokenizer.separator_id]
                target = np.full(len(ids), IGNORED, dtype=np.int64)
                target[positions] = [index[tag] for tag in example.tags[start : start + len(words)]]
                alignment = np.stack([np.arange(start, start + len(words)), positions], axis=1)
                features.append(Feature(number, np.asarray(ids, dtype=np.int64), target, alignment))
        return features

    def _rows(
        self, words: Sequence[str], pieces: dict[str, list[int]], tokenizer: Tokenizer
    ) -> Iterator[tuple[int, list[list[int]]]]:
        """Yield the index of a row's first word and the pieces of each of its words."""
        room = self.max_tokens - 3
        start, used = 0, 0
        row: list[list[int]] = []
        for position, word in enumerate(words):
            ids = pieces[word]
            if not 0 < len(ids) <= room:
                ids = [tokenizer.unknown_id]
            if used + len(ids) > room:
                yield start, row
                start, used, row = position, 0, []
            row.append(ids)
            used += len(ids)
        if row:
            yield start, row
