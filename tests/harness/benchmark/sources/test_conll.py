import re

import pytest

from harness.benchmark.sources.conll import Conll
from harness.core.errors import DataError
from harness.core.examples import WordsExample
from harness.core.layout import DataFile

SOURCE = Conll(file=DataFile("xtreme", "tags/{split}-{language}.tsv"), tags=("NOUN", "VERB"))


@pytest.mark.parametrize(
    "content",
    ["a\tNOUN\nb\tVERB\n\nc\tNOUN\n\n", "a\tNOUN\nb\tVERB\n\nc\tNOUN", "\na\tNOUN\nb\tVERB\n\n\nc\tNOUN\n",
     "a\tNOUN\r\nb\tVERB\r\n\r\nc\tNOUN\r\n"],
    ids=["blank-after-each", "no-last-blank", "spare-blanks", "cr-lf"],
)  # fmt: skip
def test_blank_lines_end_sentences(write, layout, content: str) -> None:
    write("tags/test-ru.tsv", content)
    assert SOURCE.read(layout, "ru", "test") == [
        WordsExample("0", ("a", "b"), ("NOUN", "VERB")),
        WordsExample("1", ("c",), ("NOUN",)),
    ]


@pytest.mark.parametrize("form", ["a\x1db", "a\x1cb", "a b", "a\u2028b"], ids=["1d", "1c", "space", "2028"])
def test_form_may_hold_what_splits_lines_elsewhere(write, layout, form: str) -> None:
    write("tags/test-ru.tsv", f"{form}\tNOUN\n")
    assert SOURCE.read(layout, "ru", "test") == [WordsExample("0", (form,), ("NOUN",))]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("b\tADJ", "tag 'ADJ' is not one of NOUN, VERB"),
        ("b", "no tab between form and tag"),
        ("b\tNOUN\tx", "tag 'NOUN\\tx' is not one of"),
        ("b\t", "tag '' is not one of"),
    ],
    ids=["unknown-tag", "stripped-tag", "three-columns", "empty-tag"],
)
def test_malformed_row_is_named_with_file_and_line(write, layout, row: str, problem: str) -> None:
    path = write("tags/test-ru.tsv", f"a\tNOUN\n\n{row}\n")
    with pytest.raises(DataError, match=re.escape(f"{path}:3: {problem}")):
        SOURCE.read(layout, "ru", "test")


def test_byte_order_mark_is_refused(write, layout) -> None:
    write("tags/test-ru.tsv", "\ufeffa\tNOUN\n")
    with pytest.raises(DataError, match="byte order mark"):
        SOURCE.read(layout, "ru", "test")


def test_missing_file_is_named(layout) -> None:
    with pytest.raises(DataError, match=r"test-ru\.tsv is missing"):
        SOURCE.read(layout, "ru", "test")
