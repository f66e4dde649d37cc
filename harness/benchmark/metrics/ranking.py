"""Average precision of ranked candidates (LAReQA's mAP@20, Mewsli-X's MRR@20)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.core.examples import SentenceExample, is_scored


def average_precision(gold: frozenset[str], ranking: Sequence[str], depth: int) -> float:
    """Return (sum of hits_so_far / rank over the ranks that are hits) / min(|gold|, depth).

    Ranks count from 1 up to `depth`; a gold id that comes twice is a hit at its first rank only. With
    one gold id this is the reciprocal of its rank (google-research/xtreme@838c13b
    third_party/utils_lareqa.py and evaluate.py).
    """
    seen: set[str] = set()
    total = 0.0
    for rank, name in enumerate(ranking[:depth], start=1):
        if name in gold and name not in seen:
            seen.add(name)
            total += len(seen) / rank
    return total / min(len(gold), depth) if seen else 0.0


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """The mean over the queries; candidates and queries there for tuning count nothing."""

    #: Only so many candidates of a ranking count.
    depth: int = 20
    columns: tuple[str, ...] = ("average_precision", "total")

    def counts(
        self, examples: Sequence[SentenceExample], predictions: Sequence[tuple[str, ...]], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        rows = np.zeros((len(examples), 2))
        for row, example, ranking in zip(rows, examples, predictions, strict=True):
            if is_scored(example):
                row[:] = average_precision(example.gold, ranking, self.depth), 1
        return rows

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return {f"map@{self.depth}": 100 * float(totals[0] / totals[1])}
