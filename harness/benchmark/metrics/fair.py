"""Exact match and token F1 of answers by rules that treat scripts alike: the second number beside the official one.

The official rules were written for English. They compare code points, so that a composed and a decomposed letter
differ; they leave most scripts' punctuation in; they delete English articles in every language, Vietnamese *an*
among them; and they take a Chinese or Thai answer for one token. Here

- text is in Unicode normal form C (UAX #15) and in lower case,
- punctuation of every script goes (categories P*, and ASCII's symbols, as in MLQA's script), and so do direction and
  zero-width marks but for the two joiners, which spell words,
- articles are those of the answers' language,
- tokens are words between white space, but each letter of Han, kana, Thai, Lao, Khmer and Myanmar is a token, with
  the marks that it carries: these are written without spaces. The script is that of each letter, not of the language,
  so a Chinese name in a German answer counts as in a Chinese one (after BERT's tokenizer, which does so for Han).
"""

import re
import string
import unicodedata
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.metrics.squad import answer_counts
from harness.core.examples import QuestionExample

#: What it does, for `harness tasks TASK`.
RULE = (
    "answers in NFC without any script's punctuation and their own language's articles; tokens are words, and letters "
    "in Han, kana, Thai, Lao, Khmer and Myanmar; answers hold whole subwords and are never blank"
)

#: First and last code points of the scripts that are written without spaces (Unicode's Blocks.txt). Only letters and
#: marks in them count: digits and signs are parts of words as elsewhere.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # Han radicals
    (0x3005, 0x3007),  # Han: iteration mark, zero
    (0x3021, 0x30FF),  # Han numerals, kana
    (0x31F0, 0x31FF),  # kana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),  # Myanmar
    (0xAA60, 0xAA7F),  # Myanmar
    (0xF900, 0xFAFF),  # Han
    (0xFF66, 0xFF9F),  # kana
    (0x1B000, 0x1B16F),  # kana
    (0x20000, 0x3FFFF),  # Han
)
_STARTS = [start for start, _ in _UNSPACED]

#: The articles that are words of their own; a language that is not here has none. Vietnamese has classifiers, Turkish
#: and Persian a numeral for "one", Romanian and the Scandinavian languages endings: none of these is an article word.
_ARTICLES: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "af": "die",
        "de": "der die das den dem des ein eine einen einem einer eines",
        "el": "ο η το οι τα του της των τον την τους τις ένας μία μια ένα ενός μιας έναν",
        "en": "a an the",
        "es": "el la lo los las un una unos unas",
        "fr": "le la les un une des",
        "hu": "a az egy",
        "it": "il lo la i gli le un uno una",
        "nl": "de het een",
        "pt": "o a os as um uma uns umas",
        "ro": "un o unei unui unor niște",
    }.items()
}
#: Articles that are written with the next word: what is deleted, before punctuation goes. Arabic's only at a word's
#: beginning, where at least two letters follow.
_ATTACHED: Mapping[str, re.Pattern[str]] = {
    "ar": re.compile(r"\bال(?=\w\w)"),
    "fr": re.compile(r"\bl['’]"),
    "it": re.compile(r"\b(?:l|un|gl)['’]"),
}


#: Zero-width non-joiner and joiner: Persian and the scripts of India spell with them.
_JOINERS = "\u200c\u200d"


class _Deleted(dict[int, int | None]):
    """For `str.translate`: punctuation and format characters go; decided when first seen."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        category = unicodedata.category(character)
        removed = character in string.punctuation or category.startswith("P")
        removed = removed or (category == "Cf" and character not in _JOINERS)
        self[code] = None if removed else code
        return self[code]


_PUNCTUATION = _Deleted()


@lru_cache(maxsize=100_000)
def fair_tokens(text: str, language: str) -> tuple[str, ...]:
    """Return the tokens of an answer that are compared.

    Where nothing would be left of it, an article or a sign alone, it keeps what it has.

    Args:
        text: the answer.
        language: decides the articles.
    """
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    attached = _ATTACHED.get(language)
    bare = (text if attached is None else attached.sub("", text)).translate(_PUNCTUATION)
    tokens = _tokens(bare)
    kept = [token for token in tokens if token not in _ARTICLES.get(language, ())]
    return tuple(kept or tokens or _tokens(text))


def _tokens(text: str) -> list[str]:
    """Return the words of a text, and each letter of a script without spaces with its marks."""
    if text.isascii():
        return text.split()
    tokens: list[str] = []
    for word in text.split():
        # What the character before was part of.
        before = ""
        for character in word:
            category = unicodedata.category(character)
            kind = "letter" if _is_unspaced(character, category) else "word"
            if kind == before and (kind == "word" or category.startswith("M")):
                tokens[-1] += character
            else:
                tokens.append(character)
            before = kind
    return tokens


def _is_unspaced(character: str, category: str) -> bool:
    place = bisect(_STARTS, ord(character)) - 1
    return place >= 0 and ord(character) <= _UNSPACED[place][1] and (category[0] in "LM" or category == "Nl")


@dataclass(frozen=True, slots=True)
class FairAnswers:
    """Means over the questions, each the best over its references."""

    columns: tuple[str, ...] = ("exact_match", "f1", "total")

    def counts(
        self, examples: Sequence[QuestionExample], predictions: Sequence[str | None], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        return answer_counts(examples, predictions, lambda text: " ".join(fair_tokens(text, language)))

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return {
            "fair_exact_match": 100 * float(totals[0] / totals[2]),
            "fair_f1": 100 * float(totals[1] / totals[2]),
        }
