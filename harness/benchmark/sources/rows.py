"""Files of one row per line: tab-separated and JSON lines."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.benchmark.sources.lines import invisible_field, is_blank, is_visible, malformed, read_lines, stripped
from harness.core.examples import Example
from harness.core.layout import DataFile, Layout, Split
from harness.core.task import Source

ExampleT = TypeVar("ExampleT", bound=Example)

#: Rows below which equal labels may be chance.
FEW = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tsv(Generic[ExampleT]):
    """Tab-separated columns without a header; `parse` gets the row's number and its columns.

    The label is the last column; a file that lacks it in every row had its labels stripped. No text may be blank.
    """

    file: DataFile
    columns: int
    parse: Callable[[int, list[str]], ExampleT]
    splits: tuple[Split, ...] = ("dev", "test")
    #: Undo CSV quoting field by field. A CSV reader would join rows at a lone quotation mark, which
    #: is how the hub's PAWS-X lost 51 of them.
    quoted: bool = False
    #: Texts that official files have where a sentence is missing; their rows are scored, and counted.
    placeholders: tuple[str, ...] = ()

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=split),)

    def read(self, layout: Layout, language: str, split: Split) -> list[ExampleT]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        examples = []
        rows = [line.split("\t") for line in read_lines(path)]
        if all(len(row) == self.columns - 1 for row in rows) and not _ends_in_labels(rows):
            raise stripped(path, f"{self.columns - 1} columns where {self.columns} are expected")
        for index, row in enumerate(rows):
            columns = [unquote(field) for field in row] if self.quoted else row
            if len(columns) != self.columns:
                raise malformed(path, index + 1, self._layout_problem(row))
            try:
                example = self.parse(index, columns)
            except ValueError as error:
                raise malformed(path, index + 1, str(error)) from error
            problem = invisible_field(example)
            if problem is not None:
                raise malformed(path, index + 1, problem)
            examples.append(example)
        return examples

    def _layout_problem(self, row: Sequence[str]) -> str:
        expected = f"{len(row)} columns where {self.columns} are expected"
        if len(row) > 1:
            return expected
        return f"{expected}; {'remove the blank line' if is_blank(row[0]) else 'a tab must separate them'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Jsonl(Generic[ExampleT]):
    """One JSON object per line; `parse` gets the row's number and the object."""

    file: DataFile
    parse: Callable[[int, Mapping[str, Any]], ExampleT]
    splits: tuple[Split, ...] = ("dev", "test")
    #: What the files call a split, where that differs.
    names: Mapping[Split, str] = field(default_factory=dict)
    #: The label that stands in every row where labels were stripped; None where they are never.
    blank: Any = None
    #: Whether official rows have a text that is blank (QQP); refused elsewhere, and always where all texts are.
    has_blanks: bool = False

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=self.names.get(split, split)),)

    def read(self, layout: Layout, language: str, split: Split) -> list[ExampleT]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        examples = []
        for index, line in enumerate(read_lines(path)):
            if is_blank(line):
                raise malformed(path, index + 1, "a blank line; remove it")
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise malformed(path, index + 1, "the line is not a JSON object")
                example = self.parse(index, row)
            except KeyError as error:
                raise malformed(path, index + 1, f"the object lacks the key {error}") from error
            except (ValueError, TypeError) as error:
                raise malformed(path, index + 1, str(error)) from error
            problem = invisible_field(example)
            if problem is not None and not (self.has_blanks and any(is_visible(text) for _, text in example.texts())):
                raise malformed(path, index + 1, problem)
            examples.append(example)
        labels = [getattr(example, "label", None) for example in examples]
        if self.blank is not None and len(labels) >= FEW and all(label == self.blank for label in labels):
            raise stripped(path, f"label {self.blank!r} in all of its {len(labels)} rows")
        return examples


def placeholders(source: Source[Any]) -> tuple[str, ...]:
    """Return the texts that a source's official files have where a sentence is missing."""
    return source.placeholders if isinstance(source, Tsv) else ()


def _ends_in_labels(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the last column has a few values again and again, so that it is a text that is missing."""
    return len(rows) >= FEW and len({row[-1] for row in rows}) <= len(rows) // FEW + 1


def unquote(text: str) -> str:
    """Return a field without the quotation marks that a CSV writer put around it, inner ones single again."""
    inner = text[1:-1]
    if len(text) < 2 or text[0] != '"' or text[-1] != '"' or '"' in inner.replace('""', ""):
        return text
    return inner.replace('""', '"')


def shown_text(row: Mapping[str, Any], key: str) -> str:
    """Return a row's value if it is text that shows something.

    Raises:
        KeyError: the row lacks the key.
        ValueError: the value is something else; readers add file and line.
    """
    value = text_of(row, key)
    if not is_visible(value):
        message = f"{key} is {value!r}, which shows nothing; correct the row, or leave it out"
        raise ValueError(message)
    return value


def text_of(row: Mapping[str, Any], key: str, *others: str) -> str:
    """Return a row's value if it is text; `others` are what other data sets of the same shape call the key.

    Raises:
        KeyError: the row lacks the key.
        ValueError: the value is something else; readers add file and line.
    """
    value = row[next((name for name in (key, *others) if name in row), key)]
    if not isinstance(value, str):
        message = f"{key} is {value!r}, text is expected"
        raise ValueError(message)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = f"{key} has half of a surrogate pair at character {error.start}, which is no text; correct the row"
        raise ValueError(message) from error
    return value


def whole_number(value: object) -> int:
    """Return a whole number, which may be written as text.

    Raises:
        ValueError: it is none; readers add the file.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        message = f"{value!r} is no whole number"
        raise ValueError(message)
    return int(value)


def one_of(value: str, known: tuple[str, ...], what: str) -> str:
    """Return the value if it is a known one.

    Raises:
        ValueError: names the value and the known ones; readers add file and line.
    """
    if value not in known:
        message = f"{what} {value!r} is not one of {', '.join(known)}"
        raise ValueError(message)
    return value
