"""Readings in SQuAD's JSON: places of answers, second references, questions without an answer."""

import json
import random
from pathlib import Path

import pytest

from harness.sample.squad import paragraph, sentence_spans
from harness.sample.tasks import NOWHERE, Reading, answers, doubtful, reading
from harness.sample.world import Sentence
from harness.sample.writers import MORE

MLQA = "en de es ar hi zh".split()
TYDIQA = {"en": "english", "ar": "arabic", "id": "indonesian", "ru": "russian"}
EVENT = Sentence("do", "cook", "buy", "apple", "market", "monday")
WHERE = (Sentence("where", "cook", "buy", "apple", "", "monday"), 1, "place")
OTHER = Sentence("do", "guard", "sell", "box", "park", "noon")


def paragraphs(sample: Path, name: str) -> list[dict]:
    return json.loads((sample / name).read_text(encoding="utf-8"))["data"][0]["paragraphs"]


def asked(sample: Path, name: str) -> dict[str, dict]:
    """The questions of a file by their ids, none of which may occur twice."""
    found = [question for one in paragraphs(sample, name) for question in one["qas"]]
    assert len({question["id"] for question in found}) == len(found)
    return {question["id"]: question for question in found}


def test_a_reading_is_a_paragraph_with_the_place_of_each_answer(languages) -> None:
    assert paragraph(languages["en"], Reading((OTHER, EVENT), (WHERE,)), "sample-0007") == {
        "context": "The guard sells the box in the park at noon. The cook buys the apple in the market on Monday.",
        "qas": [
            {
                "id": "sample-0007-0",
                "question": "Where does the cook buy the apple on Monday?",
                "answers": [{"answer_start": 69, "text": "in the market"}],
            }
        ],
    }


def test_a_second_reference_lacks_the_preposition(languages) -> None:
    (found,) = paragraph(languages["en"], Reading((OTHER, EVENT), (WHERE,)), "x", second=True)["qas"]
    assert found["answers"] == [
        {"answer_start": 69, "text": "in the market"},
        {"answer_start": 72, "text": "the market"},
    ]


@pytest.mark.parametrize("code", ["hi", "tr"])
def test_an_answer_without_a_preposition_has_one_reference(languages, code: str) -> None:
    (found,) = paragraph(languages[code], Reading((OTHER, EVENT), (WHERE,)), "x", second=True)["qas"]
    assert len(found["answers"]) == 1


def test_a_question_that_nothing_answers_has_no_reference(languages) -> None:
    item = Reading((OTHER, EVENT), ((WHERE[0], NOWHERE, ""),))
    assert paragraph(languages["en"], item, "x")["qas"][0]["answers"] == []


@pytest.mark.parametrize("code", ["en", "th", "zh"])
def test_spans_of_sentences_leave_out_the_gap(languages, code: str) -> None:
    text = languages[code].paragraph([OTHER, EVENT])
    (start, end), (second, last) = sentence_spans(languages[code], [OTHER, EVENT])
    assert (text[start:end], text[second:last]) == tuple(languages[code].render(s).text for s in (OTHER, EVENT))
    assert second - end == len(languages[code].sentence_gap)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_doubtful_questions_have_one_answer_or_none(split: str) -> None:
    rng = random.Random(0)
    nowhere = 0
    for number in range(60):
        item = doubtful(rng, split, number)
        for question, place, _ in item.questions:
            assert sum(answers(sentence, question) for sentence in item.sentences) == (place != NOWHERE)
            nowhere += place == NOWHERE
    assert nowhere == 90


def test_most_questions_without_an_answer_are_made_of_the_paragraphs_words() -> None:
    rng = random.Random(0)
    near = total = 0
    for number in range(60):
        item = doubtful(rng, "train", number)
        for question, place, _ in item.questions:
            if place == NOWHERE:
                total += 1
                words = {word for sentence in item.sentences for word in sentence}
                near += set(question[1:]) <= words | {""}
    assert near > 0.8 * total


def test_a_doubtful_reading_keeps_the_sentences_of_a_reading() -> None:
    assert doubtful(random.Random(5), "dev", 4).sentences == reading(random.Random(5), "dev", 4).sentences


@pytest.mark.parametrize(("split", "count"), [("dev", 10 + MORE["mlqa"]), ("test", 20)])
def test_mlqa_has_the_same_questions_in_every_language(sample, split: str, count: int) -> None:
    name = f"xtreme/mlqa/MLQA_V1/{split}/{split}-context-{{0}}-question-{{0}}.json"
    ids = {tuple(asked(sample, name.format(code))) for code in MLQA}
    assert len(ids) == 1
    assert len(ids.pop()) == 3 * count


def test_mlqa_and_xquad_have_different_paragraphs(sample) -> None:
    mlqa = {one["context"] for one in paragraphs(sample, "xtreme/mlqa/MLQA_V1/test/test-context-en-question-en.json")}
    xquad = {one["context"] for one in paragraphs(sample, "xtreme/xquad/xquad.en.json")}
    assert len(mlqa) == 20
    assert not mlqa & xquad


@pytest.mark.parametrize("code", TYDIQA)
def test_tydiqa_ids_name_the_language(sample, code: str) -> None:
    found = asked(sample, f"xtreme/tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{code}.dev.json")
    assert list(found) == [f"{TYDIQA[code]}-{number}-{i}" for number in range(1, 21) for i in range(3)]


def test_tydiqa_is_not_parallel(sample) -> None:
    name = "xtreme/tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{}.dev.json"
    lengths = [[len(one["context"].split()) for one in paragraphs(sample, name.format(code))] for code in ("en", "id")]
    assert lengths[0] != lengths[1]


def test_tydiqa_trains_on_other_ids_than_it_tests(sample) -> None:
    name = "xtreme/tydiqa/tydiqa-goldp-v1.1-{0}/tydiqa.goldp.en.{0}.json"
    train, dev = (asked(sample, name.format(split)) for split in ("train", "dev"))
    assert len(train) == 900
    assert not set(train) & set(dev)


@pytest.mark.parametrize("code", ["en", "ru"])
@pytest.mark.parametrize(("split", "count"), [("train", 120), ("dev", 20)])
def test_squad_2_says_which_questions_have_no_answer(sample, code: str, split: str, count: int) -> None:
    found = asked(sample, f"intermediate/squad_v2/{code}/{split}-v2.0.json").values()
    assert len(found) == 3 * count
    assert all(question["is_impossible"] == (not question["answers"]) for question in found)
    assert sum(question["is_impossible"] for question in found) == 3 * count / 2


@pytest.mark.parametrize("code", ["ar", "hi", "zh"])
@pytest.mark.parametrize(("split", "count"), [("train", 250), ("dev", 20)])
def test_translated_squad_is_part_of_the_english_one(sample, code: str, split: str, count: int) -> None:
    name = f"intermediate/squad/{{}}/{split}-v1.1.json"
    english, translated = asked(sample, name.format("en")), asked(sample, name.format(code))
    assert len(translated) == 3 * count
    assert set(translated) < set(english)
