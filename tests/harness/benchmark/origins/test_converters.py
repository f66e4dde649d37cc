import json
from pathlib import Path

import pytest

from harness.benchmark.origins.converters import (
    JsonLines,
    PairFile,
    ParallelFiles,
    SquadFile,
    TaggedWords,
    Verbatim,
    renamed,
)
from harness.benchmark.sources.rows import Tsv
from harness.benchmark.sources.squad_json import SquadJson
from harness.core.errors import DataError
from harness.core.examples import PairExample
from harness.core.layout import DataFile, Layout

NLI = PairFile(first="premise", second="hypothesis", labels={"entailment": "entailment", "neutral": "neutral"})
CHOICE = JsonLines(texts=("premise", "choice1"), labels={"choice1": 0, "choice2": 1})
TAGS = TaggedWords(tags="ner_tags", known=("B-LOC", "I-LOC", "O"))
PARALLEL = ParallelFiles(columns=("source", "target"))


def nli(label: object, premise: str = "p", hypothesis: str = "h") -> dict[str, object]:
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


def write(converter, rows, tmp_path: Path) -> str:
    path = tmp_path / "file"
    converter.write(rows, [path])
    return path.read_bytes().decode("utf-8")


def test_pairs_are_lines_of_three_columns(tmp_path: Path) -> None:
    assert write(NLI, [nli("entailment"), nli("neutral")], tmp_path) == "p\th\tentailment\np\th\tneutral\n"


def test_rows_are_counted(tmp_path: Path) -> None:
    assert NLI.write([nli("neutral")] * 3, [tmp_path / "file"]).rows == 3


def test_what_would_end_a_field_becomes_a_space(tmp_path: Path) -> None:
    assert write(NLI, [nli("neutral", " a\tb\r\nc ")], tmp_path) == "a b c\th\tneutral\n"


def test_separators_that_end_no_line_stay(tmp_path: Path) -> None:
    assert write(NLI, [nli("neutral", "a\x1db")], tmp_path) == "a\x1db\th\tneutral\n"


def test_label_of_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2 has label 'maybe', which is not one of 'entailment', 'neutral'"):
        write(NLI, [nli("neutral"), nli("maybe")], tmp_path)


def test_label_that_is_only_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1 has label 0, .* labels are mapped by name"):
        write(NLI, [nli(0)], tmp_path)


@pytest.mark.parametrize("missing", [None, -1, "", " \n"], ids=["none", "minus one", "empty", "blank"])
def test_labels_that_all_miss_were_stripped(tmp_path: Path, missing: object) -> None:
    with pytest.raises(DataError, match=r"no label in any of its 2 rows: its labels were stripped.*--split dev"):
        write(NLI, [nli(missing)] * 2, tmp_path)


def test_label_that_misses_in_one_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 rows have no label, the first is row 2"):
        write(NLI, [nli("neutral"), nli(None), nli("neutral")], tmp_path)


