"""Lengths of real inputs, so that an encoder is measured on the benchmark's work without its data."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

#: XLM-R's ids: padding, and the first one that is a subword of text.
PAD, FIRST_SUBWORD = 1, 3
SEED = 0
#: Quantiles of the token counts of real inputs, read by XLM-R's tokenizer: shares of the rows, and the tokens,
#: specials included, that as many rows do not exceed. Counted on the benchmark's own files: XNLI's test pairs in 15
#: languages (6,000 of 75,150, evenly spread; mean 46.7), both sides of Tatoeba in the 41 languages of XTREME and
#: XTREME-R (73,384; mean 11.1), XQuAD's windows of at most 384 tokens in 12 languages (15,877; mean 235.7).
SHARES = (*(number / 32 for number in range(32)), 63 / 64, 127 / 128, 255 / 256, 1023 / 1024, 1.0)
_QUANTILES = {
    "XNLI": "10 20 23 25 28 30 32 33 35 36 38 39 40 42 43 44 46 47 48 50 51 53 54 56 58 59 61 63 66 68 72 79 84 90 94 "
    "103 122",
    "Tatoeba": "4 6 7 7 7 8 8 8 8 9 9 9 9 9 10 10 10 10 11 11 11 11 12 12 13 13 14 14 15 16 18 21 24 29 34 46 164",
    "XQuAD": "47 103 128 140 148 155 160 167 172 179 184 190 195 201 207 213 219 226 235 244 255 264 275 285 296 307 "
    "321 337 359 384 384 384 384 384 384 384 384",
}
LENGTHS: Mapping[str, Sequence[int]] = {
    name: [int(length) for length in text.split()] for name, text in _QUANTILES.items()
}


def spread(quantiles: Sequence[int], count: int) -> list[int]:
    """Return so many lengths that are spread evenly over a distribution, ascending."""
    drawn = np.interp((np.arange(count) + 0.5) / count, SHARES, quantiles)
    return [int(length) for length in drawn.round()]


def spread_tokens(quantiles: Sequence[int], tokens: int) -> list[int]:
    """Return lengths that are spread evenly over a distribution, about so many tokens together."""
    return spread(quantiles, max(8, round(tokens / float(np.mean(spread(quantiles, 4096))))))


def random_rows(lengths: Sequence[int], vocabulary: int) -> list[NDArray[np.int64]]:
    """Return rows of random subwords, each (length,)."""
    rng = np.random.default_rng(SEED)
    return [rng.integers(FIRST_SUBWORD, vocabulary, length) for length in lengths]
