"""Ways to damage a file beside those of `test_faults.py`: encodings, JSON, ids, numbers, languages, parallel files."""

import gzip
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark import tasks
from harness.core.errors import DataError
from harness.core.layout import Layout

PAIRS = "кот\tсидит\tneutral\nпёс\tлежит\tentailment\n"
TAGS = {"udpos": "кот\tNOUN\nсидит\tVERB\n\n", "panx": "Бонн\tB-LOC\nжив\tO\n\n"}
CHOICE = {"premise": "p", "choice1": "x", "choice2": "y", "question": "cause", "label": 0}


def question(start: Any = 4, *, name: Any = "1", context: str = "the fox", text: str = "fox") -> dict[str, Any]:
    answers = [{"text": text, "answer_start": start}]
    return {"context": context, "qas": [{"id": name, "question": "q?", "answers": answers}]}


def squad(*paragraphs: dict[str, Any]) -> str:
    return json.dumps({"data": [{"paragraphs": list(paragraphs)}]}, indent=1)


FILES = {
    "xnli": PAIRS,
    "xcopa": json.dumps(CHOICE) + "\n",
    "udpos": TAGS["udpos"],
    "panx": TAGS["panx"],
    "xquad": squad(question()),
}


@pytest.fixture
def read(write, layout: Layout):
    """Write a task's file and read it."""

    def examples(task: str, content: str | bytes, language: str = "tr", split: str = "test") -> list[Any]:
        source = tasks.load(task).source
        if language not in next(iter(tasks.load(task).languages.values())):
            language = "ru"
        (path,) = source.paths(layout, language, split)
        write(str(path.relative_to(layout.xtreme)), content)
        return source.read(layout, language, split)

    return examples


@pytest.fixture
def refused(read):
    """Read a task's file that must be refused in one line; return what is said behind the folder's name."""

    def said(task: str, content: str | bytes) -> str:
        with pytest.raises(DataError) as error:
            read(task, content)
        assert "\n" not in str(error.value)
        return str(error.value).rsplit("/", 1)[-1]

    return said


@pytest.fixture
def scored(tmp_path: Path):
    """Read label and prediction files of a task."""

    def read_both(task: str, labels: str, predictions: str) -> Any:
        for name, content in (("labels", labels), ("predictions", predictions)):
            (tmp_path / name).write_text(content)
        return tasks.load(task).submission.read(tmp_path / "labels", tmp_path / "predictions", None)

    return read_both


# encodings


@pytest.mark.parametrize("task", FILES)
@pytest.mark.parametrize(
    ("encoding", "problem"),
    [
        ("utf-8-sig", "starts with a byte order mark; remove its first three bytes"),
        ("utf-16", "is UTF-16 or UTF-32, as its byte order mark says; convert it to UTF-8"),
        ("utf-32", "is UTF-16 or UTF-32, as its byte order mark says; convert it to UTF-8"),
        ("utf-16-le", "has many zero bytes, as UTF-16 has; convert it to UTF-8"),
        ("utf-16-be", "has many zero bytes, as UTF-16 has; convert it to UTF-8"),
    ],
)
def test_encoding_other_than_utf_8_is_named(refused, task: str, encoding: str, problem: str) -> None:
    content = FILES[task].replace("кот", "cat").replace("сидит", "sits").replace("пёс лежит", "dog lies")
    assert problem in refused(task, content.encode(encoding))


@pytest.mark.parametrize("task", FILES)
def test_encoding_compressed_files_are_named(refused, task: str) -> None:
    assert "is compressed with gzip; unpack it" in refused(task, gzip.compress(FILES[task].encode()))


@pytest.mark.parametrize("task", FILES)
def test_encoding_cr_lf_reads_as_lf_does(read, task: str) -> None:
    assert read(task, FILES[task].replace("\n", "\r\n")) == read(task, FILES[task])


@pytest.mark.parametrize("task", ["xnli", "udpos", "panx", "xcopa"])
def test_encoding_lone_cr_is_refused(refused, task: str) -> None:
    assert "a carriage return stands inside the line" in refused(task, FILES[task].replace("\n", "\r") * 2)


