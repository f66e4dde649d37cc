"""Rows, words and files that no score may rest on: refused with file and line, or read since official files have them.

Each kind is one of the public bug reports that the rule in docs/data.md answers.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark import finetunes, tasks
from harness.core.errors import DataError
from harness.core.gold import GoldErrors
from harness.core.layout import Layout

NO_BREAK, ZERO_WIDTH = "\u00a0", "\u200f\u200b\ufeff"


@pytest.fixture
def refused(write, layout):
    """Read a task's file that must be refused; return what is said behind the file's name."""

    def read(task: str, language: str, content: str, split: str = "test") -> str:
        source = tasks.load(task).source
        (path,) = source.paths(layout, language, split)
        write(str(path.relative_to(layout.xtreme)), content)
        with pytest.raises(DataError) as error:
            source.read(layout, language, split)
        assert str(error.value).startswith(str(path))
        return str(error.value).removeprefix(str(path))

    return read


def tatoeba(write, foreign: str, english: str) -> None:
    write("tatoeba/tatoeba.rus-eng.rus", foreign)
    write("tatoeba/tatoeba.rus-eng.eng", english)


def squad(context: str, *answers: tuple[str, int], name: str = "1", question: str = "q?") -> dict[str, Any]:
    given = [{"text": text, "answer_start": start} for text, start in answers]
    return {"context": context, "qas": [{"id": name, "question": question, "answers": given}]}


def squad_file(*paragraphs: dict[str, Any]) -> str:
    return json.dumps({"data": [{"paragraphs": list(paragraphs)}]})


def lareqa(context: str, answer: str, start: int, question: str = "q?") -> dict[str, Any]:
    return {
        **squad(context, (answer, start), question=question),
        "sentences": [context],
        "sentence_breaks": [[0, len(context)]],
    }


# gold


def test_gold_in_bytes_outside_and_inside_the_context_is_named(refused) -> None:
    game = "Игру Clannad (クラナド) создала студия Key в 2004\u00a0году."
    said = refused("tydiqa", "ru", squad_file(squad(game, ("Key", 60))))
    assert "which counts bytes; count characters: 35" in said
    # Byte 30 is inside the context, and there stands another word.
    spanish = "Él nació en la ciudad de Málaga, según él."
    start = spanish.index("Málaga")
    said = refused("xquad", "es", squad_file(squad(spanish, ("Málaga", len(spanish[:start].encode())))))
    assert f"which counts bytes; count characters: {start}" in said


def test_gold_in_utf_16_units_behind_emoji_is_named(refused) -> None:
    said = refused("tydiqa", "en", squad_file(squad("😀👍🏽 the red fox", ("red", 11))))
    assert "which counts UTF-16 units; count characters: 8" in said


def test_gold_that_is_not_in_the_context_at_all_is_refused(refused) -> None:
    assert "its context does not contain it" in refused("xquad", "en", squad_file(squad("the fox", ("wolf", 4))))


@pytest.mark.parametrize("context", ["", " ", NO_BREAK, "\u200b"])
def test_gold_of_an_empty_context_is_refused(refused, context: str) -> None:
    said = refused("xquad", "en", squad_file(squad(context, ("fox", 0))))
    assert said == f": question '1': its context is {context!r}, which shows nothing; correct the row, or leave it out"


def test_gold_that_is_blank_beside_another_answer_is_refused(refused) -> None:
    said = refused("xquad", "en", squad_file(squad("a fox", ("fox", 2), (" ", 1))))
    assert said.startswith(": question '1' has an empty answer (' ') at answer_start 1")


def test_gold_errors_are_counted_once_where_they_are_allowed(write, layout: Layout) -> None:
    path = write("xquad/xquad.en.json", squad_file(squad("the fox", ("fox", 4)), squad("a fox", ("fox", 0), name="2")))
    source, counting = tasks.load("xquad").source, layout.allowing(True)
    assert [len(source.read(counting, "en", "test")) for _ in range(2)] == [2, 2]
    (error,) = counting.gold_errors.of(path)
    said = "question '2' has answer 'fox' at answer_start 0, where its context has 'a f'; the first such answer is at 2"
    assert error.describe() == f"{path}: {said}"
    assert counting.gold_errors.of(Path("other")) == []
    assert layout.allowing(False).gold_errors is None


def test_gold_errors_that_are_allowed_train_nothing(write, layout: Layout) -> None:
    rows = (
        squad("the fox", ("fox", 4), name="right"),
        squad("the fox", ("fox", 0), name="wrong"),
        squad("the fox", ("fox", 0), ("the", 0), name="both"),
    )
    name = "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json"
    write(name, squad_file(*rows))
    counting = layout.allowing(True)
    read = finetunes.load("tydiqa").train.read(counting, "en", "train")
    assert {row.id: [answer.text for answer in row.answers] for row in read} == {"right": ["fox"], "both": ["the"]}
    assert len(counting.gold_errors) == 2


def test_gold_of_lareqas_sentences_is_checked_in_the_files_of_all_languages(write, layout: Layout) -> None:
    task = tasks.load("lareqa")
    for code in task.languages["xtreme-r"]:
        wrong = code == "th"
        write(f"lareqa/xquad-r/{code}.json", squad_file(lareqa("Key. Ключ.", "Key", 5 if wrong else 0)))
    with pytest.raises(DataError, match=r"th\.json: question '1' has answer 'Key' at answer_start 5"):
        task.source.read(layout, "ar", "test")
    counting = layout.allowing(True)
    for _ in range(2):
        assert len(task.source.read(counting, "ar", "test")) == 1
    assert [error.file.name for error in counting.gold_errors] == ["th.json"]
    # What one reader was allowed, another one is not.
    with pytest.raises(DataError, match=r"th\.json"):
        task.source.read(layout, "ar", "test")


def test_gold_of_a_duplicated_id_with_another_answer_is_refused(refused) -> None:
    same = squad_file(squad("the fox", ("fox", 4)), squad("the fox", ("fox", 4)))
    assert refused("xquad", "en", same) == ": question id '1' occurs twice; ids must be unique"
    other = squad_file(squad("the fox", ("fox", 4)), squad("the fox", ("the", 0)))
    said = refused("xquad", "en", other)
    assert said == ": question id '1' occurs twice, with different answers; ids must be unique"


def test_gold_in_another_normal_form_than_its_context_is_named(refused) -> None:
    said = refused("xquad", "vi", squad_file(squad("ở Hà Nội".replace("ộ", "o\u0323\u0302"), ("Nội", 5))))
    assert "its context contains it in another Unicode normal form only; bring both to NFC" in said


@pytest.mark.parametrize("start", [4.0, True, None, "four", [4]])
def test_gold_whose_start_is_no_whole_number_is_refused(refused, start: Any) -> None:
    said = refused("xquad", "en", squad_file(squad("the fox", ("fox", start))))
    assert said.startswith(f": question '1': {start!r} is no whole number; each answer has text and answer_start")


def test_gold_whose_start_is_written_as_text_is_read(write, layout: Layout) -> None:
    rows = squad_file(squad("the fox", ("fox", "4")))  # type: ignore[arg-type]
    write("xquad/xquad.en.json", rows)
    assert tasks.load("xquad").source.read(layout, "en", "test")[0].answers[0].start == 4


def test_gold_with_half_of_an_emoji_is_refused(refused) -> None:
    said = refused("xquad", "en", squad_file(squad("the \ud83d fox", ("fox", 6))))
    assert "context has half of a surrogate pair at character 4" in said


@pytest.mark.parametrize(("unit", "encoding", "bytes_each"), [("bytes", "utf-8", 1), ("UTF-16 units", "utf-16-le", 2)])
def test_gold_of_lareqas_sentences_in_another_unit_is_named(
    write, layout: Layout, unit: str, encoding: str, bytes_each: int
) -> None:
    task = tasks.load("lareqa")
    sentences = ("😀 Да, это так.", "Нет, совсем не так.")
    context = " ".join(sentences)

    def counted(text: str) -> int:
        return len(text.encode(encoding)) // bytes_each

    ends = [context.index(each) + len(each) for each in sentences]
    breaks = [
        [counted(context[: end - len(each)]), counted(context[:end])] for each, end in zip(sentences, ends, strict=True)
    ]
    row = {**lareqa(context, "Да", 2), "sentences": sentences, "sentence_breaks": breaks}
    for code in task.languages["xtreme-r"]:
        write(f"lareqa/xquad-r/{code}.json", squad_file(row))
    with pytest.raises(DataError, match=rf"sentence 'ar_0_0' has sentence_breaks .*, which count {unit}; .*: 0 to 14"):
        task.source.read(layout, "ar", "test")


def test_gold_of_lareqas_sentences_may_differ_as_much_as_two_official_turkish_ones(write, layout: Layout) -> None:
    task = tasks.load("lareqa")
    sentence = "Ancak, eyaletler arası ana hatlar ve bunun yanı sıra eyaletin batısındaki yollar da var."

    def put(end: int) -> None:
        row = {**lareqa(f". {sentence}", "Ancak", 2), "sentences": [sentence], "sentence_breaks": [[0, end]]}
        for code in task.languages["xtreme-r"]:
            write(f"lareqa/xquad-r/{code}.json", squad_file(row))

    put(len(sentence))
    assert len(task.source.read(layout, "tr", "test")) == 1
    put(40)
    with pytest.raises(
        DataError, match=r"sentence 'ar_0_0' has sentence_breaks 0 to 40, where its context has '\. Anc"
    ):
        task.source.read(layout, "tr", "test")


def mewsli(start: int) -> dict[str, Any]:
    context = {"text": "Он взял Ключ.", "sentence_spans": [[0, 13]]}
    span = {"start": start, "end": start + 4, "text": "Ключ"}
    return {"context": context, "mentions": [{"example_id": "m-1", "entity_id": "Q1", "mention_span": span}]}


def test_gold_of_mewslis_mentions_is_checked_where_their_text_is_given(write, layout: Layout) -> None:
    source = tasks.load("mewslix").source
    write("mewslix/wikinews_mentions/test-uk.jsonl", json.dumps(mewsli(8)))
    assert source.read(layout, "uk", "test")[0].text.startswith("Ключ: ")
    path = write("mewslix/wikinews_mentions/test-uk.jsonl", json.dumps(mewsli(3)))
    said = "mention 'm-1' has text 'Ключ' at start 3, where its context has 'взял'; the first such text is at 8"
    with pytest.raises(DataError, match=re.escape(f"{path}: {said}")):
        source.read(layout, "uk", "test")
    assert len(source.read(layout.allowing(True), "uk", "test")) == 1


def test_gold_of_mewslis_pairs_that_is_allowed_trains_nothing(write, layout: Layout) -> None:
    entity = {"entity_id": "Q1", "description": "Ключ.", "sentence_spans": [[0, 5]]}
    pairs = [
        {"contextual_mention": {"context": row["context"], "mention": row["mentions"][0]}, "entity": entity}
        for row in (mewsli(8), mewsli(3))
    ]
    for split in ("train", "dev"):
        write(f"mewslix/wikipedia_pairs-{split}.jsonl", "".join(json.dumps(pair) + "\n" for pair in pairs))
    source, counting = finetunes.load("mewslix").train, layout.allowing(True)
    with pytest.raises(DataError, match="mention 'm-1' has text"):
        source.read(layout, "en", "train")
    assert [len(source.read(counting, "en", split)) for split in ("train", "dev")] == [1, 2]
    assert len(counting.gold_errors) == 2


def test_gold_of_a_lareqa_id_that_occurs_twice_is_refused(write, layout: Layout) -> None:
    task = tasks.load("lareqa")
    row = lareqa("Key. Ключ.", "Key", 0)
    for code in task.languages["xtreme-r"]:
        write(f"lareqa/xquad-r/{code}.json", squad_file(row, row))
    with pytest.raises(DataError, match=r"ar\.json: question id '1' occurs twice"):
        task.source.read(layout, "ar", "test")


# words


@pytest.mark.parametrize("word", ["", " ", NO_BREAK, "\u3000", "\u2028"])
@pytest.mark.parametrize("task", ["udpos", "panx"])
def test_words_that_are_empty_or_spaces_are_refused_with_their_line(refused, task: str, word: str) -> None:
    tag = {"udpos": "NOUN", "panx": "O"}[task]
    said = refused(task, "ru", f"Москва\t{tag}\n{word}\t{tag}\n\n")
    assert said == f":2: the word is {word!r}, which is blank; leave the line out"


def test_words_of_zero_width_alone_are_read_as_official_files_have_them(write, layout: Layout) -> None:
    words = ["Москва", *ZERO_WIDTH, "\u200d", "город"]
    write("panx/dev-he.tsv", "".join(f"{word}\tO\n" for word in words))
    (example,) = tasks.load("panx").source.read(layout, "he", "dev")
    assert list(example.words) == words


def test_words_between_lines_of_spaces_are_refused(refused) -> None:
    assert refused("udpos", "ru", "a\tNOUN\n \nb\tNOUN\n") == ":2: a line of spaces ends no sentence; empty it"


def test_words_with_the_prefix_of_raw_panx_files_are_refused(refused, write, layout: Layout) -> None:
    said = refused("panx", "de", "de:Bonn\tB-LOC\n\nde:ist\tO\n", "dev")
    assert said == ": all words begin with 'de:', as in the raw files of PAN-X; remove it from every line"
    write("panx/dev-de.tsv", "de:Bonn\tB-LOC\nist\tO\n")
    assert len(tasks.load("panx").source.read(layout, "de", "dev")) == 1


# rows


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_of_tatoeba_end_with_no_blank_line(write, layout: Layout, end: str) -> None:
    tatoeba(write, f"а{end}б{end}{end}", f"a{end}b{end}{end}")
    with pytest.raises(DataError, match=r"tatoeba\.rus-eng\.rus:3: a blank line at the end of the file; remove it"):
        tasks.load("tatoeba").source.read(layout, "ru", "test")


@pytest.mark.parametrize("blank", ["", " ", NO_BREAK, ZERO_WIDTH])
def test_rows_of_tatoeba_are_never_blank(write, layout: Layout, blank: str) -> None:
    tatoeba(write, "а\nб\nв\n", f"a\n{blank}\nc\n")
    with pytest.raises(DataError, match=r"rus-eng\.eng:2: a blank line between sentences; put its sentence there"):
        tasks.load("tatoeba").source.read(layout, "ru", "test")


def test_rows_of_tatoeba_are_as_many_in_both_files(write, layout: Layout) -> None:
    tatoeba(write, "а\nб\nв\n", "a\nb\n")
    with pytest.raises(DataError, match=r"eng has 2 lines and tatoeba\.rus-eng\.rus 3; line n must be the translation"):
        tasks.load("tatoeba").source.read(layout, "ru", "test")


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        ("ru-1\tа\n\n", ":2: a blank line; remove it"),
        ("ru-1\tа\nru-2\t\n", ":2: the sentence of 'ru-2' is '', which shows nothing"),
        (f"ru-1\tа\nru-2\t{NO_BREAK}\n", r":2: the sentence of 'ru-2' is '\\xa0', which shows nothing"),
    ],
    ids=["line", "sentence", "no-break-space"],
)
def test_rows_of_bucc_are_never_blank(write, layout: Layout, foreign: str, said: str) -> None:
    for end, content in (("ru", foreign), ("en", "en-1\ta\n"), ("gold", "ru-1\ten-1\n")):
        write(f"bucc2018/ru-en.dev.{end}", content)
    with pytest.raises(DataError, match=r"ru-en\.dev\.ru" + said):
        tasks.load("bucc2018").source.read(layout, "ru", "dev")


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [
        ("\t\tneutral", 1, ""),
        ("a\t\tneutral", 2, ""),
        (f"{NO_BREAK}\tb\tneutral", 1, NO_BREAK),
        ("a\t\u200b\tneutral", 2, "\u200b"),
    ],
    ids=["both-empty", "one-empty", "no-break-space", "zero-width"],
)
def test_rows_of_xnli_have_two_sentences(refused, row: str, field: int, value: str) -> None:
    said = refused("xnli", "ru", f"a\tb\tneutral\n{row}\nc\td\tneutral\n")
    assert said == f":2: sentence {field} is {value!r}, which shows nothing; correct the row, or leave it out"


def test_rows_of_xnli_end_with_no_blank_line_after_cr_lf(refused) -> None:
    said = refused("xnli", "ru", "a\tb\tneutral\r\n\r\n")
    assert said == ":2: 1 columns where 3 are expected; remove the blank line"


def test_rows_of_xcopa_have_all_their_texts(refused) -> None:
    row = {"premise": "p", "choice1": "x", "choice2": " ", "question": "cause", "label": 0}
    assert refused("xcopa", "th", json.dumps(row)).startswith(":1: choice 2 is ' ', which shows nothing")


def test_rows_of_xcopa_end_with_no_blank_line_after_cr_lf(refused) -> None:
    row = {"premise": "p", "choice1": "x", "choice2": "y", "question": "cause", "label": 0}
    assert refused("xcopa", "th", json.dumps(row) + "\r\n\r\n") == ":2: a blank line; remove it"


@pytest.mark.parametrize("label", [True, 1.0, "1", 2, None])
def test_rows_of_xcopa_have_the_place_of_a_choice_as_label(refused, label: Any) -> None:
    row = {"premise": "p", "choice1": "x", "choice2": "y", "question": "cause", "label": label}
    assert refused("xcopa", "th", json.dumps(row)) == f":1: label {label!r} is not one of 0, 1"


def test_rows_of_pawsx_keep_their_placeholder(write, layout: Layout) -> None:
    write("pawsx/test-de.tsv", "NS\tein Satz\t0\nein Satz\tNS\t1\n")
    assert [row.first for row in tasks.load("pawsx").source.read(layout, "de", "test")] == ["NS", "ein Satz"]
    assert tasks.load("pawsx").source.placeholders == ("NS",)


def test_rows_of_qqp_may_lack_one_question_as_official_ones_do(layout: Layout) -> None:
    source = finetunes.load("qqp").train
    (path,) = source.paths(layout, "en", "train")
    path.parent.mkdir(parents=True)
    path.write_text('{"question1": "a", "question2": "", "label": "duplicate"}\n')
    assert len(source.read(layout, "en", "train")) == 1
    path.write_text('{"question1": "", "question2": " ", "label": "duplicate"}\n')
    with pytest.raises(DataError, match=r":1: sentence 1 is '', which shows nothing"):
        source.read(layout, "en", "train")


def test_rows_of_questions_that_are_blank_are_refused_in_evaluation(refused, write, layout: Layout) -> None:
    said = refused("xquad", "zh", squad_file(squad("the fox", ("fox", 4), question="")))
    assert said.startswith(": question '1': its question is '', which shows nothing")
    # CMRC 2018, which SQuAD's reader takes for training, has one.
    path = layout.section("intermediate") / "squad/zh/train-v1.1.json"
    path.parent.mkdir(parents=True)
    path.write_text(squad_file(squad("the fox", ("fox", 4), question="")))
    assert len(finetunes.load("squad").train.read(layout, "zh", "train")) == 1
    path.write_text(squad_file(squad(" ", ("fox", 4))))
    with pytest.raises(DataError, match="its context is ' '"):
        finetunes.load("squad").train.read(layout, "zh", "train")


# edges


@pytest.mark.parametrize("separator", [" ", "  ", NO_BREAK])
def test_edges_a_tag_file_with_spaces_names_the_layout(refused, separator: str) -> None:
    said = refused("udpos", "ru", f"Он{separator}PRON\n\nспит{separator}VERB\n")
    assert said == ":1: form and tag are separated by spaces where a tab is expected; convert the file"


def test_edges_a_tag_file_of_forms_had_its_labels_stripped(refused) -> None:
    assert " has forms without tags: its labels were stripped" in refused("udpos", "ru", "Он\nспит\nв Москве\n")


def test_edges_a_tag_file_of_three_columns_names_them(refused) -> None:
    said = refused("udpos", "ru", "Он\tон\tPRON\n")
    assert said.endswith("the line has 3 columns where 2 are expected, form TAB tag")


def test_edges_a_pair_file_without_its_first_column_is_not_called_stripped(refused) -> None:
    rows = "".join(f"sentence {number}\t{('neutral', 'entailment')[number % 2]}\n" for number in range(40))
    assert refused("xnli", "ru", rows) == ":1: 2 columns where 3 are expected"
    rows = "".join(f"sentence {number}\tother {number}\n" for number in range(40))
    assert "its labels were stripped" in refused("xnli", "ru", rows)


def test_edges_a_pair_file_with_spaces_is_not_called_stripped(refused) -> None:
    assert refused("xnli", "ru", "a b neutral\n") == ":1: 1 columns where 3 are expected; a tab must separate them"


@pytest.mark.parametrize(
    ("task", "labels", "said"),
    [
        ("xnli", "one\ttwo\tneutral\n" * 3, "separated by tabs, and the last one holds the labels"),
        ("xnli", "neutral\tone\ttwo\n" * 3, "separated by tabs, and the 1. one holds the labels"),
        ("udpos", "Он\tPRON\n\nспит\tVERB\n", "separated by tabs, and the last one holds the labels"),
        ("udpos", "Он PRON\n\nспит VERB\n", "separated by spaces, and the last one holds the labels"),
    ],
)
def test_edges_a_label_file_of_several_columns_names_the_layout(
    tmp_path: Path, task: str, labels: str, said: str
) -> None:
    files = {name: tmp_path / name for name in ("labels", "predictions")}
    for file in files.values():
        file.write_text(labels)
    with pytest.raises(DataError) as error:
        tasks.load(task).submission.read(files["labels"], files["predictions"], None)
    assert said in str(error.value)
    assert "stripped" not in str(error.value)


def test_edges_a_label_file_of_columns_without_labels_was_stripped(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("one\ttwo\tthree\n" * 3)
    with pytest.raises(DataError, match="the labels were stripped"):
        tasks.load("xnli").submission.read(tmp_path / "labels", tmp_path / "labels", None)


def test_edges_one_file_of_lareqa_missing_is_one_sentence_with_it(write, layout: Layout) -> None:
    task = tasks.load("lareqa")
    for code in task.languages["xtreme-r"][:-1]:
        write(f"lareqa/xquad-r/{code}.json", squad_file(lareqa("Key.", "Key", 0)))
    missing = layout.xtreme / "lareqa/xquad-r/zh.json"
    expected = f"lareqa needs the files of all its 11 languages, .*; missing: {re.escape(str(missing))}$"
    for read in (lambda: task.source.read(layout, "ar", "test"), lambda: list(task.pool.source.read(layout, "test"))):
        with pytest.raises(DataError, match=expected):
            read()


def test_edges_a_lareqa_file_of_another_format_is_one_sentence(write, layout: Layout) -> None:
    task = tasks.load("lareqa")
    for content in (
        '{"data": [{"paragraphs": 5}]}',
        "[]",
        squad_file({**lareqa("Key.", "Key", 0), "qas": [{"id": "1"}]}),
    ):
        for code in task.languages["xtreme-r"]:
            write(f"lareqa/xquad-r/{code}.json", content)
        with pytest.raises(DataError, match=r"ar\.json: not XQuAD-R's format"):
            task.source.read(layout, "ar", "test")


def test_edges_a_lareqa_file_without_answers_was_stripped(write, layout: Layout) -> None:
    task = tasks.load("lareqa")
    for code in task.languages["xtreme-r"]:
        write(f"lareqa/xquad-r/{code}.json", squad_file(lareqa("Key.", "", 0)))
    with pytest.raises(DataError, match=r"no answer to any of its 1 questions: its labels were stripped"):
        task.source.read(layout, "ar", "test")


def test_an_allowed_gold_error_leaves_the_layout_equal(layout: Layout) -> None:
    assert layout.allowing(True) == layout
    assert isinstance(layout.allowing(True).gold_errors, GoldErrors)
