import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.statistics.clusters import clustering, numbered, sum_variance


def test_equal_keys_get_equal_numbers_across_cells() -> None:
    first, second = numbered([[("xnli", 4), ("xnli", 9)], [("xnli", 9), ("mlqa", 4)]])
    assert first.tolist() == [0, 1]
    assert second.tolist() == [1, 2]


def test_cells_that_share_a_cluster_are_one_stratum() -> None:
    groups = clustering([np.array([1, 2]), np.array([8, 9]), np.array([2, 8])])
    assert groups.count == 4
    assert len(set(groups.strata.tolist())) == 1


def test_cells_without_a_shared_cluster_are_strata_of_their_own() -> None:
    groups = clustering([np.array([1, 2, 1]), np.array([8, 9])])
    assert groups.strata.tolist() == [0, 0, 1, 1]


def test_sums_are_taken_over_clusters() -> None:
    groups = clustering([np.array([5, 3, 5])])
    assert groups.sums(0, np.array([[1.0, 10], [2, 20], [4, 40]])).tolist() == [[2, 20], [5, 50]]


def test_variance_of_two_strata_adds_up_with_satterthwaites_freedom() -> None:
    # Within the strata: 2 / 1 * (1 + 1) = 4 with 1 degree of freedom, 3 / 2 * (1 + 0 + 1) = 3 with 2.
    variance, freedom = sum_variance(np.array([1.0, 3, 4, 5, 6]), np.array([0, 0, 1, 1, 1]))
    assert variance == pytest.approx(7)
    assert freedom == pytest.approx(49 / (16 + 9 / 2))


def test_one_cluster_has_no_variance() -> None:
    with pytest.raises(UsageError, match="--limit"):
        sum_variance(np.array([1.0]), np.array([0]))