@pytest.mark.parametrize("task", ["xnli", "udpos", "panx"])
def test_encoding_nul_is_refused_with_its_line(refused, task: str) -> None:
    content = FILES[task] + FILES[task].replace("\t", "\0\t", 1)
    line = FILES[task].count("\n") + 1
    assert f":{line}: a NUL character stands in the line; remove it" in refused(task, content)


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud83d", "\\ude00"])
@pytest.mark.parametrize(("task", "text"), [("xcopa", '"p"'), ("xquad", '"the fox"'), ("xquad", '"q?"')])
def test_encoding_nul_and_half_surrogates_in_json_are_refused(refused, task: str, text: str, escape: str) -> None:
    said = refused(task, FILES[task].replace(text, f'{text[:-1]} {escape}"'))
    assert ("a NUL character" if "0000" in escape else "half of a surrogate pair") in said


def test_encoding_whole_surrogate_pairs_in_json_are_read(read) -> None:
    (example,) = read("xquad", squad(question(8, context="the 😀 a fox")))
    assert example.context == "the 😀 a fox"


# json


@pytest.mark.parametrize(
    ("task", "old", "new", "key"),
    [
        ("xcopa", '"label"', '"label": 1, "label"', "label"),
        ("xquad", '"answer_start"', '"answer_start": 0, "answer_start"', "answer_start"),
        ("xquad", '"context"', '"context": "other", "context"', "context"),
    ],
)
def test_json_key_that_occurs_twice_is_refused(refused, task: str, old: str, new: str, key: str) -> None:
    assert f"an object has the key '{key}' twice; keys must be unique" in refused(task, FILES[task].replace(old, new))


@pytest.mark.parametrize("task", ["xcopa", "xquad"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"label": ' + "1" * 6000 + "}", "a number has 6,000 digits"),
        ('{"label": NaN}', "NaN is no number of JSON"),
    ],
    ids=["deep", "digits", "nan"],
)
def test_json_that_breaks_the_reader_is_one_sentence(refused, task: str, content: str, problem: str) -> None:
    assert problem in refused(task, content)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_json_half_a_file_is_refused(refused, share: float) -> None:
    half = FILES["xquad"][: int(len(FILES["xquad"]) * share)]
    assert re.search(r":\d+: not JSON .*; the file breaks off there, get it again$", refused("xquad", half))


@pytest.mark.parametrize("content", ["", " \n\n"])
def test_json_of_nothing_is_refused(refused, content: str) -> None:
    assert "is empty" in refused("xquad", content)


# ids and numbers


@pytest.mark.parametrize("name", ["", " ", "1 ", "\u00a01", "1\u200b", None, 1.0, True, ["1"]])
def test_id_of_a_question_that_no_prediction_can_name_is_refused(refused, name: Any) -> None:
    assert re.search(
        r": id (is )?.*(blank or has blanks around it|text is expected)", refused("xquad", squad(question(name=name)))
    )


def test_id_that_differs_in_case_or_normal_form_is_another_id(read) -> None:
    names = ["a", "A", "é", "e\u0301", "٣", "3"]
    assert [row.id for row in read("xquad", squad(*(question(name=name) for name in names)))] == names


@pytest.mark.parametrize("name", ["", "ru-2 ", "\u200fru-2"])
def test_id_of_bucc_that_no_gold_can_name_is_refused(write, layout: Layout, name: str) -> None:
    for end, content in (("ru", f"ru-1\tа\n{name}\tб\n"), ("en", "en-1\ta\n"), ("gold", "ru-1\ten-1\n")):
        write(f"bucc2018/ru-en.dev.{end}", content)
    with pytest.raises(DataError, match=r"ru-en\.dev\.ru:2: id .* is blank or has blanks around it"):
        tasks.load("bucc2018").source.read(layout, "ru", "dev")


@pytest.mark.parametrize("gold", ["RU-1\ten-1", "ru-1 \ten-1", "ru-3\ten-1", "en-1\tru-1", "ru-1\ten-1\t0.5", ""])
def test_id_of_bucc_gold_that_is_unknown_is_refused(write, layout: Layout, gold: str) -> None:
    for end, content in (("ru", "ru-1\tа\n"), ("en", "en-1\ta\n"), ("gold", f"ru-1\ten-1\n{gold}\n")):
        write(f"bucc2018/ru-en.dev.{end}", content)
    with pytest.raises(DataError, match=r"ru-en\.dev\.gold:2: .* is no id of"):
        tasks.load("bucc2018").source.read(layout, "ru", "dev")


