"""Exact match and token F1 of answers (XQuAD, TyDi QA; Rajpurkar et al. 2016, evaluate-v1.1)."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.core.examples import QuestionExample

#: The normaliser's name in protocol lines.
RULE = "SQuAD v1.1's English normaliser in every language, tokens between white space"

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@lru_cache(maxsize=100_000)
def normalise(text: str) -> str:
    """Return an answer in lower case, without ASCII punctuation, English articles and spare space.

    The order matters: lower case, punctuation, articles, white space.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(prediction: str, reference: str) -> float:
    """Return F1 over the tokens of two normalised answers, 0 if they share none (both empty included)."""
    if prediction == reference:
        return float(prediction != "")
    found, expected = prediction.split(), reference.split()
    if set(found).isdisjoint(expected):
        return 0.0
    common = sum((Counter(found) & Counter(expected)).values())
    precision, recall = common / len(found), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def answer_counts(
    examples: Sequence[QuestionExample], predictions: Sequence[str | None], normalise: Callable[[str], str]
) -> NDArray[np.float64]:
    """Return exact match, F1 and 1 for each question (examples, 3), each the best over its references.

    Args:
        examples: the questions.
        predictions: their answers. An empty answer is an answer, and right where the reference
            normalises to nothing; None is a question without one, which scores 0.
        normalise: what answers are compared by.
    """
    rows = np.zeros((len(examples), 3))
    rows[:, 2] = 1
    for row, example, prediction in zip(rows, examples, predictions, strict=True):
        if prediction is not None:
            found = normalise(prediction)
            references = [normalise(answer.text) for answer in example.answers]
            row[0] = found in references
            row[1] = max(token_f1(found, reference) for reference in references)
    return rows


def answer_scores(totals: NDArray[np.float64]) -> dict[str, float]:
    """Return the means in percent from summed `answer_counts` (3,)."""
    return {"exact_match": 100 * float(totals[0] / totals[2]), "f1": 100 * float(totals[1] / totals[2])}


@dataclass(frozen=True, slots=True)
class Squad:
    """Means over the questions, each the best over its references."""

    columns: tuple[str, ...] = ("exact_match", "f1", "total")

    def counts(
        self, examples: Sequence[QuestionExample], predictions: Sequence[str | None], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        return answer_counts(examples, predictions, normalise)

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return answer_scores(totals)


@dataclass(frozen=True, slots=True)
class SquadV2:
    """As `Squad`, where a question without an answer is right if nothing is answered (evaluate-v2.0)."""

    columns: tuple[str, ...] = ("exact_match", "f1", "total")

    def counts(
        self, examples: Sequence[QuestionExample], predictions: Sequence[str | None], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        rows = np.zeros((len(examples), 3))
        rows[:, 2] = 1
        for row, example, prediction in zip(rows, examples, predictions, strict=True):
            if not example.answers:
                row[:2] = normalise(prediction or "") == ""
            else:
                row[:] = answer_counts([example], [prediction], normalise)[0]
        return rows

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return answer_scores(totals)
