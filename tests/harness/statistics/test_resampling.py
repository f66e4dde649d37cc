from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.statistics import resampling
from harness.statistics.paired import Cell, difference
from harness.statistics.resampling import blocks, bootstrap, percentile_interval

Make = Callable[..., Cell]


def test_interval_equals_scipys_bootstrap_but_for_its_draws(cell: Make) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    left, right = (rng.random(300) < 0.6).astype(float), (rng.random(300) < 0.65).astype(float)
    found = percentile_interval(bootstrap([cell(left, right)])[0])
    expected = stats.bootstrap(
        (100 * (right - left),), np.mean, n_resamples=10_000, method="percentile", random_state=3
    ).confidence_interval
    # Two standard errors of a 2.5 % quantile over 10,000 draws are about 0.05 standard deviations: 0.2 points here.
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=0.35)


def test_draws_spread_as_the_linearised_error_says(chunks: Cell) -> None:
    draws = bootstrap([chunks])[0]
    assert draws.std() == pytest.approx(difference([chunks]).error, rel=0.03)
    assert draws.mean() == pytest.approx(chunks.difference, abs=0.1)


def test_cells_that_share_clusters_share_draws(cell: Make) -> None:
    one = cell([0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 1])
    draws = bootstrap([one, one], draws=50)
    assert np.array_equal(draws[0], draws[1])


def test_cells_without_shared_clusters_are_drawn_apart(cell: Make) -> None:
    one = cell([0, 1, 0, 1, 1, 0] * 20, [1, 1, 0, 0, 1, 1] * 20)
    draws = bootstrap([one, replace(one, clusters=one.clusters + 1_000)], draws=4_000)
    assert abs(np.corrcoef(draws)[0, 1]) < 0.05


def test_clusters_are_drawn_whole(cell: Make) -> None:
    # Within a cluster the differences cancel, so that no draw of whole clusters has any.
    one = cell([0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 1, 1])
    assert not bootstrap([one], draws=100).any()


def test_a_seed_gives_equal_draws_whatever_the_block(chunks: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bootstrap([chunks], draws=64, seed=4)
    monkeypatch.setattr(resampling, "BLOCK", 1_000)
    assert np.array_equal(first, bootstrap([chunks], draws=64, seed=4))
    assert not np.array_equal(first, bootstrap([chunks], draws=64, seed=5))


@pytest.mark.parametrize("width", [1, 333, 50_000, 10_000_000])
def test_blocks_cover_every_draw_once_within_the_memory(width: int) -> None:
    parts = list(blocks(10_000, width))
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(10_000))
    assert all(part.stop - part.start == 1 or (part.stop - part.start) * width <= resampling.BLOCK for part in parts)


def test_a_draw_without_any_example_of_a_cell_is_refused(cell: Make) -> None:
    large = cell([0, 1] * 50, [1, 1] * 50)
    small = cell([0], [1], [3])
    with pytest.raises(UsageError, match="linearised"):
        bootstrap([large, small])
