from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.statistics.intervals import ScoredAnswers, difference_interval, score_interval
from harness.statistics.paired import Cell, Counts
from harness.statistics.proportions import is_plain_proportion, tango_interval, tango_upper, wilson

Z = 1.959963984540054


def accuracy(totals: Counts) -> float:
    return 100 * float(totals[0] / totals[1])


def f1(totals: Counts) -> float:
    return 200 * float(totals[0] / (totals[1] + totals[2]))


def right_or_wrong(values: Sequence[float] | NDArray[np.float64]) -> Counts:
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


def answers(values: list[float], clusters: list[int] | None = None) -> ScoredAnswers:
    labels = np.arange(len(values)) if clusters is None else np.asarray(clusters)
    return ScoredAnswers(name="xnli sw", score=accuracy, counts=right_or_wrong(values), clusters=labels)


@pytest.mark.parametrize(("right", "total"), [(0, 10), (10, 10), (7, 10), (3_648, 5_010)])
def test_wilson_equals_scipys(right: int, total: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    found = wilson(right / total, total, Z)
    assert [found.low, found.high] == pytest.approx([100 * expected.low, 100 * expected.high], abs=1e-9)


@pytest.mark.parametrize(
    ("lost", "gained", "examples", "low", "high", "places"),
    [
        # Fagerland, Lydersen and Laake, Stat. Med. 2014, 33:2850-2875: airway reactivity (Bentur et al. 2009).
        (1, 7, 21, -0.517, -0.026, 3),
        # The same authors, Statistical Analysis of Contingency Tables, 2017, chapter 8: Cavo et al. 2012.
        (6, 16, 161, -0.1240, -0.0054, 4),
    ],
    ids=["bentur", "cavo"],
)
def test_tango_equals_the_published_examples(
    lost: int, gained: int, examples: int, low: float, high: float, places: int
) -> None:
    found = tango_interval(lost, gained, examples, Z)
    assert round(found.low / 100, places) == low
    assert round(found.high / 100, places) == high


def test_no_change_in_240_examples_does_not_prove_zero_loss() -> None:
    # With nothing lost or gained, n x / (1 - x) = z^2 at the bound.
    assert tango_upper(0, 0, 240, 1.645) == pytest.approx(1.645**2 / (240 + 1.645**2))


def test_a_single_score_is_printed_with_interval_and_number() -> None:
    found = score_interval([answers([1] * 728 + [0] * 272)])
    assert (found.method, found.text()) == ("Wilson", "72.8 ±2.8, n 1,000")


def test_a_constructed_design_effect_of_two_is_found() -> None:
    # Every example is there twice, within its cluster: the interval is that of half as many examples.
    once, twice = [1.0, 0, 1, 1] * 100, [value for value in [1.0, 0, 1, 1] * 100 for _ in range(2)]
    expected = score_interval([answers(once)]).interval
    found = score_interval([answers(twice, [number // 2 for number in range(800)])])
    assert found.clusters == 400
    assert [found.interval.low, found.interval.high] == pytest.approx([expected.low, expected.high], abs=0.05)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_clustered_score_at_the_end_keeps_a_width_and_stays_within(value: float) -> None:
    found = score_interval([answers([value] * 40, [number // 4 for number in range(40)])])
    assert 20 < found.interval.high - found.interval.low < 45
    assert found.interval.low >= 0
    assert found.interval.high <= 100


def test_a_mean_over_parallel_languages_is_no_surer_than_one_of_them() -> None:
    one = answers([1.0, 0, 1, 1, 0] * 30)
    alone, both = score_interval([one]), score_interval([one, one])
    assert both.interval.half == pytest.approx(alone.interval.half, rel=0.02)
    assert (both.examples, both.clusters) == (300, 150)


def test_f1_gets_the_clustered_interval(chunks: Cell) -> None:
    cell = ScoredAnswers(name="panx de", score=f1, counts=chunks.left, clusters=chunks.clusters)
    found = score_interval([cell])
    assert found.method == "cluster-robust, Wilson's form"
    assert 1 < found.interval.half < 4


def test_candidates_are_not_counted_as_examples() -> None:
    counts = np.vstack([right_or_wrong([1, 0, 1]), np.zeros((7, 2))])
    found = score_interval([ScoredAnswers(name="bucc", score=accuracy, counts=counts, clusters=np.arange(10))])
    assert (found.examples, found.clusters) == (3, 3)


def test_one_cluster_is_refused() -> None:
    with pytest.raises(UsageError, match="--limit"):
        score_interval([answers([1, 0], [4, 4])])


def test_the_difference_of_single_examples_is_tangos(cell: Callable[..., Cell]) -> None:
    left, right = [1] * 6 + [0] * 16 + [1] * 139, [0] * 6 + [1] * 16 + [1] * 139
    found = difference_interval([cell(left, right)])
    assert found.method == "Tango"
    assert found.interval.low == pytest.approx(0.5433, abs=1e-3)
    assert found.interval.high == pytest.approx(12.4023, abs=1e-3)
    assert found.value == pytest.approx(1000 / 161)


def test_no_difference_has_a_width(cell: Callable[..., Cell]) -> None:
    found = difference_interval([cell([1, 0] * 100, [1, 0] * 100, [number // 2 for number in range(200)])])
    assert found.value == 0
    assert found.interval.high == pytest.approx(100 * Z**2 / (100 + Z**2))
    assert found.interval.low == pytest.approx(-found.interval.high)


def test_a_clustered_difference_gets_students_t(by_hand: Cell) -> None:
    found = difference_interval([by_hand])
    assert found.method == "cluster-robust, Student's t"
    assert found.interval.half == pytest.approx(4.302653 * 100 * 7**0.5 / 6, rel=1e-5)


def test_a_plain_proportion_is_recognised_by_its_values(chunks: Cell) -> None:
    assert is_plain_proportion(right_or_wrong([1, 0]), accuracy)
    assert not is_plain_proportion(right_or_wrong([0.5, 0]), accuracy)
    assert not is_plain_proportion(np.array([[1.0, 2.0], [0, 1]]), accuracy)
    assert not is_plain_proportion(right_or_wrong([1, 0]), lambda totals: 50 * float(totals[0] / totals[1]))
    assert not is_plain_proportion(chunks.left, f1)
    assert replace(chunks, clusters=np.arange(400)).difference == chunks.difference