def test_one_label_in_many_rows_is_what_stripping_leaves(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label 'neutral' in all of its 20 rows"):
        write(NLI, [nli("neutral")] * 20, tmp_path)


def test_one_label_in_few_rows_may_be_chance(tmp_path: Path) -> None:
    assert write(NLI, [nli("neutral")] * 19, tmp_path).count("\n") == 19


def test_missing_column_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1 has no column 'premise', it has sentence1, label"):
        write(NLI, [{"sentence1": "a", "label": "neutral"}], tmp_path)


def test_text_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1 has None as hypothesis, text is expected"):
        write(NLI, [{"premise": "a", "hypothesis": None, "label": "neutral"}], tmp_path)


@pytest.mark.parametrize("text", ['"all of it"', 'a "part" of it', '"', '""', '"x" and "y"', '"a ""b"" c"'])
def test_quotation_marks_survive_a_reader_that_undoes_quoting(tmp_path: Path, text: str) -> None:
    converter = PairFile(first="premise", second="hypothesis", labels={"neutral": "neutral"}, quoted=True)
    converter.write([nli("neutral", text)], [tmp_path / "test-en.tsv"])

    def parse(number: int, columns: list[str]) -> PairExample:
        return PairExample(str(number), *columns)

    source = Tsv(file=DataFile("xtreme", "{split}-{language}.tsv"), columns=3, parse=parse, quoted=True)
    assert source.read(Layout(tmp_path, None), "en", "test")[0].first == text


def choice(label: object, **more: object) -> dict[str, object]:
    return {"premise": "p", "choice1": "c", "label": label} | more


def test_objects_have_their_columns_and_the_label(tmp_path: Path) -> None:
    line = write(CHOICE, [choice("choice2", idx=7, other="x")], tmp_path)
    assert json.loads(line) == {"premise": "p", "choice1": "c", "label": 1, "idx": 7}


def test_label_may_have_another_key(tmp_path: Path) -> None:
    converter = JsonLines(texts=("premise",), labels={"1": "A", "2": "B"}, key="correct", extra=())
    # The hub's labels of Social IQa end with their line break.
    assert json.loads(write(converter, [{"premise": "p", "label": "2\n"}], tmp_path)) == {
        "premise": "p",
        "correct": "B",
    }


def test_label_zero_is_no_missing_label(tmp_path: Path) -> None:
    converter = JsonLines(texts=("premise",), labels={0: 0, 1: 1})
    assert json.loads(write(converter, [{"premise": "p", "label": 0}], tmp_path))["label"] == 0


def tagged(words: list[str], tags: list[object]) -> dict[str, object]:
    return {"tokens": words, "ner_tags": tags}


def test_sentences_are_parted_by_a_blank_line(tmp_path: Path) -> None:
    text = write(TAGS, [tagged(["in", "Bonn"], ["O", "B-LOC"]), tagged(["da"], ["O"])], tmp_path)
    assert text == "in\tO\nBonn\tB-LOC\n\nda\tO\n"


def test_empty_word_still_counts(tmp_path: Path) -> None:
    assert write(TAGS, [tagged([" ", "a"], ["O", "B-LOC"])], tmp_path) == "\tO\na\tB-LOC\n"


def test_tag_that_is_only_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="sentence 1 has the tag 5, which is not one of B-LOC, I-LOC, O; tags are mapped"
    ):
        write(TAGS, [tagged(["Bonn"], [5])], tmp_path)


def test_sentence_with_fewer_tags_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sentence 2 has 2 words and 1 tags"):
        write(TAGS, [tagged(["a"], ["O"]), tagged(["a", "b"], ["O"])], tmp_path)


def test_sentences_without_tags_were_stripped(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="forms without tags: its labels were stripped"):
        write(TAGS, [tagged(["a"], [])], tmp_path)


