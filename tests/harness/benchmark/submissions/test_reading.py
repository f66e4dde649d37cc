"""Faults that every line format and every JSON format refuses alike, and what each reads all the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.benchmark.sources.lines import read_lines
from harness.benchmark.submissions import reading
from harness.benchmark.submissions.answers import Answers
from harness.benchmark.submissions.choices import ChoiceLines
from harness.benchmark.submissions.labels import LabelLines
from harness.benchmark.submissions.pairs import PairLines
from harness.benchmark.submissions.ranked import RankedIds
from harness.benchmark.submissions.rows import RowNumbers
from harness.benchmark.submissions.tags import TagLines
from harness.core.errors import DataError
from harness.core.task import Submission, Tally

SQUAD = json.dumps(
    {"data": [{"paragraphs": [{"context": "ab", "qas": [
        {"id": "1", "question": "q", "answers": [{"text": "a", "answer_start": 0}]},
        {"id": "2", "question": "q", "answers": [{"text": "b", "answer_start": 1}]},
    ]}]}]}
)  # fmt: skip
#: A label file and a prediction file of two examples.
LINES: dict[str, tuple[Submission, str]] = {
    "labels": (LabelLines(("no", "yes")), "no\nyes\n"),
    "choices": (ChoiceLines(), '{"label": 0}\n{"label": 1}\n'),
    "tags": (TagLines(("NOUN", "VERB")), "NOUN\nVERB\n\nVERB\n"),
    "pairs": (PairLines(), "de-1\ten-1\nde-2\ten-2\n"),
    "rows": (RowNumbers(), "1\n0\n"),
}
OBJECTS: dict[str, tuple[Submission, str, str]] = {
    "answers": (Answers(), SQUAD, '{"1": "a", "2": "b"}'),
    "ranked": (RankedIds(), '{"1": ["Q1"], "2": ["Q2"]}', '{"1": ["Q1", "Q3"], "2": ["Q2"]}'),
}
BOTH = {**{name: (each, text, text) for name, (each, text) in LINES.items()}, **OBJECTS}


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str | bytes, str | bytes], tuple[Path, Path]]:
    """Write labels and predictions; a part that is None is not written."""

    def make(labels: str | bytes | None, predictions: str | bytes | None) -> tuple[Path, Path]:
        paths = tmp_path / "labels", tmp_path / "predictions"
        for path, content in zip(paths, (labels, predictions), strict=True):
            if content is not None:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return paths

    return make


@pytest.fixture(params=LINES)
def line_format(request: pytest.FixtureRequest):
    return LINES[request.param]


@pytest.fixture(params=BOTH)
def any_format(request: pytest.FixtureRequest):
    return BOTH[request.param]


@pytest.mark.parametrize("tally", [None, Tally()], ids=["strict", "official"])
def test_files_that_fit_are_read(any_format, files, tally) -> None:
    submission, labels, predictions = any_format
    examples, found = submission.read(*files(labels, predictions), tally)
    assert len(examples) == len(found) == 2
    assert tally in (None, Tally())


@pytest.mark.parametrize("missing", ["labels", "predictions"])
@pytest.mark.parametrize("tally", [None, Tally()], ids=["strict", "official"])
def test_missing_file_is_named_with_its_option(any_format, files, missing: str, tally) -> None:
    submission, labels, predictions = any_format
    paths = files(*(None if missing == name else text for name, text in
                    (("labels", labels), ("predictions", predictions))))  # fmt: skip
    with pytest.raises(DataError, match=f"{missing} is missing; `--{missing}` must name a folder that holds it"):
        submission.read(*paths, tally)


@pytest.mark.parametrize("content", ["", "\n\n", " \n"], ids=["empty", "line-ends", "spaces"])
def test_empty_prediction_file_is_one_clear_error(any_format, files, content: str) -> None:
    submission, labels, _ = any_format
    paths = files(labels, content)
    with pytest.raises(DataError, match=f"{paths[1]} is empty; "):
        submission.read(*paths, None)


def test_empty_label_file_is_refused(any_format, files) -> None:
    submission, _, predictions = any_format
    with pytest.raises(DataError, match="labels"):
        submission.read(*files("", predictions), Tally())


@pytest.mark.parametrize("role", ["labels", "predictions"])
def test_byte_order_mark_is_refused(any_format, files, role: str) -> None:
    submission, labels, predictions = any_format
    texts = {"labels": labels, "predictions": predictions}
    texts[role] = "\ufeff" + texts[role]
    with pytest.raises(DataError, match=rf"{role}.*(byte order mark|BOM)"):
        submission.read(*files(texts["labels"], texts["predictions"]), None)


@pytest.mark.parametrize("role", ["labels", "predictions"])
def test_file_that_is_not_utf8_is_refused(any_format, files, role: str) -> None:
    submission, labels, predictions = any_format
    texts = {"labels": labels.encode(), "predictions": predictions.encode()}
    texts[role] = b"\xff" + texts[role]
    with pytest.raises(DataError, match=rf"{role}.*not UTF-8"):
        submission.read(*files(texts["labels"], texts["predictions"]), None)


def test_line_ends_of_windows_are_read(any_format, files) -> None:
    submission, labels, predictions = any_format
    plain = submission.read(*files(labels, predictions), None)
    assert submission.read(*files(labels.replace("\n", "\r\n"), predictions.replace("\n", "\r\n")), None) == plain


def test_last_line_needs_no_end(line_format, files) -> None:
    submission, text = line_format
    plain = submission.read(*files(text, text), None)
    assert submission.read(*files(text.removesuffix("\n"), text.removesuffix("\n")), None) == plain


def test_white_space_around_lines_does_not_matter(line_format, files) -> None:
    submission, text = line_format
    spaced = "".join(f" {line}\u00a0\n" for line in text.split("\n")[:-1])
    assert submission.read(*files(spaced, spaced), None) == submission.read(*files(text, text), None)


@pytest.mark.parametrize("role", ["labels", "predictions"])
def test_carriage_return_inside_a_line_is_refused_with_its_line(line_format, files, role: str) -> None:
    submission, text = line_format
    first, rest = text.split("\n", 1)
    texts = {"labels": text, "predictions": text, role: f"{first}\r{first}\n{rest}"}
    with pytest.raises(DataError, match=rf"{role}:1: a carriage return"):
        submission.read(*files(texts["labels"], texts["predictions"]), None)


@pytest.mark.parametrize("name", ["labels", "choices", "rows"])
@pytest.mark.parametrize("tally", [None, Tally()], ids=["strict", "official"])
@pytest.mark.parametrize("count", [1, 3], ids=["fewer", "more"])
def test_another_number_of_lines_is_always_refused(files, name: str, tally, count: int) -> None:
    submission, text = LINES[name]
    paths = files(text, (text.split("\n")[0] + "\n") * count)
    with pytest.raises(DataError, match=rf"predictions has {count} rows and .*labels 2; there must be one prediction"):
        submission.read(*paths, tally)


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("tally", [None, Tally()], ids=["strict", "official"])
def test_id_that_occurs_twice_is_refused(files, name: str, tally) -> None:
    submission, labels, predictions = OBJECTS[name]
    paths = files(labels, predictions.removesuffix("}") + ', "1": ' + ("[]" if name == "ranked" else '"x"') + "}")
    with pytest.raises(DataError, match=r"predictions: an object has the key '1' twice"):
        submission.read(*paths, tally)


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ('{"1": [],\n "2"}', r"predictions:2: not JSON"),
        ('{"1": "a\rb"}', r"predictions:1: not JSON \(Invalid control character"),
        ("[1, 2]", "predictions holds a JSON list; an object from ids"),
        ('{"1": 5, "2": 7}', r"predictions: .*'1' "),
        ('{"1": [7], "2": [7]}', r"predictions: .*'1' "),
    ],
    ids=["no-json", "carriage-return", "list", "numbers", "lists-of-numbers"],
)
def test_file_of_another_shape_is_refused(files, name: str, predictions: str, message: str) -> None:
    submission, labels, _ = OBJECTS[name]
    with pytest.raises(DataError, match=message):
        submission.read(*files(labels, predictions), Tally())


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"2": None}, r"predictions lacks 1 id \(the first is '2'\) against .*labels; .* its 2 ids"),
        ({"8": "x", "9": "x"}, r"predictions adds 2 ids \(the first is '8'\)"),
        ({"1": None, "9": "x"}, r"predictions lacks 1 id \(the first is '1'\) and adds 1 id \(the first is '9'\)"),
    ],
    ids=["missing", "extra", "both"],
)
def test_missing_and_extra_ids_are_refused(files, name: str, change: dict[str, str | None], message: str) -> None:
    submission, labels, predictions = OBJECTS[name]
    with pytest.raises(DataError, match=message):
        submission.read(*files(labels, changed(predictions, change)), None)


@pytest.mark.parametrize("name", OBJECTS)
def test_missing_and_extra_ids_are_counted_where_that_is_asked_for(files, name: str) -> None:
    submission, labels, predictions = OBJECTS[name]
    tally = Tally()
    paths = files(labels, changed(predictions, {"1": None, "8": "x", "9": "x"}))
    examples, found = submission.read(*paths, tally)
    assert tally == Tally(missing=1, extra=2)
    assert [example.id for example in examples] == ["1", "2"]
    assert not found[0]
    assert found[1]


def changed(predictions: str, change: dict[str, str | None]) -> str:
    """Remove and add ids; what is added is shaped like what is there."""
    found = json.loads(predictions)
    shape = type(next(iter(found.values())))
    merged = {**found, **{name: shape(value) for name, value in change.items() if value is not None}}
    return json.dumps({name: value for name, value in merged.items() if change.get(name, "") is not None})


@pytest.mark.parametrize(
    "content",
    [b"a\nb\n", b"a\r\nb", b"a\n\nb\n\n", b"a\x1db\nc\x0bd\n", "a\u2028b\u0085\n".encode(), b"\na\r", b"a\r\n\r\n"],
    ids=["plain", "windows", "blank", "separators", "unicode", "cr-at-the-end", "blank-windows"],
)
def test_lines_are_those_of_read_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert reading.lines(path, "predictions") == read_lines(path)
