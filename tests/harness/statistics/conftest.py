from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.statistics.paired import Cell, Counts


def accuracy(totals: Counts) -> float:
    return 100 * float(totals[0] / totals[1])


def f1(totals: Counts) -> float:
    return 200 * float(totals[0] / (totals[1] + totals[2]))


def right_or_wrong(values: Sequence[float] | NDArray[np.float64]) -> Counts:
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


@pytest.fixture
def cell() -> Callable[..., Cell]:
    """A cell of right-or-wrong examples; without labels each is its own cluster."""

    def make(left: Sequence[float], right: Sequence[float], clusters: Sequence[int] | None = None) -> Cell:
        labels = np.arange(len(left)) if clusters is None else np.asarray(clusters)
        return Cell(
            name="xnli sw", score=accuracy, left=right_or_wrong(left), right=right_or_wrong(right), clusters=labels
        )

    return make


@pytest.fixture
def by_hand(cell: Callable[..., Cell]) -> Cell:
    """Six examples in three clusters, whose differences are (1, 1), (0, -1) and (0, 0)."""
    return cell([0, 0, 1, 1, 1, 0], [1, 1, 1, 0, 1, 0], [7, 7, 3, 3, 5, 5])


@pytest.fixture
def chunks() -> Cell:
    """F1 of 400 sentences in 100 documents: statistics that are no mean over examples."""
    rng = np.random.default_rng(5)
    gold = 1.0 + rng.poisson(2.0, 400)
    sides = []
    for rate in (0.6, 0.7):
        matched = rng.binomial(gold.astype(np.int64), rate).astype(np.float64)
        sides.append(np.stack([matched, matched + rng.poisson(0.4, 400), gold], axis=1))
    return Cell(name="panx de", score=f1, left=sides[0], right=sides[1], clusters=np.repeat(np.arange(100), 4))
