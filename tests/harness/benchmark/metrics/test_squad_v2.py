import pytest

from harness.benchmark.metrics.squad import SquadV2
from harness.core.examples import Answer, QuestionExample


@pytest.mark.parametrize(
    ("answers", "prediction", "scores"),
    [
        ((), "", [1, 1, 1]),
        ((), "the", [1, 1, 1]),
        ((), "something", [0, 0, 1]),
        ((Answer("a box", 0),), "", [0, 0, 1]),
        ((Answer("a box", 0),), "box", [1, 1, 1]),
    ],
    ids=["nothing", "an-article-is-nothing", "something", "missed", "found"],
)
def test_no_answer_is_right_where_there_is_none(
    answers: tuple[Answer, ...], prediction: str, scores: list[int]
) -> None:
    rows = SquadV2().counts([QuestionExample("1", "q", "c", answers)], [prediction], "en")
    assert rows.tolist() == [scores]