def test_one_tag_on_every_word_is_what_stripping_leaves(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the tag O on every word: its labels were stripped"):
        write(TAGS, [tagged(["a", "b"], ["O", "O"])] * 20, tmp_path)


def asked(name: str, context: str, *answers: tuple[str, int], title: str | None = None) -> dict[str, object]:
    texts, starts = [text for text, _ in answers], [start for _, start in answers]
    row = {"id": name, "context": context, "question": "q?", "answers": {"text": texts, "answer_start": starts}}
    return row if title is None else row | {"title": title}


def read_squad(folder: Path):
    source = SquadJson(file=DataFile("xtreme", "file"), splits=("test",))
    return source.read(Layout(folder, None), "en", "test")


def test_questions_are_read_back(tmp_path: Path) -> None:
    write(
        SquadFile(), [asked("1", "red and blue", ("red", 0), ("blue", 8)), asked("2", "green", ("green", 0))], tmp_path
    )
    reported = [(e.id, e.context, [(answer.text, answer.start) for answer in e.answers]) for e in read_squad(tmp_path)]
    assert reported == [("1", "red and blue", [("red", 0), ("blue", 8)]), ("2", "green", [("green", 0)])]


def test_answers_may_be_objects(tmp_path: Path) -> None:
    row = asked("1", "red") | {"answers": [{"text": "red", "answer_start": 0}]}
    write(SquadFile(), [row], tmp_path)
    assert read_squad(tmp_path)[0].answers[0].text == "red"


def test_questions_of_one_context_share_a_paragraph_and_of_one_title_an_article(tmp_path: Path) -> None:
    rows = [
        asked("1", "a", ("a", 0), title="x"),
        asked("2", "a", ("a", 0), title="x"),
        asked("3", "b", ("b", 0), title="x"),
        asked("4", "c", ("c", 0), title="y"),
    ]
    document = json.loads(write(SquadFile(), rows, tmp_path))
    assert [[len(p["qas"]) for p in article["paragraphs"]] for article in document["data"]] == [[2, 1], [1]]


def test_questions_without_titles_are_one_article(tmp_path: Path) -> None:
    document = json.loads(write(SquadFile(), [asked("1", "a", ("a", 0)), asked("2", "b", ("b", 0))], tmp_path))
    assert [list(article) for article in document["data"]] == [["paragraphs"]]


def test_answers_of_a_stripped_context_are_moved_back(tmp_path: Path) -> None:
    # The context was "  ab ab": the answers pointed at 2 and 5, and the second one must not become the first.
    written = SquadFile().write([asked("1", "ab ab", ("ab", 2)), asked("2", "ab ab", ("ab", 5))], [tmp_path / "file"])
    assert [example.answers[0].start for example in read_squad(tmp_path)] == [0, 3]
    assert list(written.remarks.values()) == [2]


def test_answer_that_was_stripped_itself_is_found_behind_the_white_space(tmp_path: Path) -> None:
    SquadFile().write([asked("1", "in Bonn", ("Bonn", 2))], [tmp_path / "file"])
    assert read_squad(tmp_path)[0].answers[0].start == 3


def test_answer_that_is_not_there_is_counted_and_refused_where_it_is_read(tmp_path: Path) -> None:
    written = SquadFile().write([asked("1", "in Bonn", ("Rome", 3))], [tmp_path / "file"])
    with pytest.raises(DataError, match="'1' has answer 'Rome' at answer_start 3, and its context does not contain it"):
        read_squad(tmp_path)
    assert written.remarks == {"answers that are not at their answer_start": 1}


def test_answers_in_place_leave_no_remark(tmp_path: Path) -> None:
    assert SquadFile().write([asked("1", "in Bonn", ("Bonn", 3))], [tmp_path / "file"]).remarks == {}


@pytest.mark.parametrize("answers", [(), (("", 0),)], ids=["none", "empty"])
def test_questions_without_answers_were_stripped(tmp_path: Path, answers) -> None:
    with pytest.raises(DataError, match="no answer to any of its 1 questions: its labels were stripped"):
        write(SquadFile(), [asked("1", "a", *answers)], tmp_path)


def test_parallel_sentences_go_to_a_file_each(tmp_path: Path) -> None:
    # google/xtreme's sentences end with their line break.
    paths = [tmp_path / "foreign", tmp_path / "english"]
    PARALLEL.write([{"source": "ja\n", "target": "yes\n"}, {"source": "a\u2028b ", "target": "c\nd"}], paths)
    assert [path.read_text(encoding="utf-8") for path in paths] == ["ja\na\u2028b \n", "yes\nc d\n"]


def test_lines_go_to_their_files_as_they_are(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    Verbatim().write([{"file": 1, "line": ' {"x": 1}'}, {"file": 0, "line": ""}, {"file": 1, "line": "y\t"}], paths)
    assert [path.read_text(encoding="utf-8") for path in paths] == ["\n", ' {"x": 1}\ny\t\n']


def test_columns_are_renamed() -> None:
    assert list(renamed([{"sentence1": 1, "id": 2}], {"sentence1": "source"})) == [{"source": 1, "id": 2}]
