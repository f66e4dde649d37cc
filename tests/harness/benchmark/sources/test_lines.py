import re

import pytest

from harness.benchmark.sources.lines import read_lines
from harness.core.errors import DataError


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\nb", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("a\n\nb\n", ["a", "", "b"]),
        ("a\n\n", ["a", ""]),
        ("a\x1db\nc\x1cd\n", ["a\x1db", "c\x1cd"]),
        ("a\x85b\u2028c\x0bd\x0ce\n", ["a\x85b\u2028c\x0bd\x0ce"]),
        (" a \n", [" a "]),
    ],
    ids=["lf", "no-last-lf", "cr-lf", "blank", "last-blank", "separators", "other-ends", "spaces"],
)
def test_lines_end_at_lf_only(write, content: str, lines: list[str]) -> None:
    assert read_lines(write("file", content)) == lines


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xef\xbb\xbfa\n", "byte order mark"),
        (b"ab\xff\n", ":1: not UTF-8 at byte 2"),
        (b"a\nb\rc\n", ":2: a carriage return stands inside the line"),
        (b"", "empty"),
        (b"\n \r\n", "empty"),
    ],
    ids=["bom", "latin-1", "lone-cr", "no-bytes", "blank-lines"],
)
def test_file_that_no_reader_takes_is_refused(write, content: bytes, problem: str) -> None:
    path = write("file", content)
    with pytest.raises(DataError, match=f"{re.escape(str(path))}.*{problem}"):
        read_lines(path)


def test_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path / 'gone.tsv'))} is missing"):
        read_lines(tmp_path / "gone.tsv")
