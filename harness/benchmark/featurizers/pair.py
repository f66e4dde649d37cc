"""Two sentences in one row: XNLI, PAWS-X and every other sentence-pair dataset."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.benchmark.featurizers.truncation import longest_first
from harness.core.examples import PairExample
from harness.core.features import Feature, Tokenizer


@dataclass(frozen=True, slots=True)
class PairFeaturizer:
    """One row for each pair; the target is the label's index in `labels`."""

    labels: tuple[str, ...]
    max_tokens: int = 128

    def __call__(self, examples: Sequence[PairExample], tokenizer: Tokenizer) -> list[Feature]:
        """See `harness.core.features.Featurizer`."""
        firsts = tokenizer.pieces([example.first for example in examples])
        seconds = tokenizer.pieces([example.second for example in examples])
        index = {label: number for number, label in enumerate(self.labels)}
        return [
            Feature(
                number,
                np.asarray(pair_row(tokenizer, first, second, self.max_tokens), dtype=np.int64),
                np.asarray(index[example.label], dtype=np.int64),
            )
            for number, (example, first, second) in enumerate(zip(examples, firsts, seconds, strict=True))
        ]


def pair_row(tokenizer: Tokenizer, first: list[int], second: list[int], max_tokens: int) -> list[int]:
    """Return two sequences framed and cut to `max_tokens`, longest first."""
    room = max_tokens - len(tokenizer.pair([], []))
    keep_first, keep_second = longest_first(len(first), len(second), room)
    return tokenizer.pair(first[:keep_first], second[:keep_second])
