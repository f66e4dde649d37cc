"""Two sentences in one row: XNLI, PAWS-X and every other sentence-pair dataset."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        firsts = tokenizer.subwords([example.first for example in examples])
        seconds = tokenizer.subwords([example.second for example in examples])
        index = {label: number for number, label in enumerate(self.labels)}
        return [
            pair_feature(
                number, tokenizer, first, second, self.max_tokens, np.asarray(index[example.label], dtype=np.int64)
            )
            for number, (example, first, second) in enumerate(zip(examples, firsts, seconds, strict=True))
        ]


def pair_feature(
    number: int,
    tokenizer: Tokenizer,
    first: list[int],
    second: list[int],
    max_tokens: int,
    target: NDArray[np.int64] | None,
) -> Feature:
    """Return the row of two sequences, framed and cut to `max_tokens`, longest first.

    Args:
        number: the example's index.
        tokenizer: gives the frame.
        first: subword ids.
        second: subword ids.
        max_tokens: the longest row.
        target: what training predicts.
    """
    kept_first, kept_second = _kept(tokenizer, first, second, max_tokens)
    return Feature(
        number,
        np.asarray(tokenizer.pair(kept_first, kept_second), dtype=np.int64),
        target,
        token_types=row_types(tokenizer, kept_first, kept_second),
    )


def row_types(tokenizer: Tokenizer, first: Sequence[int], second: Sequence[int]) -> NDArray[np.int64] | None:
    """Return the token types of two framed sequences (tokens,); None where all are 0."""
    types = tokenizer.pair_types(len(first), len(second))
    return None if types is None else np.asarray(types, dtype=np.int64)


def pair_row(tokenizer: Tokenizer, first: list[int], second: list[int], max_tokens: int) -> list[int]:
    """Return two sequences framed and cut to `max_tokens`, longest first."""
    return tokenizer.pair(*_kept(tokenizer, first, second, max_tokens))


def _kept(tokenizer: Tokenizer, first: list[int], second: list[int], max_tokens: int) -> tuple[list[int], list[int]]:
    """Return what is left of two sequences where a row has `max_tokens`."""
    room = max_tokens - len(tokenizer.pair([], []))
    keep_first, keep_second = longest_first(len(first), len(second), room)
    return first[:keep_first], second[:keep_second]