@pytest.mark.parametrize("start", ["٤", "४", " 4", "4 ", "0_4", "+4", "4.0", "9" * 5000])
def test_number_that_python_alone_reads_is_refused(refused, start: str) -> None:
    assert "is no whole number" in refused("xquad", squad(question(start)))


@pytest.mark.parametrize("answers", [{"text": ["fox"], "answer_start": [4]}, "fox"])
def test_answers_in_the_layout_of_the_hub_are_named(refused, answers: Any) -> None:
    row = question()
    row["qas"][0]["answers"] = answers
    assert "question '1' has answers" in refused("xquad", squad(row))


# texts


@pytest.mark.parametrize(
    "text", ["\u0301\u0301", "\u3164", "\u115f\u1160", "\u2800", "\ufe0f", "\u200f\u202e", "\u034f"]
)
def test_text_that_shows_nothing_is_refused(refused, text: str) -> None:
    assert "shows nothing" in refused("xnli", PAIRS.replace("кот", text))
    assert "shows nothing" in refused("xcopa", json.dumps({**CHOICE, "choice1": text}))
    assert "shows nothing" in refused("xquad", squad(question(0, context=text, text=text)))


def test_text_of_an_answer_that_shows_nothing_is_refused(refused) -> None:
    assert "has an empty answer ('\\u200b') at answer_start 3" in refused(
        "xquad", squad(question(3, context="the\u200bfox", text="\u200b"))
    )


def test_text_in_two_normal_forms_is_read_as_it_is(read) -> None:
    words = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    (example,) = read("udpos", "".join(f"{word}\tX\n" for word in words))
    assert list(example.words) == words


def test_text_of_a_million_characters_is_read(read) -> None:
    long = "а" * 1_000_000
    assert read("xnli", PAIRS.replace("кот", long))[0].first == long
    assert read("udpos", TAGS["udpos"].replace("кот", long))[0].words[0] == long


# labels and languages


@pytest.mark.parametrize("label", ["Neutral", " neutral", "neutral ", "neutral\u200b", "1", "NEUTRAL"])
def test_label_written_in_another_way_is_refused_in_data_and_predictions(refused, scored, label: str) -> None:
    assert f":1: label {label!r} is not one of" in refused("xnli", PAIRS.replace("neutral", label))
    if label.strip() != "neutral":
        with pytest.raises(DataError, match=r"predictions:1: label .* is not one of"):
            scored("xnli", "neutral\nentailment\n", f"{label}\nentailment\n")


def test_label_of_the_header_line_is_named(refused) -> None:
    said = refused("xnli", "sentence1\tsentence2\tgold_label\n" + PAIRS)
    assert said.endswith("; remove the header line")


@pytest.mark.parametrize(
    ("task", "content"),
    [("xnli", "кот\tсидит\tneutral\n" * 200), ("xcopa", (json.dumps({**CHOICE, "label": 1}) + "\n") * 20)],
)
def test_label_that_is_the_same_in_all_rows_is_refused(refused, task: str, content: str) -> None:
    assert f"in all of its {len(content.splitlines())} rows" in refused(task, content)


def test_language_before_every_word_is_refused_whichever_it_is(refused) -> None:
    assert "all words begin with 'en:'" in refused("panx", "en:Bonn\tB-LOC\nen:is\tO\n")


def test_sentences_that_no_blank_line_ends_are_refused(refused, read) -> None:
    assert "no blank line between them" in refused("udpos", "кот\tNOUN\n" * 1001)
    assert len(read("udpos", "кот\tNOUN\n" * 1000)) == 1


def test_tags_of_the_lenient_scheme_are_read_as_official_files_have_them(read) -> None:
    (example,) = read("panx", "В\tO\nБонне\tI-LOC\n")
    assert example.tags == ("O", "I-LOC")


# parallel files


