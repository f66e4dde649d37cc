"""Exact match and token F1 of answers (XQuAD, TyDi QA; Rajpurkar et al. 2016, evaluate-v1.1)."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.examples import QuestionExample

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@lru_cache(maxsize=100_000)
def normalise(text: str) -> str:
    """Return an answer in lower case, without ASCII punctuation, English articles and spare space.

    The order matters: lower case, punctuation, articles, white space.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, reference: str) -> float:
    """Return 1 if the normalised answers are equal."""
    return float(normalise(prediction) == normalise(reference))


def token_f1(prediction: str, reference: str) -> float:
    """Return F1 over the normalised answers' tokens, 0 if they share none (both empty included)."""
    found, expected = normalise(prediction).split(), normalise(reference).split()
    common = sum((Counter(found) & Counter(expected)).values())
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(expected)
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True, slots=True)
class Squad:
    """Means over the questions, each the best over its references."""

    columns: tuple[str, ...] = ("exact_match", "f1", "total")

    def counts(
        self, examples: Sequence[QuestionExample], predictions: Sequence[str], language: str
    ) -> NDArray[np.float64]:
        """See `harness.task.Metric`."""
        rows = np.ones((len(examples), 3))
        for row, example, prediction in zip(rows, examples, predictions, strict=True):
            row[0] = max(exact_match(prediction, answer.text) for answer in example.answers)
            row[1] = max(token_f1(prediction, answer.text) for answer in example.answers)
        return rows

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.task.Metric`."""
        return {"exact_match": 100 * float(totals[0] / totals[2]), "f1": 100 * float(totals[1] / totals[2])}
