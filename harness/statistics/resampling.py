"""The cluster bootstrap: whole clusters drawn again, for both systems alike, many draws at once."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.statistics.clusters import clustering
from harness.statistics.estimates import Interval
from harness.statistics.paired import Cell, Counts, Score

DRAWS = 10_000
#: Entries of the largest array of a block of draws: 16 MiB of float64.
BLOCK = 2**21


def blocks(draws: int, width: int) -> Iterator[slice]:
    """Yield slices of the draws, each so short that (slice, width) stays below the block size."""
    rows = max(1, BLOCK // max(1, width))
    for start in range(0, draws, rows):
        yield slice(start, min(draws, start + rows))


def closed(score: Score, totals: Counts) -> NDArray[np.float64]:
    """Return the score (draws,) of each row of totals (draws, columns); equal rows are scored once."""
    rows, back = np.unique(totals, axis=0, return_inverse=True)
    scores = np.array([score(row) for row in rows], dtype=np.float64)
    return np.asarray(scores[back.reshape(-1)], dtype=np.float64)


def bootstrap(cells: Sequence[Cell], draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """Return (cells, draws): right minus left of each cell in each draw, in points.

    Clusters are drawn with replacement within each stratum (cells that share clusters), the same draw for all
    cells of the stratum; so the mean of any choice of rows is a draw of the mean over those cells. Memory is
    bounded by `BLOCK`, whatever the number of draws.

    Raises:
        UsageError: a draw holds no example of some cell.
    """
    rng = np.random.default_rng(seed)
    cells = [cell.counted() for cell in cells]
    groups = clustering([cell.clusters for cell in cells])
    found = np.empty((len(cells), draws))
    for inside, members in groups.parts():
        table = np.hstack(
            [groups.sums(number, np.hstack([cells[number].left, cells[number].right]))[members] for number in inside]
        )
        totals = np.empty((draws, table.shape[1]))
        for part in blocks(draws, len(members)):
            rows = part.stop - part.start
            chosen = rng.integers(len(members), size=(rows, len(members)))
            chosen += np.arange(rows)[:, None] * len(members)
            times = np.bincount(chosen.reshape(-1), minlength=chosen.size).reshape(rows, len(members))
            totals[part] = times.astype(np.float64) @ table
        start = 0
        for number in inside:
            columns = cells[number].left.shape[1]
            left, right = totals[:, start : start + columns], totals[:, start + columns : start + 2 * columns]
            start += 2 * columns
            found[number] = _differences(cells[number], left, right)
    return found


def _differences(cell: Cell, left: Counts, right: Counts) -> NDArray[np.float64]:
    if not (left.any(axis=1) & right.any(axis=1)).all():
        message = (
            f"{cell.name}: {len(cell.left)} examples are so few that a bootstrap draw holds none of them; "
            "use the linearised interval, or evaluate more with a larger --limit"
        )
        raise UsageError(message)
    return closed(cell.score, right) - closed(cell.score, left)


def percentile_interval(draws: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Return the percentile interval of draws (draws,)."""
    low, high = np.percentile(draws, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(low), float(high))
