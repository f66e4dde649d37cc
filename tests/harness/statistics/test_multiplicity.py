import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.statistics.multiplicity import holm


def test_holm_worked_by_hand() -> None:
    family = holm("XNLI by script", {"Latn": 0.04, "Cyrl": 0.01, "Arab": 0.03})
    # 3 * 0.01, then 2 * 0.03, then the larger of 0.04 and 0.06.
    assert family.adjusted == pytest.approx({"Latn": 0.06, "Cyrl": 0.03, "Arab": 0.06})
    assert (family.name, family.size, family.rejected) == ("XNLI by script", 3, ("Cyrl",))


def test_holm_equals_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    values = np.random.default_rng(0).random(40) ** 3
    family = holm("family", {str(number): value for number, value in enumerate(values)})
    expected = multitest.multipletests(values, 0.05, "holm")
    assert list(family.adjusted.values()) == pytest.approx(expected[1].tolist())
    assert family.rejected == tuple(str(number) for number in np.flatnonzero(expected[0]))


def test_corrected_values_stay_within_one() -> None:
    assert holm("family", {"a": 0.9, "b": 1.0}).adjusted == {"a": 1.0, "b": 1.0}


def test_an_empty_family_is_refused() -> None:
    with pytest.raises(UsageError, match="no tests"):
        holm("XNLI by script", {})


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="'Latn'"):
        holm("XNLI by script", {"Cyrl": 0.5, "Latn": value})
