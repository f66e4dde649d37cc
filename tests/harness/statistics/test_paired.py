from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.statistics.estimates import equivalence
from harness.statistics.paired import Cell, difference, effects, gradient

Make = Callable[..., Cell]


def test_error_of_the_clustered_case_worked_by_hand(by_hand: Cell) -> None:
    # The mean difference is 1/6; the clusters' sums around it are 5/3, -4/3 and -1/3; 3/2 * (25 + 16 + 1) / 9 = 7.
    found = difference([by_hand])
    assert found.value == pytest.approx(100 / 6)
    assert found.error == pytest.approx(100 * 7**0.5 / 6)
    assert found.freedom == pytest.approx(2)
    assert (found.examples, found.clusters) == (6, 3)


def test_error_equals_cluster_robust_least_squares(by_hand: Cell) -> None:
    models = pytest.importorskip("statsmodels.api")
    change = by_hand.right[:, 0] - by_hand.left[:, 0]
    fitted = models.OLS(change, np.ones(6)).fit(cov_type="cluster", cov_kwds={"groups": by_hand.clusters})
    assert difference([by_hand]).error == pytest.approx(100 * float(fitted.bse[0]))


def test_error_of_unclustered_examples_is_that_of_a_paired_t_test(cell: Make) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    left, right = rng.random(50) < 0.5, rng.random(50) < 0.7
    found = difference([cell(left, right)])
    expected = stats.ttest_rel(right.astype(float), left.astype(float))
    assert found.p_value() == pytest.approx(float(expected.pvalue))
    interval = expected.confidence_interval(0.95)
    assert [found.interval().low, found.interval().high] == pytest.approx([100 * interval.low, 100 * interval.high])


def test_error_of_f1_is_that_of_the_jackknife_over_clusters(chunks: Cell) -> None:
    found = difference([chunks])
    left_out = []
    for cluster in np.unique(chunks.clusters):
        kept = chunks.clusters != cluster
        left_out.append(
            replace(chunks, left=chunks.left[kept], right=chunks.right[kept], clusters=chunks.clusters[kept]).difference
        )
    jackknife = np.sqrt(99 / 100 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert found.error == pytest.approx(jackknife, rel=0.01)


def test_gradient_of_f1_is_its_derivative() -> None:
    totals = np.array([30.0, 50.0, 70.0])
    found = gradient(lambda sums: 200 * float(sums[0] / (sums[1] + sums[2])), totals)
    assert found == pytest.approx([200 / 120, -200 * 30 / 120**2, -200 * 30 / 120**2], rel=1e-6)


def test_gradient_at_a_sum_of_zero_asks_for_no_negative_counts() -> None:
    asked: list[float] = []

    def score(totals: np.ndarray) -> float:
        asked.append(float(totals.min()))
        return 100 * float(totals[0] / totals[1])

    assert gradient(score, np.array([0.0, 10.0])) == pytest.approx([10, 0])
    assert min(asked) >= 0


def test_effects_of_a_share_sum_to_zero(chunks: Cell) -> None:
    assert effects(chunks.score, chunks.left).sum() == pytest.approx(0, abs=1e-6)


def test_the_same_items_in_two_languages_are_no_more_evidence_than_in_one(cell: Make) -> None:
    one = cell([0, 1, 0, 1, 1], [1, 1, 0, 0, 1])
    assert difference([one, one]).error == pytest.approx(difference([one]).error)
    other = replace(one, clusters=one.clusters + 5)
    assert difference([one, other]).error == pytest.approx(difference([one]).error / 2**0.5)


def test_weights_make_a_contrast(cell: Make) -> None:
    latin, other = cell([0, 0, 1, 1], [1, 1, 1, 1]), cell([0, 1, 1, 1], [1, 1, 1, 0], [4, 5, 6, 7])
    assert difference([latin, other], [1, -1]).value == pytest.approx(50)


def test_examples_that_count_nothing_change_nothing(by_hand: Cell) -> None:
    empty = np.zeros((3, 2))
    longer = replace(
        by_hand,
        left=np.vstack([by_hand.left, empty]),
        right=np.vstack([by_hand.right, empty]),
        clusters=np.append(by_hand.clusters, [90, 91, 92]),
    )
    assert difference([longer]) == difference([by_hand])


def test_identical_systems_have_a_p_value_of_one(cell: Make) -> None:
    assert difference([cell([0, 1, 1], [0, 1, 1])]).p_value() == 1


def test_constant_differences_are_not_called_certain(cell: Make) -> None:
    found = difference([cell([0, 0, 0], [1, 1, 1])])
    with pytest.raises(UsageError, match="sign-flip"):
        found.p_value()
    with pytest.raises(UsageError, match="sign-flip"):
        found.interval()


def test_one_cluster_is_refused(cell: Make) -> None:
    with pytest.raises(UsageError, match="--limit"):
        difference([cell([0, 1], [1, 1], [3, 3])])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"right": np.ones((5, 2))}, "same command"),
        ({"clusters": np.arange(5)}, "5 cluster labels for 6"),
        ({"left": np.full((6, 2), np.nan)}, "NaN"),
        ({"left": np.zeros((6, 2)), "right": np.zeros((6, 2))}, "no example"),
    ],
    ids=["other examples", "labels", "nan", "nothing"],
)
def test_statistics_that_give_no_score_are_refused(by_hand: Cell, changes: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(by_hand, **changes)


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(UsageError, match="in common"):
        difference([])


def test_equivalence_is_shown_by_much_data_and_not_by_little(cell: Make) -> None:
    few, many = ([0, 1, 1, 1, 1, 0, 1, 1] * times for times in (2, 200))
    swapped = [[1, 0, 1, 1, 1, 0, 1, 1] * times for times in (2, 200)]
    assert not equivalence(difference([cell(few, swapped[0])]), margin=5).equivalent
    assert equivalence(difference([cell(many, swapped[1])]), margin=5).equivalent


def test_equivalence_equals_two_one_sided_t_tests(cell: Make) -> None:
    weights = pytest.importorskip("statsmodels.stats.weightstats")
    rng = np.random.default_rng(1)
    left, right = (rng.random(80) < 0.5).astype(float), (rng.random(80) < 0.5).astype(float)
    expected = weights.ttost_paired(right, left, -0.2, 0.2)[0]
    assert equivalence(difference([cell(left, right)]), margin=20).p_value == pytest.approx(float(expected))


def test_equivalence_is_not_shown_where_nothing_varies(cell: Make) -> None:
    with pytest.raises(UsageError, match="noninferiority"):
        equivalence(difference([cell([0, 1, 1], [0, 1, 1])]), margin=5)
