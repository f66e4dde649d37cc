from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.statistics.evidence import Evidence, evidence, gather, losses
from harness.statistics.noninferiority import script_bounds
from harness.statistics.paired import Cell
from harness.statistics.planning import acceptance, needed, sizes
from harness.statistics.pooling import pool

Make = Callable[..., Cell]
Z = 1.6448536269514722


def plain(lost: float, gained: float, examples: int) -> Evidence:
    return Evidence(lost=lost, gained=gained, examples=examples, clusters=examples)


def test_losses_of_right_or_wrong_examples_are_left_minus_right(by_hand: Cell) -> None:
    assert losses(by_hand) == pytest.approx([-1, -1, 0, 1, 0, 0], abs=1e-9)


def test_mean_of_the_losses_is_the_loss_of_the_score(chunks: Cell) -> None:
    assert 100 * losses(chunks).mean() == pytest.approx(-chunks.difference)


def test_evidence_of_single_examples_is_plain(cell: Make) -> None:
    left, right = [1] * 8 + [0] * 3 + [1] * 89, [0] * 8 + [1] * 3 + [1] * 89
    one = cell(left, right)
    found = evidence(losses(one), one.clusters)
    assert (found.lost, found.gained) == pytest.approx((8, 3))
    assert found.design_effect == pytest.approx(1)
    assert found.loss == pytest.approx(5)
    assert found.flips == pytest.approx(0.11)


def test_examples_that_are_there_twice_count_half(cell: Make) -> None:
    values = np.repeat(np.array([1.0] * 40 + [-1.0] * 40 + [0.0] * 920), 2)
    found = evidence(values, np.repeat(np.arange(1_000), 2))
    # 160 flips with an observed effect of 2, averaged with four of 1.05.
    assert found.design_effect == pytest.approx((160 * 2 + 4 * 1.05) / 164, rel=0.01)
    once = plain(40, 40, 1_000)
    assert found.upper(Z) == pytest.approx(once.upper(Z), rel=0.02)


def test_no_flip_still_allows_for_clusters() -> None:
    clustered = evidence(np.zeros(240), np.repeat(np.arange(12), 20))
    assert clustered.design_effect == pytest.approx(1 + 0.05 * 19)
    assert clustered.upper(Z) > 1.9 * plain(0, 0, 240).upper(Z) > 1.9


def test_the_bound_is_where_the_test_turns() -> None:
    found = plain(12, 9, 900)
    upper, lower = found.upper(Z), found.lower(Z)
    assert found.below(upper + 1e-6, Z)
    assert not found.below(upper - 1e-6, Z)
    assert found.above(lower - 1e-6, Z)
    assert not found.above(lower + 1e-6, Z)
    assert lower < found.loss < upper


@pytest.mark.parametrize("margin", [0.5, 2.0])
@pytest.mark.parametrize("gains", [0.0, 0.001, 0.01])
def test_false_acceptance_at_the_margin_is_at_most_five_percent_by_enumeration(margin: float, gains: float) -> None:
    rates = [
        acceptance(int(examples), 2 * gains + margin / 100, margin, margin, Z)
        for examples in np.geomspace(100, 12_000, 60)
    ]
    assert max(rates) <= 0.05


def test_enumeration_agrees_with_drawn_counts() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(900, [0.01, 0.01, 0.98], size=4_000)
    share = np.mean([plain(lost, gained, 900).below(2.0, Z) for lost, gained, _ in drawn])
    assert share == pytest.approx(acceptance(900, 0.02, 0.0, 2.0, Z), abs=0.015)


def test_needed_is_the_rule_of_the_gate() -> None:
    assert needed(0.02, 0.5) == pytest.approx(6_850, abs=10)
    assert needed(0.02, 2.0) == pytest.approx(430, abs=2)


