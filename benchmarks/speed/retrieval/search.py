"""Search as Mewsli-X does it: among a million candidates on disk, one block in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.core.rows import Side, rate_row
from benchmarks.core.timing import Function, alternate
from benchmarks.speed.retrieval.vectors import (
    SEED,
    WARM,
    Measured,
    Vectors,
    equal_share,
    multiply,
    near,
    peak_gib,
    units,
)
from harness.benchmark.postprocessors.neighbours import Neighbours, search_blocks
from harness.core.progress import Progress

#: As Mewsli-X is scored: mentions and candidates of its test set, and the ranks that count.
MENTIONS, ENTITIES, RANKS = 14_624, 1_003_893, 20
#: Candidates of a block that is read from disk.
BLOCK = 50_000
#: Queries whose neighbours are computed once more, from all their products.
CHECKED = 16


@dataclass(slots=True)
class Search:
    """Search among candidates on disk, of which one block is mapped at a time."""

    queries: Vectors
    path: Path
    candidates: int
    name: str = "search"
    found: Neighbours = field(init=False)
    #: After the first run, before any other contender's.
    peak_gib: float = 0.0

    def warm_up(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        search_blocks(self.queries[:WARM], [self.queries[:WARM]], RANKS)

    def run(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        self.found = search_blocks(self.queries, self.blocks(), RANKS)
        self.peak_gib = self.peak_gib or peak_gib()

    def blocks(self) -> Iterator[Vectors]:
        """Yield the candidates; a block's pages count as resident as long as its map is open."""
        shape = self.queries.shape[1]
        for start in range(0, self.candidates, BLOCK):
            rows = min(BLOCK, self.candidates - start)
            yield np.memmap(self.path, np.float32, "r", offset=4 * shape * start, shape=(rows, shape))


def product_alone(search: Search) -> Function:
    """Return the contender that computes the matrix product of a search, and nothing else."""

    def every_block() -> None:
        for block in search.blocks():
            multiply(search.queries, block)

    return Function(
        "the matrix product alone", every_block, partial(multiply, search.queries[:WARM], search.queries[:WARM])
    )


def write_candidates(
    path: Path, candidates: int, dimension: int, planted_at: NDArray[np.int64], rng: np.random.Generator
) -> Vectors:
    """Write random unit vectors block by block, and return a vector near each of some of them.

    Args:
        path: the file, which holds the float32 values and nothing else.
        candidates: how many.
        dimension: of the vectors.
        planted_at: sorted indices of candidates, (queries,).
        rng: where the vectors come from.
    """
    queries = []
    with path.open("wb") as stream:
        for start in range(0, candidates, BLOCK):
            block = units(rng, min(BLOCK, candidates - start), dimension)
            stream.write(block.data)
            first, last = np.searchsorted(planted_at, [start, start + len(block)])
            queries.append(near(rng, block[planted_at[first:last] - start]))
    return np.concatenate(queries)


def right(search: Search) -> bool:
    """Return whether the neighbours of some queries are those with the largest of all products."""
    chosen = np.linspace(0, len(search.queries) - 1, CHECKED).astype(np.int64)
    return equal_share(search.queries[chosen], search.blocks(), search.found.indices[chosen]) == 1


def measure_search(
    queries: int, candidates: int, dimension: int, repeats: int, folder: Path, progress: Progress
) -> Measured:
    """Return what a search among candidates on disk takes, and the memory it needs."""
    rng = np.random.default_rng(SEED)
    path = folder / "candidates.f32"
    planted_at = np.linspace(0, candidates - 1, queries).astype(np.int64)
    ours = Search(write_candidates(path, candidates, dimension, planted_at, rng), path, candidates)
    baseline = product_alone(ours)
    with progress.step("search and its product", 2 * (repeats + 1), "runs") as advance:
        timings = alternate([ours, baseline], warmup=1, repeats=repeats, advance=advance)
    planted, correct = float((ours.found.indices[:, 0] == planted_at).mean()), right(ours)
    row = rate_row(
        f"{queries:,} queries, {candidates:,} candidates on disk, dimension {dimension}, {RANKS} neighbours",
        queries,
        "queries/s",
        Side(ours.name, timings[ours.name], 100 * planted),
        Side(baseline.name, timings[baseline.name], None),
        times_the_product=round(timings[ours.name].median / timings[baseline.name].median, 4),
        candidates_gib=round(path.stat().st_size / 2**30, 2),
        peak_gib=round(ours.peak_gib, 2),
        right=correct,
    )
    lines = [
        f"search took {timings[ours.name].median:.1f} s, its product alone {timings[baseline.name].median:.1f} s",
        f"peak resident memory {ours.peak_gib:.2f} GiB, with {row.details['candidates_gib']} GiB of candidates on disk",
        f"planted candidate comes first: {planted:.1%} of queries",
        f"neighbours of {CHECKED} queries are those of all their products: {'yes' if correct else 'NO'}",
    ]
    return Measured([row], lines)
