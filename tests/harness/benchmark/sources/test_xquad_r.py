import json
from typing import Any

import pytest

from harness.benchmark import tasks
from harness.benchmark.sources.sentences import sentence_breaks
from harness.benchmark.sources.squad_json import SquadJson
from harness.benchmark.sources.xquad_r import SquadSentences, XquadRQuestions, XquadRSentences
from harness.core.errors import DataError
from harness.core.examples import MatchExample, SentenceExample
from harness.core.layout import DataFile

FILE = DataFile("xtreme", "lareqa/xquad-r/{language}.json")
QUESTIONS = XquadRQuestions(file=FILE, languages=("en", "ru"), task="lareqa")
SENTENCES = XquadRSentences(file=FILE, languages=("en", "ru"), task="lareqa")


def paragraph(context: str, breaks: list[list[int]], **asked: int) -> dict[str, Any]:
    return {
        "context": context,
        "sentence_breaks": breaks,
        "sentences": [context[start:end] for start, end in breaks],
        "qas": [
            {"id": name, "question": f"{name}?", "answers": [{"text": context[start], "answer_start": start}]}
            for name, start in asked.items()
        ],
    }


@pytest.fixture
def files(write) -> None:
    english = [paragraph("A b.\nC d.", [[0, 4], [5, 9]], q1=5), paragraph("E f.", [[0, 4]], q2=0)]
    russian = [paragraph("А б. В г.", [[0, 4], [5, 9]], q1=7), paragraph("Д е.", [[0, 4]], q2=0)]
    for code, paragraphs in (("en", english), ("ru", russian)):
        write(f"lareqa/xquad-r/{code}.json", json.dumps({"data": [{"paragraphs": [row]} for row in paragraphs]}))


def test_gold_of_a_question_is_its_answers_sentence_in_every_language(files, layout) -> None:
    assert QUESTIONS.read(layout, "ru", "test") == [
        SentenceExample("ru_q1", "q1?", "query", frozenset({"en_0_1", "ru_0_1"})),
        SentenceExample("ru_q2", "q2?", "query", frozenset({"en_1_0", "ru_1_0"})),
    ]


def test_candidates_are_the_sentences_of_all_languages_with_their_paragraph(files, layout) -> None:
    assert [(row.id, row.text) for row in SENTENCES.read(layout, "test")] == [
        ("en_0_0", "A b.A b.C d."),
        ("en_0_1", "C d.A b.C d."),
        ("en_1_0", "E f.E f."),
        ("ru_0_0", "А б.А б. В г."),
        ("ru_0_1", "В г.А б. В г."),
        ("ru_1_0", "Д е.Д е."),
    ]


def test_question_whose_answer_lies_between_sentences_is_skipped(write, layout) -> None:
    for code in ("en", "ru"):
        row = paragraph("A b.\nC d.", [[0, 3], [5, 9]], q1=3, q2=5)
        write(f"lareqa/xquad-r/{code}.json", json.dumps({"data": [{"paragraphs": [row]}]}))
    assert [row.id for row in QUESTIONS.read(layout, "en", "test")] == ["en_q2"]


def test_partial_folder_narrows_the_pool_only_where_it_says_so(files, write, layout) -> None:
    write("coverage.json", json.dumps({"lareqa": ["en"]}))
    assert {row.id.partition("_")[0] for row in SENTENCES.read(layout, "test")} == {"en"}


def test_plain_xquad_is_refused(write, layout) -> None:
    row = paragraph("A b.", [[0, 4]], q1=0)
    del row["sentence_breaks"]
    for code in ("en", "ru"):
        write(f"lareqa/xquad-r/{code}.json", json.dumps({"data": [{"paragraphs": [row]}]}))
    with pytest.raises(DataError, match="XQuAD-R is expected, not XQuAD"):
        QUESTIONS.read(layout, "en", "test")


def test_answer_that_stands_elsewhere_is_refused(write, layout) -> None:
    row = paragraph("A b. C d.", [[0, 4], [5, 9]], q1=0)
    row["qas"][0]["answers"] = [{"text": "d", "answer_start": 5}]
    for code in ("en", "ru"):
        write(f"lareqa/xquad-r/{code}.json", json.dumps({"data": [{"paragraphs": [row]}]}))
    with pytest.raises(DataError, match=r"has answer 'd' at answer_start 5, where its context has 'C'"):
        QUESTIONS.read(layout, "en", "test")


def test_every_language_needs_the_files_of_all(layout) -> None:
    assert [path.name for path in QUESTIONS.paths(layout, "ru", "test")] == ["ru.json", "en.json"]


def test_lareqa_declares_what_the_source_needs() -> None:
    task = tasks.load("lareqa")
    assert task.source.languages == task.pool.source.languages == task.languages["xtreme-r"]


def squad(write, layout, context: str, start: int, text: str) -> list[MatchExample]:
    question = {"id": "q", "question": "Who?", "answers": [{"text": text, "answer_start": start}]}
    write("squad.json", json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [question]}]}]}))
    source = SquadSentences(squad=SquadJson(file=DataFile("xtreme", "squad.json"), splits=("train",)))
    return source.read(layout, "en", "train")


def test_squad_gives_the_sentence_of_the_answer(write, layout) -> None:
    assert squad(write, layout, "Ann came. Bob left.", 10, "Bob") == [
        MatchExample("q", "Who?", "Bob left.Ann came. Bob left.")
    ]


def test_answer_across_sentences_is_skipped(write, layout) -> None:
    assert squad(write, layout, "Ann came. Bob left.", 4, "came. Bob") == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Ann came. Bob left.", ["Ann came.", "Bob left."]),
        ("He met J. Smith. Then he left!", ["He met J. Smith.", "Then he left!"]),
        ("It cost 3.5 dollars etc. and so on.", ["It cost 3.5 dollars etc. and so on."]),
        ('"Go." She went.', ['"Go."', "She went."]),
        ("他来了。她走了。", ["他来了。", "她走了。"]),
        ("वह आया। वह गया।", ["वह आया।", "वह गया।"]),
        ("no end", ["no end"]),
        ("", []),
    ],
)
def test_sentences_end_at_full_stops(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_breaks(text)] == sentences
