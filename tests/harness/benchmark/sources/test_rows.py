import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from harness.benchmark import tasks
from harness.benchmark.sources.rows import Jsonl, Tsv, one_of
from harness.core.errors import DataError
from harness.core.examples import ChoiceExample, PairExample
from harness.core.layout import DataFile

LABELS = ("no", "yes")


def pair(number: int, columns: list[str]) -> PairExample:
    return PairExample(str(number), columns[0], columns[1], one_of(columns[2], LABELS, "label"))


def choice(number: int, row: Mapping[str, Any]) -> ChoiceExample:
    return ChoiceExample(str(number), row["premise"], "q", (row["a"], row["b"]), int(row["label"]))


TSV = Tsv(file=DataFile("xtreme", "pairs/{split}-{language}.tsv"), columns=3, parse=pair)
JSONL = Jsonl(file=DataFile("xtreme", "choices/{language}.{split}.jsonl"), parse=choice, names={"dev": "val"})


def test_tsv_row_is_an_example(write, layout) -> None:
    write("pairs/test-ru.tsv", "да\tнет\tyes\na\tb\tno\n")
    assert TSV.read(layout, "ru", "test") == [PairExample("0", "да", "нет", "yes"), PairExample("1", "a", "b", "no")]


def test_tsv_row_with_unit_separators_stays_one_row(write, layout) -> None:
    write("pairs/test-el.tsv", "a\x1db\tc\x1cd\tyes\n")
    assert TSV.read(layout, "el", "test") == [PairExample("0", "a\x1db", "c\x1cd", "yes")]


def test_tsv_quotes_stay_in_the_text(write, layout) -> None:
    write("pairs/test-ko.tsv", '"a ""b"""\tc\tno\n')
    assert TSV.read(layout, "ko", "test")[0].first == '"a ""b"""'


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a\tb\tmaybe", "label 'maybe' is not one of no, yes"),
        ("a\tb", "2 columns where 3 are expected"),
        ("a\tb\tyes\tc", "4 columns where 3 are expected"),
        ("", "1 columns where 3 are expected"),
    ],
    ids=["unknown-label", "stripped-label", "too-many", "blank"],
)
def test_malformed_tsv_row_is_named_with_file_and_line(write, layout, row: str, problem: str) -> None:
    path = write("pairs/test-ru.tsv", f"a\tb\tyes\n{row}\na\tb\tno\n")
    with pytest.raises(DataError, match=re.escape(f"{path}:2: {problem}")):
        TSV.read(layout, "ru", "test")


def test_jsonl_row_is_an_example(write, layout) -> None:
    write("choices/ru.test.jsonl", json.dumps({"premise": "p", "a": "x", "b": "y", "label": 1}) + "\r\n")
    assert JSONL.read(layout, "ru", "test") == [ChoiceExample("0", "p", "q", ("x", "y"), 1)]


def test_jsonl_text_may_hold_unit_separators(write, layout) -> None:
    row = json.dumps({"premise": "p\u2028p\x85", "a": "x", "b": "y", "label": 1}, ensure_ascii=False)
    write("choices/ru.test.jsonl", row + "\n")
    assert JSONL.read(layout, "ru", "test")[0].premise == "p\u2028p\x85"


def test_jsonl_file_has_its_own_name_for_a_split(layout) -> None:
    assert [path.name for path in JSONL.paths(layout, "ru", "dev")] == ["ru.val.jsonl"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"premise": "p", "a": "x", "b": "y"}', "the object lacks the key 'label'"),
        ('{"premise": "p", "a": "x", "b": "y", "label": "z"}', "invalid literal"),
        ('{"premise": "p", "a": "x", "b": "y", "label": null}', "NoneType"),
        ("[1, 2]", "the line is not a JSON object"),
        ('{"premise": ', "Expecting value"),
        ("", "a blank line; remove it"),
    ],
    ids=["stripped-label", "not-a-number", "null", "list", "cut-off", "blank"],
)
def test_malformed_jsonl_row_is_named_with_file_and_line(write, layout, row: str, problem: str) -> None:
    path = write("choices/ru.test.jsonl", f'{{"premise": "p", "a": "x", "b": "y", "label": 1}}\n{row}\n')
    with pytest.raises(DataError, match=re.escape(f"{path}:2: ") + ".*" + re.escape(problem)):
        JSONL.read(layout, "ru", "test")


def xcopa(**changes: Any) -> str:
    row = {"premise": "p", "choice1": "x", "choice2": "y", "question": "cause", "label": 0, "idx": 0, "changed": False}
    return json.dumps({**row, **changes}) + "\r\n"


@pytest.mark.parametrize(
    "changes",
    [{"question": "why"}, {"label": 2}, {"label": "0"}, {"label": None}, {"premise": None}, {"choice1": 5}],
    ids=["question", "label-2", "label-text", "label-null", "premise-null", "choice-number"],
)
def test_malformed_xcopa_row_is_named_with_file_and_line(write, layout, changes: dict[str, Any]) -> None:
    path = write("xcopa/th/test.th.jsonl", xcopa() + xcopa(**changes))
    with pytest.raises(DataError, match=re.escape(f"{path}:2: ")):
        tasks.load("xcopa").source.read(layout, "th", "test")


@pytest.mark.parametrize("source", [TSV, JSONL], ids=["tsv", "jsonl"])
def test_missing_file_is_named(layout, source) -> None:
    (path,) = source.paths(layout, "ru", "test")
    with pytest.raises(DataError, match=re.escape(f"{path} is missing")):
        source.read(layout, "ru", "test")


@pytest.mark.parametrize(
    ("source", "name"), [(TSV, "pairs/test-ru.tsv"), (JSONL, "choices/ru.test.jsonl")], ids=["tsv", "jsonl"]
)
def test_byte_order_mark_is_refused(write, layout, source, name: str) -> None:
    write(name, "\ufeffa\tb\tyes\n")
    with pytest.raises(DataError, match="byte order mark"):
        source.read(layout, "ru", "test")
