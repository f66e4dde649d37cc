import json
from pathlib import Path

import pytest

from harness.benchmark.origins.official import Columns, Lines, Objects, Parallel, SquadFiles, Tagged
from harness.core.errors import DataError

COLUMNS = Columns(patterns=("xnli/{split}-{language}.tsv",), columns=("first", "second", "label"))


@pytest.fixture
def put(tmp_path: Path):
    def write(text: str, name: str = "file") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8"))
        return path

    return write


def test_patterns_are_filled(tmp_path: Path) -> None:
    files = Parallel(patterns=("t/{split}.{code}", "t/{name}.{language}"), columns=("a", "b"), names={"dev": "val"})
    assert files.paths(tmp_path, "sw", "dev") == (tmp_path / "t/val.swh", tmp_path / "t/swahili.sw")


def test_split_that_is_not_there_has_no_paths(tmp_path: Path) -> None:
    assert Columns(patterns=("x",), columns=("a",), splits=("dev",)).paths(tmp_path, "en", "test") == ()


def test_csv_quoting_is_undone(put) -> None:
    path = put('"a ""b"" c"\td\tneutral\n')
    assert list(COLUMNS.rows([path], "en")) == [{"first": 'a "b" c', "second": "d", "label": "neutral"}]


def test_marks_stay_where_no_csv_writer_was_at_work(put) -> None:
    # The second row shows that the file is plain, so the first one is no quoted field.
    path = put('"quoted"\td\tneutral\na "b\td\tneutral\n')
    assert [row["first"] for row in COLUMNS.rows([path], "en")] == ['"quoted"', 'a "b']


def test_missing_last_column_is_a_missing_label(put) -> None:
    assert list(COLUMNS.rows([put("a\tb\n")], "en")) == [{"first": "a", "second": "b", "label": None}]


def test_other_number_of_columns_is_refused(put) -> None:
    path = put("a\tb\tneutral\na\n")
    with pytest.raises(DataError, match=r"file:2: 1 columns where 3 are expected"):
        list(COLUMNS.rows([path], "en"))


def test_objects_get_the_hubs_names(put) -> None:
    files = Objects(patterns=("x",), rename={"correct": "label"})
    assert list(files.rows([put('{"correct": "B", "q": 1}\r\n')], "en")) == [{"label": "B", "q": 1}]


@pytest.mark.parametrize(("line", "problem"), [("{", "not JSON"), ("[]", "not a JSON object")])
def test_line_that_is_no_object_is_refused(put, line: str, problem: str) -> None:
    with pytest.raises(DataError, match=f"file:1: .*{problem}"):
        list(Objects(patterns=("x",)).rows([put(f"{line}\n")], "en"))


def test_words_and_tags_are_sentences(put) -> None:
    path = put("in\tO\nBonn\tB-LOC\n\n\nda\tO\n")
    rows = list(Tagged(patterns=("x",), tags="ner_tags").rows([path], "de"))
    assert rows == [{"tokens": ["in", "Bonn"], "ner_tags": ["O", "B-LOC"]}, {"tokens": ["da"], "ner_tags": ["O"]}]


def test_words_without_tags_have_none(put) -> None:
    assert list(Tagged(patterns=("x",), tags="t").rows([put("a\nb\n")], "de")) == [{"tokens": ["a", "b"], "t": []}]


def squad(*names: str) -> str:
    qas = [{"id": name, "question": "q", "answers": [{"text": "a", "answer_start": 0}]} for name in names]
    return json.dumps({"data": [{"title": "t", "paragraphs": [{"context": "a", "qas": qas}]}]})


def test_questions_are_rows(put) -> None:
    (row,) = SquadFiles(patterns=("x",)).rows([put(squad("1"))], "en")
    assert row == {
        "id": "1",
        "title": "t",
        "context": "a",
        "question": "q",
        "answers": [{"text": "a", "answer_start": 0}],
    }


def test_questions_of_other_languages_are_left_out(put) -> None:
    path = put(squad("english-1", "arabic-1-0", "englishish-2"))
    files = SquadFiles(patterns=("x",), id_prefix="{name}")
    assert [row["id"] for row in files.rows([path], "en")] == ["english-1"]


def test_json_of_another_format_is_refused(put) -> None:
    with pytest.raises(DataError, match="not SQuAD's format"):
        list(SquadFiles(patterns=("x",)).rows([put('{"rows": []}')], "en"))


def test_lines_of_two_files_are_aligned(put) -> None:
    files = Parallel(patterns=("a", "b"), columns=("source", "target"))
    paths = [put("ja\nnein\n", "a"), put("yes\nno\n", "b")]
    assert list(files.rows(paths, "de")) == [{"source": "ja", "target": "yes"}, {"source": "nein", "target": "no"}]


def test_files_of_different_length_are_refused(put) -> None:
    files = Parallel(patterns=("a", "b"), columns=("source", "target"))
    with pytest.raises(DataError, match="are not aligned: a 1, b 2"):
        list(files.rows([put("ja\n", "a"), put("yes\nno\n", "b")], "de"))


def test_lines_know_their_file(put) -> None:
    rows = list(Lines(patterns=("a", "b")).rows([put("x\n", "a"), put("y\nz\n", "b")], "de"))
    assert rows == [{"file": 0, "line": "x"}, {"file": 1, "line": "y"}, {"file": 1, "line": "z"}]


def test_lines_of_other_languages_are_left_out(put) -> None:
    path = put('{"context": {"language": "ar"}}\n{"context": {"language": "de"}}\n')
    files = Lines(patterns=("x",), language_at=("context", "language"))
    assert [row["line"] for row in files.rows([path], "de")] == ['{"context": {"language": "de"}}']


def test_line_without_a_language_is_refused(put) -> None:
    files = Lines(patterns=("x",), language_at=("context", "language"))
    with pytest.raises(DataError, match=r"file:1: the object lacks context.language"):
        list(files.rows([put('{"context": {}}\n')], "de"))