def test_parallel_file_of_the_same_language_is_refused(write, layout: Layout) -> None:
    for end in ("rus", "eng"):
        write(f"tatoeba/tatoeba.rus-eng.{end}", "a\nb\n")
    with pytest.raises(DataError, match=r"eng and tatoeba\.rus-eng\.rus have the same lines; the second must be ru"):
        tasks.load("tatoeba").source.read(layout, "ru", "test")


def test_parallel_file_of_two_columns_is_refused(write, layout: Layout) -> None:
    write("tatoeba/tatoeba.rus-eng.rus", "а\ta\nб\tb\n")
    write("tatoeba/tatoeba.rus-eng.eng", "a\nb\n")
    with pytest.raises(DataError, match=r"rus:1: a tab stands in the line; one sentence a line is expected"):
        tasks.load("tatoeba").source.read(layout, "ru", "test")


@pytest.mark.parametrize(
    ("foreign", "said"), [("en-1\ta\n", "the same id 'en-1'"), ("ru-1\ta\n", "the same sentences")]
)
def test_parallel_corpora_of_one_language_are_refused(write, layout: Layout, foreign: str, said: str) -> None:
    for end, content in (("ru", foreign), ("en", "en-1\ta\n"), ("gold", f"{foreign[:4]}\ten-1\n")):
        write(f"bucc2018/ru-en.dev.{end}", content)
    with pytest.raises(DataError, match=said):
        tasks.load("bucc2018").source.read(layout, "ru", "dev")


# predictions


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        ("b\ta\n", "has the English ids first"),
        ("A\tb\n", "has the id 'A' where .* has 'a'"),
        ("a \tb\n", "has the id 'a ' where .* has 'a'"),
        ("a\tＢ\n", "has the id 'Ｂ' where .* has 'b'"),
    ],
)
def test_predictions_of_bucc_that_can_match_no_pair_are_refused(scored, predictions: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        scored("bucc2018", "a\tb\n", predictions)


def test_predictions_of_bucc_may_name_sentences_without_a_pair(scored) -> None:
    _, found = scored("bucc2018", "a\tb\n", "a\tb\nz\ty\n")
    assert found == [("b",), ("y",)]


@pytest.mark.parametrize("rows", ["1\n2\n", "0\n2\n"])
def test_predictions_of_tatoeba_beyond_the_file_are_refused(scored, rows: str) -> None:
    with pytest.raises(DataError, match=r"predictions:2: row 2 is beyond the 2 rows of the foreign file, .* from 0"):
        scored("tatoeba", "1\n0\n", rows)


def test_predictions_whose_ids_look_alike_are_named(scored) -> None:
    with pytest.raises(DataError, match="' 1' and '1' differ in case, blanks or normal form only"):
        scored("xquad", squad(question()), '{" 1": "fox"}')


@pytest.mark.parametrize("answer", ['"\\ud83d"', '"\\u0000"', "[" * 200_000, "1" * 6000, "NaN"])
def test_predictions_that_are_no_texts_are_one_sentence(scored, answer: str) -> None:
    with pytest.raises(DataError):
        scored("xquad", squad(question()), f'{{"1": {answer}}}')


# mentions and sentences


def mention(**changes: Any) -> str:
    row: dict[str, Any] = {
        "context": {"text": "Он взял Ключ.", "sentence_spans": changes.pop("spans", [[0, 13]])},
        "mentions": [
            {
                "example_id": "m-1",
                "entity_id": changes.pop("entity", "Q1"),
                "mention_span": {"start": 8, "end": 12, "text": "Ключ", **changes},
            }
        ],
    }
    return json.dumps(row)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"end": 10}, "start 8 and end 10; the end must be 12"),
        ({"start": 8.7}, "8.7 is no whole number"),
        ({"spans": [[-1, 13]]}, "sentence_spans has -1 to 13, and the text has 13 characters"),
        ({"spans": [[0, 130]]}, "sentence_spans has 0 to 130"),
        ({"entity": "Q1 "}, "entity_id 'Q1 ' is blank or has blanks around it"),
        ({"entity": ["Q1"]}, "entity_id is ['Q1'], text is expected"),
        ({"text": 5}, "text is 5, text is expected"),
    ],
)
def test_mention_that_contradicts_itself_is_refused(write, layout: Layout, changes: dict[str, Any], said: str) -> None:
    write("mewslix/wikinews_mentions/test-uk.jsonl", mention(**changes))
    with pytest.raises(DataError, match=re.escape(said)):
        tasks.load("mewslix").source.read(layout, "uk", "test")


