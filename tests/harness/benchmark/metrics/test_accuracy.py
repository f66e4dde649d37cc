import numpy as np
import pytest

from harness.benchmark.metrics.accuracy import Accuracy
from harness.core.examples import ChoiceExample, PairExample

PAIRS = [PairExample(str(number), "a", "b", label) for number, label in enumerate(["yes", "no", "no", "no"])]


def test_accuracy_is_the_share_of_equal_labels_in_percent() -> None:
    totals = Accuracy().counts(PAIRS, ["yes", "yes", "no", "yes"], "ru").sum(axis=0)
    assert Accuracy().scores(totals) == {"accuracy": 50.0}


def test_accuracy_counts_by_position() -> None:
    assert Accuracy().counts(PAIRS, ["yes", "yes", "no", "yes"], "ru").tolist() == [[1, 1], [0, 1], [1, 1], [0, 1]]


def test_choice_is_compared_by_its_index() -> None:
    examples = [ChoiceExample("0", "p", "q", ("a", "b"), 1)]
    assert Accuracy().counts(examples, [1], "th").tolist() == [[1, 1]]


@pytest.mark.parametrize("predictions", [["yes"] * 3, ["yes"] * 5], ids=["fewer", "more"])
def test_unequal_lengths_are_refused(predictions: list[str]) -> None:
    with pytest.raises(ValueError, match="argument"):
        Accuracy().counts(PAIRS, predictions, "ru")


def test_counts_are_floats_for_every_later_sum() -> None:
    assert Accuracy().counts(PAIRS, ["yes"] * 4, "ru").dtype == np.float64
