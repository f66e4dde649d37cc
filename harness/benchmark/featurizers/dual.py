"""Queries and candidates of a dual encoder: one sequence a row, each side with its own longest row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.examples import MatchExample, SentenceExample
from harness.core.features import Feature, Tokenizer

#: Targets of the two rows of a training example.
QUERY, CANDIDATE = 0, 1


@dataclass(frozen=True, slots=True)
class DualFeaturizer:
    """Rows ``<s> x </s>``; a sentence gives one, a match two: its query, then its candidate."""

    query_tokens: int
    candidate_tokens: int
    #: Before each text of a side: some encoders were trained so.
    query_prompt: str = ""
    candidate_prompt: str = ""

    @property
    def max_tokens(self) -> int:
        """See `harness.core.features.Featurizer`."""
        return max(self.query_tokens, self.candidate_tokens)

    def __call__(self, examples: Sequence[SentenceExample | MatchExample], tokenizer: Tokenizer) -> list[Feature]:
        """See `harness.core.features.Featurizer`."""
        rows = [(number, side, text) for number, example in enumerate(examples) for side, text in _sides(example)]
        prompts = {QUERY: self.query_prompt, CANDIDATE: self.candidate_prompt}
        subwords = tokenizer.subwords([prompts[side] + text for _, side, text in rows])
        frame = len(tokenizer.single([]))
        room = {QUERY: self.query_tokens - frame, CANDIDATE: self.candidate_tokens - frame}
        return [
            Feature(
                number,
                np.asarray(tokenizer.single(ids[: room[side]]), dtype=np.int64),
                np.asarray(side, dtype=np.int64),
            )
            for (number, side, _), ids in zip(rows, subwords, strict=True)
        ]


def _sides(example: SentenceExample | MatchExample) -> Iterator[tuple[int, str]]:
    if isinstance(example, MatchExample):
        yield QUERY, example.query
        yield CANDIDATE, example.candidate
    else:
        yield (QUERY if example.side == "query" else CANDIDATE), example.text
