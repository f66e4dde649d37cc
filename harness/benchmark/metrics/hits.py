"""Retrieval accuracy: the share of queries whose first hit is right (Tatoeba)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.core.examples import SentenceExample, is_scored


@dataclass(frozen=True, slots=True)
class FirstHit:
    """Accuracy over the queries; candidates and queries there for tuning count nothing."""

    columns: tuple[str, ...] = ("correct", "total")

    def counts(
        self, examples: Sequence[SentenceExample], predictions: Sequence[tuple[str, ...]], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        rows = np.zeros((len(examples), 2))
        for row, example, found in zip(rows, examples, predictions, strict=True):
            if is_scored(example):
                row[:] = (found[:1] != () and found[0] in example.gold), 1
        return rows

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return {"accuracy": 100 * float(totals[0] / totals[1])}
