"""Random unit vectors and their bare products."""

import resource
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.core.rows import Row
from harness.benchmark.postprocessors.neighbours import normalise

Vectors: TypeAlias = NDArray[np.float32]

#: Rows and columns of a bare product: the fastest of those tried, from 1,024 x 1,024 to 4,096 x 20,000.
ROWS, COLUMNS = 1024, 4096
#: Vectors on each side of a warm-up.
WARM = 2048
SEED = 0
#: Products closer than this tie: float32 sums of a thousand products differ by less.
TIE = 1e-5


def units(rng: np.random.Generator, count: int, dimension: int) -> Vectors:
    """Return random unit vectors (count, dimension)."""
    return normalise(rng.standard_normal((count, dimension), dtype=np.float32))


def near(rng: np.random.Generator, vectors: Vectors) -> Vectors:
    """Return a unit vector for each, their cosines about uniform between 0.1 and 0.9."""
    cosines = rng.uniform(0.1, 0.9, (len(vectors), 1)).astype(np.float32)
    return normalise(cosines * vectors + np.sqrt(1 - cosines**2) * units(rng, *vectors.shape))


def multiply(first: Vectors, second: Vectors) -> None:
    """Compute every inner product, block by block, and look at none."""
    for row in range(0, len(first), ROWS):
        for column in range(0, len(second), COLUMNS):
            np.matmul(first[row : row + ROWS], second[column : column + COLUMNS].T)


def equal_share(queries: Vectors, blocks: Iterable[Vectors], indices: NDArray[np.int64]) -> float:
    """Return the share of neighbours that are those of all products, or tie with them.

    Args:
        queries: (queries, dimension).
        blocks: the candidates in order, each (any number, dimension).
        indices: (queries, neighbours), best first.
    """
    products = np.concatenate([queries @ block.T for block in blocks], axis=1)
    right = -np.sort(-products, axis=1)[:, : indices.shape[1]]
    same = np.abs(np.take_along_axis(products, indices, axis=1) - right) <= TIE
    # No candidate twice: it would tie with itself.
    ordered = np.sort(indices, axis=1)
    same &= (ordered[:, 1:] != ordered[:, :-1]).all(axis=1, keepdims=True)
    return float(same.mean())


@dataclass(frozen=True, slots=True)
class Measured:
    """The rows of one measurement and the lines under them."""

    rows: Sequence[Row]
    lines: Sequence[str]


def peak_gib() -> float:
    """Return the most memory that this process has had resident, in GiB."""
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
