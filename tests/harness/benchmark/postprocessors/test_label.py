import numpy as np
import pytest

from harness.benchmark.postprocessors.label import BestChoice, BestLabel
from harness.core.features import Feature

ROW = np.array([0, 2], dtype=np.int64)


def logits(*values: float) -> dict[str, np.ndarray]:
    return {"logits": np.asarray(values, dtype=np.float32)}


@pytest.mark.parametrize(
    ("values", "label"),
    [((0.1, 0.9, 0.2), "b"), ((0.5, 0.5, 0.2), "a"), ((0.1, 0.7, 0.7), "b"), ((-1, -1, -1), "a")],
    ids=["highest", "tie-of-first", "tie-of-last", "all-equal"],
)
def test_best_label_is_the_highest_and_of_equals_the_first(values: tuple[float, ...], label: str) -> None:
    assert BestLabel(("a", "b", "c"))([None], [Feature(0, ROW)], [logits(*values)]) == [label]


@pytest.mark.parametrize(
    ("scores", "choice"),
    [((0.1, 0.9), 1), ((0.5, 0.5), 0), ((-2.0, -2.0, -1.0), 2), ((0.3, 0.7, 0.7), 1)],
    ids=["highest", "tie", "three", "tie-of-last"],
)
def test_best_choice_is_the_highest_and_of_equals_the_first(scores: tuple[float, ...], choice: int) -> None:
    outputs = [logits(score) for score in scores]
    assert BestChoice()([None], [Feature(0, ROW) for _ in scores], outputs) == [choice]


def test_choices_are_compared_within_their_example_only() -> None:
    features = [Feature(example, ROW) for example in (0, 0, 1, 1)]
    outputs = [logits(score) for score in (1.0, 2.0, 9.0, 8.0)]
    assert BestChoice()([None, None], features, outputs) == [1, 0]


def test_choices_without_an_output_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        BestChoice()([None], [Feature(0, ROW), Feature(0, ROW)], [logits(1.0)])
