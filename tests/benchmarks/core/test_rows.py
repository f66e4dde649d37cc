import pytest

from benchmarks.core.rows import Row, Side, figure, less_row, limit_row, peak_row, rate_row, share_row
from benchmarks.core.timing import Timing


def row(**changes) -> Row:
    ours, theirs = Side("ours", Timing((2.0, 1.0, 3.0)), 51.5), Side("theirs", Timing((8.0, 6.0, 7.0)), 51.5)
    return rate_row("work", 700, "tokens/s", ours, theirs, **changes)


def test_ratio_is_that_of_the_rates() -> None:
    made = row()
    assert (made.ours, made.baseline_value, made.ratio) == (350.0, 100.0, 3.5)


def test_rows_start_with_the_five_common_keys() -> None:
    assert list(row().to_json())[:5] == ["work", "baseline", "ratio", "score_baseline", "score_ours"]


def test_rows_carry_their_further_keys() -> None:
    found = row(weights="random").to_json()
    assert {"unit", "ours", "baseline_value", "spreads", "repeats", "weights"} <= found.keys()


def test_the_ratio_of_a_limit_is_the_limit_over_ours() -> None:
    found = limit_row("work", "seconds", [0.5, 0.125, 0.25], 0.375)
    assert (found.baseline, found.ours, found.ratio, found.reached) == ("at most 0.375 seconds", 0.25, 1.5, True)
    assert found.to_json()["ratio_is"] == "limit over ours"


def test_a_limit_that_is_passed_is_missed() -> None:
    assert limit_row("work", "seconds", [0.31], 0.3).reached is False


@pytest.mark.parametrize(("part", "reached"), [(8, True), (7, False)])
def test_a_share_must_be_whole(part: int, reached: bool) -> None:
    found = share_row("work", "% of the rows", part, 8)
    assert (found.ours, found.reached) == (100 * part / 8, reached)


@pytest.mark.parametrize(
    ("value", "said"), [(1234.5, "1,234"), (99.94, "99.9"), (9.9996, "10.000"), (1.0034, "1.003"), (0.0, "0.000")]
)
def test_small_figures_keep_their_digits(value: float, said: str) -> None:
    assert figure(value) == said


def test_less_is_better_where_a_row_says_so() -> None:
    found = less_row("work", "GiB", 2.0, "theirs", 3.0, bytes=7)
    assert (found.ratio, found.ours, found.baseline_value, found.details["bytes"]) == (1.5, 2.0, 3.0, 7)
    assert found.to_json()["ratio_is"] == "theirs over ours"


def test_a_share_of_the_peak_is_in_operations() -> None:
    found = peak_row("work", 2e9, 8e9, "a product", target=0.2)
    assert (found.ratio, found.ours, found.baseline_value, found.unit, found.reached) == (0.25, 2, 8, "GFLOP/s", True)
