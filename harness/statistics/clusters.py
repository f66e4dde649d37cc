"""Examples that belong together: questions on one paragraph, translations of one item.

Examples of one cluster are correlated, so clusters and not examples are what is independent. A cluster
may reach over several cells (languages): parallel items share one cluster in all languages.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError


def numbered(keys: Sequence[Sequence[Hashable]]) -> tuple[NDArray[np.int64], ...]:
    """Return the clusters of several cells as integers, equal exactly where the keys are equal.

    Args:
        keys: for each cell one key for each example, such as ``("xnli", premise)``. Parallel items have the
            same key in every language; for what is not parallel the key holds the language too.
    """
    known: dict[Hashable, int] = {}
    return tuple(np.array([known.setdefault(key, len(known)) for key in cell], dtype=np.int64) for cell in keys)


def connected(cells: Sequence[Sequence[Sequence[Hashable]]]) -> tuple[NDArray[np.int64], ...]:
    """Return the clusters of several cells whose examples have several keys each: a shared one joins them.

    So three hypotheses on one premise and all translations of the three are one cluster, whatever the order of files.

    Args:
        cells: for each cell and each example its keys, such as ``("xnli", "ru", premise)`` and ``("xnli", id)``.
    """
    parents: list[int] = []
    known: dict[Hashable, int] = {}

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    owners: list[list[int]] = []
    for cell in cells:
        owners.append([])
        for keys in cell:
            numbers = []
            for key in keys:
                if key not in known:
                    known[key] = len(parents)
                    parents.append(len(parents))
                numbers.append(root(known[key]))
            smallest = min(numbers)
            for number in numbers:
                parents[number] = smallest
            owners[-1].append(smallest)
    return tuple(np.array([root(number) for number in cell], dtype=np.int64) for cell in owners)


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """The clusters of several cells; cells that share clusters form one stratum."""

    #: For each cell (examples,): the cluster of each example, from 0 to `count` - 1.
    codes: tuple[NDArray[np.int64], ...]
    #: (count,): the stratum of each cluster, from 0 on.
    strata: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Return the number of clusters."""
        return len(self.strata)

    def sums(self, cell: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (count, columns): the sum of a cell's values (examples, columns) over each cluster."""
        codes = self.codes[cell]
        columns = [np.bincount(codes, weights=column, minlength=self.count) for column in values.T]
        return np.stack(columns, axis=1)

    def parts(self) -> Iterator[tuple[list[int], NDArray[np.int64]]]:
        """Yield the cells and the clusters of each stratum."""
        owners = [int(self.strata[codes[0]]) for codes in self.codes]
        order = np.argsort(self.strata, kind="stable")
        for stratum, clusters in enumerate(np.split(order, np.cumsum(np.bincount(self.strata))[:-1])):
            yield [cell for cell, owner in enumerate(owners) if owner == stratum], clusters


def clustering(labels: Sequence[NDArray[np.int64]]) -> Clustering:
    """Return the clustering of several cells from their labels (examples,), which any integers may be."""
    present, flat = np.unique(np.concatenate(labels), return_inverse=True)
    codes = tuple(np.split(flat.astype(np.int64), np.cumsum([len(cell) for cell in labels])[:-1]))
    owner = np.full(len(present), -1, dtype=np.int64)
    parent = list(range(len(labels)))
    for cell, own in enumerate(codes):
        before = np.unique(owner[own])
        for other in before[before >= 0]:
            parent[_root(parent, int(other))] = cell
        owner[own] = cell
    roots = np.array([_root(parent, cell) for cell in range(len(labels))])
    strata = np.unique(roots[owner], return_inverse=True)[1]
    return Clustering(codes, strata.astype(np.int64))


def _root(parent: Sequence[int], cell: int) -> int:
    while parent[cell] != cell:
        cell = parent[cell]
    return cell


def sum_variance(values: NDArray[np.float64], strata: NDArray[np.int64]) -> tuple[float, float]:
    """Return the variance of a sum over independent clusters, and its degrees of freedom.

    Within stratum h with G_h clusters the variance is G_h / (G_h - 1) * sum over g of (value_g - mean_h)^2. The
    strata add up; the degrees of freedom are Satterthwaite's, (sum V_h)^2 / sum (V_h^2 / (G_h - 1)). Strata of one
    cluster are collapsed into one, or a single one into the smallest other, which overstates the variance if
    anything (Cochran 1977, Sampling Techniques, 5A.12).

    Args:
        values: (clusters,) what each cluster adds to the sum.
        strata: (clusters,) the stratum of each cluster.

    Raises:
        UsageError: there is one cluster only, which has no variance.
    """
    strata = _collapsed(strata)
    sizes = np.bincount(strata).astype(np.float64)
    if sizes.min() < 2:
        message = (
            "one cluster of examples (one paragraph, one premise or one example) says nothing about the variance; "
            "two or more are needed: evaluate with a larger --limit"
        )
        raise UsageError(message)
    centred = values - (np.bincount(strata, weights=values) / sizes)[strata]
    variances = np.bincount(strata, weights=centred**2) * sizes / (sizes - 1)
    total = float(variances.sum())
    if total <= 0:
        return 0.0, math.inf
    return total, total**2 / float((variances**2 / (sizes - 1)).sum())


def _collapsed(strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return strata (clusters,) numbered from 0, those of one cluster joined with each other or with the smallest."""
    sizes = np.bincount(strata)
    lone = np.flatnonzero(sizes == 1)
    if not len(lone) or len(strata) < 2:
        return strata
    joined = strata.copy()
    if len(lone) == 1:
        others = np.where(sizes > 1, sizes, sizes.max() + 1)
        joined[strata == lone[0]] = int(others.argmin())
    else:
        joined[np.isin(strata, lone)] = lone[0]
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)
