import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.statistics.paired import Cell, difference
from harness.statistics.significance import mcnemar, paired_test, sign_flip

Make = Callable[..., Cell]


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (0, 1), (1, 8), (6, 16), (40, 20), (7, 7), (250, 310)])
def test_mcnemar_equals_scipys_binomial_test(lost: int, gained: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar(lost, gained) == pytest.approx(expected)


@pytest.mark.parametrize(("lost", "gained"), [(0, 1), (1, 8), (6, 16), (40, 20), (7, 7)])
def test_mcnemar_equals_statsmodels(lost: int, gained: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    expected = tables.mcnemar([[50, lost], [gained, 30]], exact=True).pvalue
    assert mcnemar(lost, gained) == pytest.approx(float(expected))


def test_sign_flip_worked_by_hand(cell: Make) -> None:
    # Clusters gain 2, 1 and 1, the fourth does not differ: 2 of the 8 exchanges are as extreme as 4.
    found = sign_flip([cell([0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1], [0, 0, 1, 2, 3, 3])])
    assert found.name == "cluster sign flip, exact"
    assert (found.p_value, found.differing) == (0.25, 3)


def test_exact_sign_flip_equals_all_exchanges_of_f1(chunks: Cell) -> None:
    kept = chunks.clusters < 9
    few = replace(chunks, left=chunks.left[kept], right=chunks.right[kept], clusters=chunks.clusters[kept])
    values = []
    for flips in itertools.product([False, True], repeat=9):
        swap = np.array(flips)[few.clusters][:, None]
        values.append(
            replace(few, left=np.where(swap, few.right, few.left), right=np.where(swap, few.left, few.right)).difference
        )
    expected = float(np.mean(np.abs(values) >= abs(few.difference) - 1e-9))
    assert sign_flip([few]).p_value == pytest.approx(expected)


def test_sign_flip_of_single_examples_is_near_mcnemar(cell: Make) -> None:
    left, right = [1] * 20 + [0] * 36 + [1] * 44, [0] * 20 + [1] * 36 + [1] * 44
    one = cell(left, right)
    found = sign_flip([one])
    assert found.name == "cluster sign flip, 10,000 draws"
    assert found.p_value == pytest.approx(mcnemar(20, 36), abs=0.01)


def test_sign_flip_agrees_with_the_error_on_much_data(chunks: Cell) -> None:
    weak = replace(chunks, right=np.where(np.arange(400)[:, None] % 3 == 0, chunks.right, chunks.left))
    assert sign_flip([weak]).p_value == pytest.approx(difference([weak]).p_value(), abs=0.02)


def test_a_monte_carlo_p_value_is_never_zero(cell: Make) -> None:
    assert sign_flip([cell([0] * 60, [1] * 60)], draws=99).p_value == 0.01


def test_identical_systems_have_a_p_value_of_one(cell: Make) -> None:
    assert sign_flip([cell([0, 1], [0, 1])]).p_value == 1
    assert paired_test([cell([0, 1], [0, 1])]).p_value == 1


def test_parallel_items_are_exchanged_in_all_languages_at_once(cell: Make) -> None:
    one = cell([0] * 4, [1] * 4)
    assert sign_flip([one, one, one]).p_value == sign_flip([one]).p_value == 2 / 16


def test_languages_without_shared_items_are_exchanged_apart(cell: Make) -> None:
    one, other = cell([0, 0, 1, 0], [1, 1, 0, 1]), cell([0, 1, 0], [1, 0, 1], [7, 8, 9])
    values = []
    for flips in itertools.product([1, -1], repeat=7):
        values.append((np.dot(flips[:4], [1, 1, -1, 1]) / 4 + np.dot(flips[4:], [1, -1, 1]) / 3) / 2)
    expected = float(np.mean(np.abs(values) >= (1 / 2 + 1 / 3) / 2 - 1e-9))
    found = sign_flip([one, other])
    assert (found.p_value, found.differing) == (pytest.approx(expected), 7)


def test_mcnemar_is_used_for_single_examples_of_one_language(cell: Make) -> None:
    found = paired_test([cell([0, 0, 0, 1, 1], [1, 1, 1, 1, 0])])
    assert (found.name, found.differing) == ("exact McNemar", 4)
    assert found.p_value == mcnemar(1, 3)


@pytest.mark.parametrize("many", [False, True], ids=["clusters", "languages"])
def test_mcnemar_is_not_used_elsewhere(cell: Make, many: bool) -> None:
    one = cell([0, 0, 0, 1, 1], [1, 1, 1, 1, 0], None if many else [0, 0, 1, 1, 2])
    assert paired_test([one, one] if many else [one]).name == "cluster sign flip, exact"


def test_mcnemar_is_not_used_for_f1(chunks: Cell) -> None:
    assert paired_test([replace(chunks, clusters=np.arange(400))]).name.startswith("cluster sign flip")
