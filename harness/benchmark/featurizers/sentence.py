"""One sentence in one row: what retrieval compares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.examples import SentenceExample
from harness.core.features import Feature, Tokenizer


@dataclass(frozen=True, slots=True)
class SentenceFeaturizer:
    """Rows ``<s> x </s>``, cut at `max_tokens`; nothing is predicted, so there is no target."""

    max_tokens: int = 512
    #: Before each text: some encoders were trained so.
    prompt: str = ""

    def __call__(self, examples: Sequence[SentenceExample], tokenizer: Tokenizer) -> list[Feature]:
        """See `harness.core.features.Featurizer`."""
        room = self.max_tokens - len(tokenizer.single([]))
        return [
            Feature(number, np.asarray(tokenizer.single(ids[:room]), dtype=np.int64))
            for number, ids in enumerate(tokenizer.subwords([self.prompt + example.text for example in examples]))
        ]
