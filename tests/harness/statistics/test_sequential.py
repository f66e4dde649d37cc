import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.statistics.evidence import Evidence
from harness.statistics.monitor import Design, Look, look
from harness.statistics.sequential import boundaries, spent


def test_boundaries_equal_the_published_ones() -> None:
    # Lan and DeMets, O'Brien-Fleming type, five equal looks, one-sided 0.025: gsDesign and rpact print the same.
    assert boundaries((0.2, 0.4, 0.6, 0.8, 1.0), 0.025) == pytest.approx(
        (4.8769, 3.3570, 2.6803, 2.2898, 2.0310), abs=1e-4
    )


def test_one_look_at_the_end_is_the_usual_test() -> None:
    assert boundaries((1.0,), 0.05) == pytest.approx((1.6449,), abs=1e-4)


@pytest.mark.parametrize("fractions", [(0.2, 0.4, 0.6, 0.8, 1.0), (0.3, 0.35, 0.9, 1.0)], ids=["even", "uneven"])
def test_all_looks_together_err_as_often_as_one(fractions: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    steps = np.diff([0.0, *fractions])
    paths = np.cumsum(rng.normal(size=(200_000, len(steps))) * np.sqrt(steps), axis=1) / np.sqrt(fractions)
    crossed = (paths > np.array(boundaries(fractions, 0.05))).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.0015)


def test_everything_is_spent_at_the_end_and_nothing_before_the_start() -> None:
    assert (spent(0, 0.05), spent(1, 0.05)) == (0, 0.05)
    assert spent(0.2, 0.05) < 1e-4


@pytest.mark.parametrize("fractions", [(), (0.5, 0.5), (0.5, 1.2), (0.0, 1.0)])
def test_looks_that_do_not_rise_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="fractions"):
        boundaries(fractions, 0.05)


def plain(lost: float, gained: float, examples: int) -> Evidence:
    return Evidence(lost=lost, gained=gained, examples=examples, clusters=examples)


def at(design: Design, scripts: dict[str, Evidence], previous: Look | None = None) -> Look:
    whole = plain(
        sum(one.lost for one in scripts.values()),
        sum(one.gained for one in scripts.values()),
        sum(one.examples for one in scripts.values()),
    )
    return look(design, whole, scripts, previous)


DESIGN = Design(planned={"Latn": 4_000, "Cyrl": 4_000})


def test_a_graph_without_loss_is_shown() -> None:
    found = at(DESIGN, {"Latn": plain(10, 10, 4_000), "Cyrl": plain(10, 10, 4_000)})
    assert (found.outcome, found.certain, found.text()) == ("shown", True, "shown")
    assert found.overall.bound < 0.5


def test_a_large_loss_is_refused_at_an_early_look() -> None:
    found = at(DESIGN, {"Latn": plain(80, 0, 800), "Cyrl": plain(4, 4, 800)})
    assert (found.outcome, found.certain) == ("refused", True)
    assert found.scripts["Latn"].outcome == "refused"
    assert found.scripts["Latn"].lower > 2


def test_a_loss_above_the_margin_in_one_script_is_never_shown() -> None:
    found = at(DESIGN, {"Latn": plain(100, 10, 4_000), "Cyrl": plain(0, 90, 4_000)})
    assert found.overall.outcome == "shown"
    assert found.outcome != "shown"
    assert found.needed is None
    assert "more examples like these would not show it" in found.text()


def test_no_change_in_240_examples_asks_for_more_and_they_suffice() -> None:
    short = Design(planned={"Latn": 240})
    found = at(short, {"Latn": plain(0, 0, 240)})
    assert found.outcome == "not shown"
    assert found.certain
    assert found.needed is not None
    assert found.text() == f"not shown: {found.needed:,} more examples are needed"
    enough = 240 + found.needed
    assert at(Design(planned={"Latn": enough}), {"Latn": plain(0, 0, enough)}).outcome == "shown"
    fewer = enough - 5
    assert at(Design(planned={"Latn": fewer}), {"Latn": plain(0, 0, fewer)}).outcome == "not shown"


def test_an_early_look_is_stricter_than_a_late_one() -> None:
    early = at(Design(planned={"Latn": 4_000}), {"Latn": plain(2, 2, 1_200)})
    last = at(Design(planned={"Latn": 1_200}), {"Latn": plain(2, 2, 1_200)})
    assert early.overall.outcome == "not shown"
    assert not early.certain
    assert last.overall.outcome == "shown"
    assert 0 < (early.needed or 0) <= 2_800


def test_what_was_shown_stays_shown() -> None:
    first = at(DESIGN, {"Latn": plain(2, 2, 3_000), "Cyrl": plain(60, 30, 3_000)})
    assert first.scripts["Latn"].outcome == "shown"
    second = at(DESIGN, {"Latn": plain(200, 2, 4_000), "Cyrl": plain(60, 60, 4_000)}, first)
    assert second.scripts["Latn"] == first.scripts["Latn"]


def test_looks_are_counted_and_the_same_data_is_no_new_look() -> None:
    data = {"Latn": plain(30, 20, 2_000), "Cyrl": plain(30, 20, 2_000)}
    first = at(DESIGN, data)
    assert first.overall.looks == (0.5,)
    assert at(DESIGN, data, first) == first
    more = {"Latn": plain(40, 30, 3_000), "Cyrl": plain(40, 30, 3_000)}
    assert at(DESIGN, more, first).overall.looks == (0.5, 0.75)


def test_a_rest_too_small_for_a_look_is_left() -> None:
    found = at(DESIGN, {"Latn": plain(60, 20, 3_990), "Cyrl": plain(60, 20, 3_990)})
    assert found.overall.looks == (1.0,)
    assert found.certain


def test_scripts_that_were_not_planned_are_refused() -> None:
    with pytest.raises(UsageError, match="planned of"):
        at(DESIGN, {"Latn": plain(0, 0, 10)})


def test_data_that_shrinks_is_refused() -> None:
    first = at(DESIGN, {"Latn": plain(30, 20, 2_000), "Cyrl": plain(30, 20, 2_000)})
    with pytest.raises(UsageError, match="after 2000"):
        at(DESIGN, {"Latn": plain(3, 2, 200), "Cyrl": plain(30, 20, 2_000)}, first)
