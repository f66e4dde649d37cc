from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.statistics.intervals import ScoredAnswers, score_interval
from harness.statistics.paired import Counts
from harness.statistics.seeds import SeededScores, seed_difference, seed_mean


def accuracy(totals: Counts) -> float:
    return 100 * float(totals[0] / totals[1])


def right_or_wrong(values: Sequence[float] | NDArray[np.float64]) -> Counts:
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


def recipe(name: str, values: np.ndarray, clusters: np.ndarray | None = None) -> SeededScores:
    counts = np.stack([right_or_wrong(row) for row in values])
    labels = np.arange(values.shape[1]) if clusters is None else clusters
    return SeededScores(name=name, score=accuracy, counts=counts, clusters=labels)


def constant(name: str, scores: list[float]) -> SeededScores:
    """Seeds whose examples all have the seed's score: nothing varies but the seed."""
    return recipe(name, np.repeat(np.array(scores)[:, None] / 100, 50, axis=1))


def test_without_item_variance_it_is_welchs_test() -> None:
    stats = pytest.importorskip("scipy.stats")
    left, right = [70.0, 71.5, 69.2], [73.0, 72.1, 74.4, 71.0]
    found = seed_difference([constant("a", left)], [constant("b", right)])
    expected = stats.ttest_ind(right, left, equal_var=False)
    assert found.estimate.p_value() == pytest.approx(float(expected.pvalue), rel=1e-4)
    assert found.estimate.freedom == pytest.approx(float(expected.df), rel=1e-4)
    assert found.item_variance == pytest.approx(0, abs=1e-8)


def test_with_equal_seeds_it_is_the_paired_error() -> None:
    # All seeds answer alike, so that only the items vary: differences 1, 1, 0, -1 with cluster sums 2 and -1.
    left, right = np.array([[0.0, 0, 1, 1]] * 3), np.array([[1.0, 1, 1, 0]] * 2)
    clusters = np.array([0, 0, 1, 1])
    found = seed_difference([recipe("a", left, clusters)], [recipe("b", right, clusters)])
    # Around the mean 1/4: sums 3/2 and -3/2; variance 2 * (9/4 + 9/4) / 16.
    assert found.item_variance == pytest.approx(10_000 * 9 / 16)
    assert found.seed_variance == 0
    assert found.estimate.error == pytest.approx(75)


def test_item_variance_is_estimated_without_bias() -> None:
    # Seeds and items as the module's model has them: what is estimated is compared with the truth, 0.2^2 * 2 / 3.
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        sides = []
        for name in "ab":
            own = rng.uniform(-0.2, 0.2, 300)
            sides.append(recipe(name, (rng.random((3, 300)) < 0.5 + own).astype(float)))
        found.append(seed_difference([sides[0]], [sides[1]]).item_variance)
    assert np.mean(found) == pytest.approx(10_000 * 2 * 0.2**2 / 3 / 300, rel=0.05)


def test_summary_has_mean_and_spread() -> None:
    found = seed_difference([constant("a", [70, 72, 74])], [constant("b", [71, 73])])
    assert (found.left.mean, found.left.spread) == pytest.approx((72, 2))
    assert found.estimate.value == pytest.approx(0, abs=1e-9)


def test_languages_that_share_items_are_no_more_evidence() -> None:
    rng = np.random.default_rng(1)
    left, right = (recipe(name, (rng.random((3, 200)) < 0.5).astype(float)) for name in "ab")
    one, two = seed_difference([left], [right]), seed_difference([left, left], [right, right])
    assert two.estimate.error == pytest.approx(one.estimate.error)


def test_mean_over_seeds_is_wider_than_one_seeds_own_interval_where_seeds_vary() -> None:
    rng = np.random.default_rng(2)
    values = np.stack([rng.random(400) < rate for rate in (0.6, 0.7, 0.8)]).astype(float)
    estimate, summary = seed_mean([recipe("a", values)])
    alone = score_interval(
        [ScoredAnswers(name="a", score=accuracy, counts=right_or_wrong(values[1]), clusters=np.arange(400))]
    )
    assert estimate.value == pytest.approx(summary.mean)
    assert estimate.interval().half > 2 * alone.interval.half


def test_one_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="two or more"):
        constant("a", [70])


def test_other_examples_are_refused() -> None:
    with pytest.raises(UsageError, match="other examples"):
        seed_difference([constant("a", [70, 71])], [recipe("b", np.ones((2, 49)))])


def test_unequal_seeds_of_one_recipe_are_refused() -> None:
    cells = [constant("a", [70, 71]), constant("a", [70, 71, 72])]
    with pytest.raises(UsageError, match="every seed"):
        seed_difference(cells, cells)
