import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark.metrics.squad import Squad
from harness.benchmark.submissions.answers import Answers
from harness.core.errors import DataError
from harness.core.examples import Answer, QuestionExample
from harness.core.task import Tally

CONTEXT = "the red house"


def squad(**answers: list[tuple[str, int]]) -> str:
    questions = [
        {"id": name, "question": "q", "answers": [{"text": text, "answer_start": start} for text, start in rows]}
        for name, rows in answers.items()
    ]
    return json.dumps({"version": "1.1", "data": [{"paragraphs": [{"context": CONTEXT, "qas": questions}]}]})


LABELS = squad(a=[("red", 4), ("red house", 4)], b=[("the", 0)])


@pytest.fixture
def read(tmp_path: Path):
    def read(labels: str, predictions: Any, tally: Tally | None = None):
        (tmp_path / "labels.json").write_text(labels, encoding="utf-8")
        (tmp_path / "predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
        return Answers().read(tmp_path / "labels.json", tmp_path / "predictions.json", tally)

    return read


def test_answers_are_aligned_with_the_questions_by_id(read) -> None:
    examples, predictions = read(LABELS, {"b": "x", "a": "y"})
    assert ([example.id for example in examples], predictions) == (["a", "b"], ["y", "x"])


def test_references_are_those_of_the_file(read) -> None:
    assert read(LABELS, {"a": "", "b": ""})[0][0].answers == (Answer("red", 4), Answer("red house", 4))


def test_empty_answer_is_an_answer(read) -> None:
    tally = Tally()
    examples, predictions = read(LABELS, {"a": "", "b": ""}, tally)
    assert tally == Tally()
    assert Squad().counts(examples, predictions, "en").tolist() == [[0, 0, 1], [1, 0, 1]]


def test_question_without_an_answer_is_wrong_where_it_is_counted(read) -> None:
    examples, predictions = read(LABELS, {"a": "red", "c": "?"}, Tally())
    assert Squad().counts(examples, predictions, "en").tolist() == [[1, 1, 1], [0, 0, 1]]


def test_answers_are_written_by_id_without_those_that_are_missing() -> None:
    examples = [QuestionExample(name, "q", CONTEXT, ()) for name in "abc"]
    assert json.loads(Answers().render(examples, ["красный", None, ""])) == {"a": "красный", "c": ""}


def test_lone_surrogates_are_written_so_that_they_can_be_read(tmp_path: Path) -> None:
    text = Answers().render([QuestionExample("a", "q", CONTEXT, ())], ["\ud83d"])
    assert json.loads(text.encode()) == {"a": "\ud83d"}


def test_answer_that_is_no_text_is_named(read) -> None:
    with pytest.raises(DataError, match=r"predictions\.json: the answer to 'b' is None; a text is expected"):
        read(LABELS, {"a": "x", "b": None})


@pytest.mark.parametrize(
    "labels", [squad(a=[("", 0)], b=[("", 0)]), squad(a=[], b=[])], ids=["empty-texts", "no-answers"]
)
def test_empty_references_are_called_stripped(read, labels: str) -> None:
    with pytest.raises(DataError, match=r"labels\.json has no answer to any of its 2 questions: its labels were"):
        read(labels, {"a": "x", "b": "x"})


def test_labels_are_checked_as_the_source_checks_them(read) -> None:
    with pytest.raises(DataError, match=r"labels\.json: question 'a' has answer 'red' at answer_start 99"):
        read(squad(a=[("red", 99)]), {"a": "x"})