def test_mention_whose_entity_is_a_number_is_found(write, layout: Layout) -> None:
    write("mewslix/wikinews_mentions/test-uk.jsonl", mention(entity=1))
    assert tasks.load("mewslix").source.read(layout, "uk", "test")[0].gold == frozenset({"1"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sentences": ["Key.", " "], "sentence_breaks": [[0, 4], [4, 5]]}, "sentence 'ar_0_1' shows nothing"),
        ({"sentences": ["ey.", "Ключ."], "sentence_breaks": [[1, 4], [5, 10]]}, "lie in no sentence"),
        ({"sentence_breaks": [[0.5, 4], [5, 10]]}, "0.5 is no whole number"),
    ],
)
def test_sentences_that_can_be_no_candidates_are_refused(
    write, layout: Layout, changes: dict[str, Any], said: str
) -> None:
    task = tasks.load("lareqa")
    row = {
        **question(0, context="Key. Ключ.", text="Key"),
        "sentences": ["Key.", "Ключ."],
        "sentence_breaks": [[0, 4], [5, 10]],
        **changes,
    }
    for code in task.languages["xtreme-r"]:
        write(f"lareqa/xquad-r/{code}.json", squad(row))
    with pytest.raises(DataError, match=re.escape(said)):
        task.source.read(layout, "ar", "test")


# languages


@pytest.mark.parametrize("task", ["xnli", "udpos", "panx", "xcopa", "xquad"])
def test_language_of_another_script_in_its_place_is_refused(write, layout: Layout, task: str) -> None:
    words = ["кот сидит", "猫坐在这里 有"]
    language, script = {"xcopa": ("ta", "Taml")}.get(task, ("ru", "Cyrl"))
    if task == "xcopa":
        words[0] = "பூனை உட்கார்ந்து"

    def content(words: str) -> str:
        if task == "xnli":
            labels = ("neutral", "entailment")
            return "".join(f"{words} {number}\t{words}\t{labels[number % 2]}\n" for number in range(20))
        if task == "xcopa":
            return "".join(json.dumps({**CHOICE, "premise": words, "label": number % 2}) + "\n" for number in range(20))
        if task == "xquad":
            return squad(*(question(0, name=number, context=words, text=words[:3]) for number in range(20)))
        tag = {"udpos": "NOUN", "panx": "O"}[task]
        return ("".join(f"{word}\t{tag}\n" for word in words.split()) + "\n") * 20

    source = tasks.load(task).source
    (path,) = source.paths(layout, language, "test")
    for place, text in enumerate(words):
        write(str(path.relative_to(layout.xtreme)), content(text))
        if place == 0:
            assert len(source.read(layout, language, "test")) == 20
        else:
            with pytest.raises(DataError, match=rf"20 of 20 items have no letter of .*'s script, {script}"):
                source.read(layout, language, "test")


@pytest.mark.parametrize("wrong", ["rus", "eng"])
def test_language_of_another_script_in_a_parallel_file_is_refused(write, layout: Layout, wrong: str) -> None:
    for end in ("rus", "eng"):
        text = "的" if end == wrong else {"rus": "а", "eng": "a"}[end]
        write(f"tatoeba/tatoeba.rus-eng.{end}", "".join(f"{text}{number}\n" for number in range(20)))
    with pytest.raises(DataError, match=rf"rus-eng\.{wrong}: 20 of 20 items have no letter of"):
        tasks.load("tatoeba").source.read(layout, "ru", "test")


@pytest.mark.parametrize("count", [199, 200])
def test_language_in_latin_letters_is_refused_from_many_items_on(read, count: int) -> None:
    content = "".join(f"cat {number}\tsits\t{('neutral', 'entailment')[number % 2]}\n" for number in range(count))
    if count < 200:
        assert len(read("xnli", content, "ru")) == count
    else:
        with pytest.raises(DataError, match="200 of 200 items have no letter of Russian's script, Cyrl"):
            read("xnli", content, "ru")