@pytest.mark.parametrize(("flips", "margin"), [(0, 0.5), (1.5, 0.5), (0.02, 0)])
def test_needed_refuses_what_has_no_answer(flips: float, margin: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        needed(flips, margin)


def test_sizes_reach_the_power_and_grow_with_scripts_and_flips() -> None:
    small, large, noisy = sizes(0.01, 3), sizes(0.01, 10), sizes(0.02, 10)
    assert 0.9 <= large.power < 0.95
    assert small.overall < large.overall < noisy.overall
    assert large.overall == 10 * large.script


def test_a_loss_needs_as_many_flips() -> None:
    with pytest.raises(UsageError, match="flip rate"):
        acceptance(1_000, 0.005, 2.0, 2.0, Z)


def test_pooling_worked_by_hand() -> None:
    # Mean 2, Q = 24, between = (24 - 2) / (3 - 1) = 11, B = 1 / 12, variance of the mean 12 / 3.
    found = pool(np.array([0.0, 0.0, 6.0]), np.ones(3))
    assert (found.mean, found.between, found.mean_error) == pytest.approx((2, 11, 2))
    assert found.values == pytest.approx([2 / 12, 2 / 12, 5.5 + 2 / 12])
    assert found.errors == pytest.approx(np.full(3, (11 / 12 + 4 / 144) ** 0.5))


def test_pooling_equals_statsmodels_random_effects() -> None:
    meta = pytest.importorskip("statsmodels.stats.meta_analysis")
    values, variances = np.array([0.3, -0.2, 1.9, 0.8]), np.array([0.2, 0.1, 0.3, 0.5])
    found, expected = pool(values, variances), meta.combine_effects(values, variances, method_re="dl")
    assert found.between == pytest.approx(expected.tau2)
    assert found.mean == pytest.approx(expected.mean_effect_re)


def test_groups_that_agree_are_drawn_to_their_mean() -> None:
    found = pool(np.array([0.1, -0.1, 0.0]), np.ones(3))
    assert found.between == 0
    assert found.values == pytest.approx(np.zeros(3))


def test_one_group_stays_as_it_is() -> None:
    found = pool(np.array([1.5]), np.array([0.25]))
    assert (found.values[0], found.errors[0]) == (1.5, 0.5)


def test_a_group_without_variance_is_refused() -> None:
    with pytest.raises(UsageError, match="pseudo-count"):
        pool(np.zeros(2), np.array([1.0, 0.0]))


def good_and_bad() -> dict[str, Evidence]:
    return {**{f"good {number}": plain(5, 5, 1_000) for number in range(9)}, "bad": plain(25, 5, 1_000)}


def test_pooling_does_not_hide_a_single_bad_script() -> None:
    bounds = script_bounds(good_and_bad(), dict.fromkeys(good_and_bad(), Z))
    assert bounds["bad"].bound == bounds["bad"].own > 2
    # The shrunken estimate alone would have.
    assert bounds["bad"].shrunken < 1.3
    alone = script_bounds(good_and_bad(), dict.fromkeys(good_and_bad(), Z), translation=float("inf"))
    assert alone["bad"].bound == alone["bad"].pooled < 2


def test_pooling_makes_a_lucky_script_answer_for_the_others() -> None:
    scripts = {**{f"bad {number}": plain(40, 10, 1_000) for number in range(9)}, "lucky": plain(10, 10, 1_000)}
    bounds = script_bounds(scripts, dict.fromkeys(scripts, Z))
    assert bounds["lucky"].bound == bounds["lucky"].pooled > bounds["lucky"].own


def test_gather_weighs_examples_alike_and_shares_clusters(cell: Make) -> None:
    one = cell([1, 1, 0, 1] * 25, [0, 1, 0, 1] * 25)
    other = replace(one, right=one.left)
    overall, scripts = gather({"Latn": [one], "Cyrl": [other]})
    assert (overall.examples, overall.clusters) == (200, 100)
    assert overall.loss == pytest.approx(12.5)
    assert (scripts["Latn"].loss, scripts["Cyrl"].loss) == pytest.approx((25, 0))


def test_nothing_to_gather_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one language"):
        gather({})


def test_one_cluster_is_refused(cell: Make) -> None:
    one = cell([1, 0], [1, 1], [0, 0])
    with pytest.raises(UsageError, match="--limit"):
        gather({"Latn": [one]})
