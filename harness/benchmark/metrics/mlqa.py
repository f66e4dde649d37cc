"""Exact match and token F1 of answers, normalised by language (MLQA; Lewis et al. 2020, mlqa_evaluation_v1)."""

import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.metrics.squad import answer_counts, answer_scores
from harness.core.errors import DataError
from harness.core.examples import QuestionExample

#: What becomes a space in answers of a language, after lower case and punctuation. The official
#: Arabic pattern matches every occurrence of the article's letters, those inside words included.
_ARTICLES: Mapping[str, re.Pattern[str] | None] = {
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "ar": re.compile("ال"),
    "hi": None,
    "zh": None,
}
#: Letters that are tokens of their own, in languages that are written without spaces.
_ALONE: Mapping[str, range] = {"zh": range(0x4E00, 0x9FA5 + 1)}


class _Table(dict[int, int | str | None]):
    """For `str.translate`: punctuation goes, some letters get space around; decided when first seen.

    Punctuation is the Unicode categories P*, and ASCII's, symbols such as the dollar included.
    """

    def __init__(self, alone: range) -> None:
        super().__init__()
        self._alone = alone

    def __missing__(self, code: int) -> int | str | None:
        character = chr(code)
        removed = character in string.punctuation or unicodedata.category(character).startswith("P")
        self[code] = None if removed else f" {character} " if code in self._alone else code
        return self[code]


_TABLES = {language: _Table(_ALONE.get(language, range(0))) for language in _ARTICLES}


@lru_cache(maxsize=100_000)
def normalise(text: str, language: str) -> str:
    """Return an answer in lower case, without punctuation, the language's articles and spare space.

    The order matters: lower case, punctuation, articles, white space.
    """
    text, articles = text.lower().translate(_TABLES[language]), _ARTICLES[language]
    return " ".join((text if articles is None else articles.sub(" ", text)).split())


@dataclass(frozen=True, slots=True)
class Mlqa:
    """Means over the questions, each the best over its references; the answers' language decides."""

    columns: tuple[str, ...] = ("exact_match", "f1", "total")

    def counts(
        self, examples: Sequence[QuestionExample], predictions: Sequence[str | None], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`.

        Raises:
            DataError: MLQA has no rule for the language.
        """
        if language not in _ARTICLES:
            message = f"MLQA has no rule for answers in {language!r}; its languages are {' '.join(_ARTICLES)}"
            raise DataError(message)
        return answer_counts(examples, predictions, lambda text: normalise(text, language))

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return answer_scores(totals)
