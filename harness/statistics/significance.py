"""Tests of "no difference between two systems": exact where the data allows it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.statistics.clusters import clustering
from harness.statistics.distributions import fair_coin_below
from harness.statistics.paired import Cell, Counts, weights_of
from harness.statistics.proportions import is_plain_proportion
from harness.statistics.resampling import DRAWS, blocks, closed

#: Clusters that differ up to which every assignment of signs is tried: 2^12 of them.
ENUMERATED = 13
#: Differences of scores below this are rounding: 1e-9 points.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """The outcome of a test."""

    #: Not a test case of pytest.
    __test__ = False

    #: As a table prints it: ``exact McNemar``, ``cluster sign flip, exact``.
    name: str
    p_value: float
    #: Examples (McNemar) or clusters (sign flip) in which the systems differ; only they say anything.
    differing: int


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Under "no difference" each example that flipped was as likely lost as gained: the p-value is twice the binomial
    tail of the smaller count, at most 1. Valid only for examples that are independent of each other.
    """
    return min(1.0, 2 * fair_coin_below(min(lost, gained), lost + gained))


def sign_flip(
    cells: Sequence[Cell], weights: Sequence[float] | None = None, *, draws: int = DRAWS, seed: int = 0
) -> Test:
    """Return the two-sided cluster sign-flip test of the weighted sum over cells of right minus left.

    Under "no difference" the systems' names may be exchanged within any cluster. For each exchange the scores are
    closed again over the exchanged statistics, so that ratios and F1 need no approximation. Up to `ENUMERATED`
    differing clusters every exchange is tried and the test is exact; else `draws` random ones, with
    p = (1 + as extreme) / (1 + draws) (Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39).

    Raises:
        UsageError: there is nothing to compare.
    """
    share = weights_of(len(cells), weights)
    cells = [cell.counted() for cell in cells]
    groups = clustering([cell.clusters for cell in cells])
    halves = [groups.sums(number, cell.right - cell.left) / 2 for number, cell in enumerate(cells)]
    differs = np.any([half.any(axis=1) for half in halves], axis=0)
    differing = int(differs.sum())
    exact = differing <= ENUMERATED
    name = "cluster sign flip, exact" if exact else f"cluster sign flip, {draws:,} draws"
    if not differing:
        return Test(name=name, p_value=1.0, differing=0)
    rng, every = np.random.default_rng(seed), _every_sign(differing) if exact else None
    rows = draws if every is None else len(every)
    moved = [np.zeros((rows, half.shape[1])) for half in halves]
    start = 0
    for inside, members in groups.parts():
        # Cells without shared clusters are exchanged apart, each with a small table.
        members = members[differs[members]]
        table = np.hstack([halves[number][members] for number in inside])
        for part in blocks(rows, len(members)):
            if every is None:
                bits = rng.integers(0, 2, size=(part.stop - part.start, len(members)), dtype=np.int8)
                signs = 2.0 * bits - 1.0
            else:
                signs = every[part, start : start + len(members)]
            columns = np.split(signs @ table, np.cumsum([halves[number].shape[1] for number in inside])[:-1], axis=1)
            for number, own in zip(inside, columns, strict=True):
                moved[number][part] = own
        start += len(members)
    statistic = sum(weight * _exchanged(cell, own) for cell, own, weight in zip(cells, moved, share, strict=True))
    observed = abs(sum(weight * cell.difference for cell, weight in zip(cells, share, strict=True))) - ROUNDING
    extreme = int((np.abs(statistic) >= observed).sum())
    p_value = extreme / rows if exact else (1 + extreme) / (1 + rows)
    return Test(name=name, p_value=p_value, differing=differing)


def _exchanged(cell: Cell, moved: Counts) -> NDArray[np.float64]:
    """Return right minus left (rows,) after exchanges that leave half the difference of the statistics `moved`."""
    middle = (cell.right.sum(axis=0) + cell.left.sum(axis=0)) / 2
    return closed(cell.score, middle + moved) - closed(cell.score, middle - moved)


def _every_sign(count: int) -> NDArray[np.float64]:
    """Return (2^(count - 1), count) signs, the first always +1: the opposite of each is as extreme."""
    bits = (np.arange(2 ** (count - 1))[:, None] >> np.arange(count - 1)) & 1
    return np.hstack([np.ones((len(bits), 1)), 1.0 - 2.0 * bits])


def paired_test(
    cells: Sequence[Cell], weights: Sequence[float] | None = None, *, draws: int = DRAWS, seed: int = 0
) -> Test:
    """Return McNemar's exact test for right-or-wrong examples of one cell without clusters, else the sign-flip test.

    Raises:
        UsageError: there is nothing to compare.
    """
    if len(cells) == 1:
        cell = cells[0].counted()
        unclustered = len(np.unique(cell.clusters)) == len(cell.clusters)
        sides = (cell.left, cell.right)
        if unclustered and all(is_plain_proportion(side, cell.score) for side in sides):
            lost = int((cell.left[:, 0] > cell.right[:, 0]).sum())
            gained = int((cell.left[:, 0] < cell.right[:, 0]).sum())
            return Test(name="exact McNemar", p_value=mcnemar(lost, gained), differing=lost + gained)
    return sign_flip(cells, weights, draws=draws, seed=seed)
