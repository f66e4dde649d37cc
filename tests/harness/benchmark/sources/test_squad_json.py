import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark.sources.squad_json import SquadJson, read_questions
from harness.core.errors import DataError
from harness.core.examples import Answer, QuestionExample
from harness.core.layout import DataFile

SOURCE = SquadJson(file=DataFile("xtreme", "qa/{language}.{split}.json"), splits=("test",))
CONTEXT = "Кит живёт в море."


def row(**changes: Any) -> dict[str, Any]:
    return {"id": "1", "question": "где?", "answers": [{"text": "в море", "answer_start": 10}], **changes}


def squad(*rows: dict[str, Any], context: Any = CONTEXT) -> str:
    data = [{"title": "t", "paragraphs": [{"context": context, "qas": list(rows)}]}]
    return json.dumps({"version": "1.1", "data": data}, ensure_ascii=False)


@pytest.fixture
def refused(write, layout):
    """Read a file that must be refused; return its path and the message."""

    def read(content: str | bytes) -> tuple[Path, str]:
        path = write("qa/ru.test.json", content)
        with pytest.raises(DataError) as error:
            SOURCE.read(layout, "ru", "test")
        return path, str(error.value)

    return read


def test_question_is_an_example(write, layout) -> None:
    write("qa/ru.test.json", squad(row()))
    assert SOURCE.read(layout, "ru", "test") == [QuestionExample("1", "где?", CONTEXT, (Answer("в море", 10),))]


def test_answers_keep_their_order(write, layout) -> None:
    answers = [{"text": "море", "answer_start": 12}, {"text": "в море", "answer_start": 10}]
    write("qa/ru.test.json", squad(row(answers=answers)))
    assert [answer.text for answer in SOURCE.read(layout, "ru", "test")[0].answers] == ["море", "в море"]


def test_context_may_hold_unit_separators(write, layout) -> None:
    answers = [{"text": "a", "answer_start": 0}]
    write("qa/ru.test.json", squad(row(answers=answers), context="a\u2028b\x85c"))
    assert SOURCE.read(layout, "ru", "test")[0].context == "a\u2028b\x85c"


def test_questions_come_in_file_order(write, layout) -> None:
    write("qa/ru.test.json", squad(*(row(id=str(number)) for number in (3, 1, 2))))
    assert [example.id for example in SOURCE.read(layout, "ru", "test")] == ["3", "1", "2"]


def test_id_that_occurs_twice_is_refused(refused) -> None:
    path, message = refused(squad(row(id="7"), row(id="8"), row(id="7")))
    assert message.startswith(f"{path}: question id '7' occurs twice")


@pytest.mark.parametrize(
    "answers", [[], [{"text": "", "answer_start": 0}]], ids=["no-answer", "empty-text-as-in-xtreme"]
)
def test_stripped_answers_are_refused(refused, answers: list[dict[str, Any]]) -> None:
    path, message = refused(squad(row(answers=answers)))
    assert message.startswith(f"{path} has no answer to any of its 1 questions: its labels were stripped")


def test_labels_are_not_called_stripped_where_other_questions_have_answers(refused) -> None:
    path, message = refused(squad(row(id="1"), row(id="2", answers=[])))
    assert message.startswith(f"{path}: question '2' has no answer, while others have")


#: How a refused gold answer's message ends.
OR = "; or count such answers with `--allow-gold-errors`"


@pytest.mark.parametrize("start", [-1, len(CONTEXT), 1000])
def test_answer_outside_its_context_is_refused(refused, start: int) -> None:
    path, message = refused(squad(row(answers=[{"text": "море", "answer_start": start}])))
    given = f"{path}: question '1' has answer 'море' at answer_start {start}, "
    assert message == f"{given}outside its context of 17 characters; the first such answer is at 12{OR}"


GAME = "Игру Clannad (クラナド) создала студия Key в 2004\u00a0году."


def test_starts_that_count_bytes_or_utf_16_units_are_named(refused) -> None:
    # google-research-datasets/tydiqa#9: starts in bytes, outside of the context and inside it.
    _, message = refused(squad(row(answers=[{"text": "Key", "answer_start": 60}]), context=GAME))
    assert message.endswith(" has answer 'Key' at answer_start 60, which counts bytes; count characters: 35" + OR)
    _, message = refused(squad(row(answers=[{"text": "Clannad", "answer_start": 9}]), context=GAME))
    assert message.endswith("answer_start 9, which counts bytes; count characters: 5" + OR)
    _, message = refused(squad(row(answers=[{"text": "море", "answer_start": 4}]), context="😀😀море"))
    assert message.endswith("answer_start 4, which counts UTF-16 units; count characters: 2" + OR)


def test_an_answer_that_its_context_does_not_contain_is_refused(refused) -> None:
    for context in ("нет такого слова здесь", "."):
        _, message = refused(squad(row(), context=context))
        assert "has answer 'в море' at answer_start 10, and its context does not contain it" in message


def test_an_answer_that_stands_elsewhere_is_refused_with_both_places(refused) -> None:
    _, message = refused(squad(row(answers=[{"text": "море", "answer_start": 4}])))
    assert message.endswith("answer_start 4, where its context has 'живё'; the first such answer is at 12" + OR)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"data": 5}',
        '{"data": [{"title": "t"}]}',
        '{"data": [{"paragraphs": [{"qas": []}, 5]}]}',
        squad({"id": "1", "answers": [{"text": "x", "answer_start": 0}]}),
        squad({"id": "1", "question": "q"}),
        squad(row(answers=[{"text": "x"}])),
        squad(row(answers=[{"text": "x", "answer_start": "ten"}])),
        squad(row(answers=[{"text": "x", "answer_start": None}])),
        squad(row(answers="x")),
    ],
    ids=["list", "empty-object", "data-number", "no-paragraphs", "paragraph-number", "no-question", "no-answers",
         "no-start", "start-text", "start-null", "answers-text"],
)  # fmt: skip
def test_file_of_another_format_is_refused_by_name(refused, content: str) -> None:
    path, message = refused(content)
    assert message.startswith(str(path))


@pytest.mark.parametrize(
    "changed",
    [squad(row(question=None)), squad(row(), context=None), squad(row(answers=[{"text": 5, "answer_start": 0}]))],
    ids=["question", "context", "answer"],
)
def test_text_that_is_no_string_is_refused_by_name(refused, changed: str) -> None:
    path, message = refused(changed)
    assert message.startswith(str(path))


def test_file_that_is_no_json_is_refused_with_its_line(refused) -> None:
    path, message = refused('{"data":\n[')
    assert message.startswith(f"{path}:2: not JSON")


def test_byte_order_mark_is_refused(refused) -> None:
    path, message = refused("\ufeff" + squad(row()))
    assert message.startswith(str(path))


def test_file_that_is_not_utf8_is_refused_by_name(refused) -> None:
    path, message = refused(squad(row()).encode("cp1251"))
    assert message.startswith(str(path))


def test_missing_file_is_named(layout) -> None:
    (path,) = SOURCE.paths(layout, "ru", "test")
    with pytest.raises(DataError, match=re.escape(f"{path} is missing")):
        SOURCE.read(layout, "ru", "test")


def test_question_without_an_answer_is_read_where_the_format_has_them(tmp_path: Path) -> None:
    question = {"id": "1", "question": "q", "answers": [], "is_impossible": True}
    path = tmp_path / "v2.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": [question]}]}]}))
    assert read_questions(path, unanswerable=True) == [QuestionExample("1", "q", "c", ())]
    with pytest.raises(DataError, match="has no answer"):
        read_questions(path)
