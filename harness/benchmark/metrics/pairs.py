"""F1 of mined sentence pairs (BUCC; google-research/xtreme@838c13b evaluate.py)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.core.examples import SentenceExample, is_scored


@dataclass(frozen=True, slots=True)
class PairF1:
    """F1 of the set of predicted pairs against the set of gold pairs; a query carries its own pairs.

    Candidates and queries there for tuning count nothing.
    """

    columns: tuple[str, ...] = ("matched", "predicted", "gold")

    def counts(
        self, examples: Sequence[SentenceExample], predictions: Sequence[tuple[str, ...]], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        rows = np.zeros((len(examples), 3))
        for row, example, targets in zip(rows, examples, predictions, strict=True):
            if is_scored(example):
                found = frozenset(targets)
                row[:] = len(found & example.gold), len(found), len(example.gold)
        return rows

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        matched, predicted, gold = (float(value) for value in totals)
        # Without a right pair in the data there is no recall, and statistics ask for scores near such sums too.
        if not (matched and predicted and gold):
            return {"f1": 0.0, "precision": 0.0, "recall": 0.0}
        precision, recall = matched / predicted, matched / gold
        return {
            "f1": 100 * (2 * precision * recall / (precision + recall)),
            "precision": 100 * precision,
            "recall": 100 * recall,
        }
