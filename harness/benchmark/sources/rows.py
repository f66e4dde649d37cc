"""Files of one row per line: tab-separated and JSON lines."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from harness.benchmark.sources.lines import (
    FEW,
    MANY,
    check_id,
    check_labels,
    invisible_field,
    is_blank,
    is_visible,
    malformed,
    read_lines,
    stripped,
)  # fmt: skip
from harness.benchmark.sources.scripts import check_script
from harness.benchmark.sources.strict_json import check_text, parse_object
from harness.core.examples import Example
from harness.core.layout import DataFile, Layout, Split
from harness.core.task import Source

ExampleT = TypeVar("ExampleT", bound=Example)

_WHOLE = re.compile(r"-?[0-9]{1,18}")
#: What files with a header line call the column of labels.
_HEADINGS = ("label", "labels", "gold_label", "gold label")


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
                # The names of columns are no row.
                header = "; remove the header line" if index == 0 and columns[-1].casefold() in _HEADINGS else ""
                raise malformed(path, index + 1, f"{error}{header}") from error
            problem = invisible_field(example)
            if problem is not None:
                raise malformed(path, index + 1, problem)
            examples.append(example)
        check_labels(path, [row[-1] for row in rows], MANY)
        check_script(path, language, examples)
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
    #: The label that stands in every row where labels were stripped; None where they are never. One of another value
    #: in every row is refused as well.
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
            try:
                example = self.parse(index, parse_object(line))
            except KeyError as error:
                raise malformed(path, index + 1, f"the object lacks the key {error}") from error
            except (ValueError, TypeError) as error:
                raise malformed(path, index + 1, str(error)) from error
            problem = invisible_field(example)
            if problem is not None and not (self.has_blanks and any(is_visible(text) for _, text in example.texts())):
                raise malformed(path, index + 1, problem)
            examples.append(example)
        if self.blank is not None:
            check_labels(path, [getattr(example, "label", None) for example in examples], FEW)
        check_script(path, language, examples)
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
    check_text(value, key)
    return value


def id_of(row: Mapping[str, Any], key: str) -> str:
    """Return a row's id, which may be written as a whole number.

    Raises:
        KeyError: the row lacks the key.
        ValueError: the value is no id; readers add file and line.
    """
    value = row[key]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return check_id(text_of(row, key), key)


def whole_number(value: object) -> int:
    """Return a whole number, which may be written as text.

    Raises:
        ValueError: it is none; readers add the file.
    """
    # `int` would also read other digits than ASCII's, blanks around them and underscores between them.
    is_whole = _WHOLE.fullmatch(value) if isinstance(value, str) else type(value) is int
    if not is_whole:
        message = f"{value!r:.40} is no whole number"
        raise ValueError(message)
    return int(cast("int | str", value))


def one_of(value: str, known: tuple[str, ...], what: str) -> str:
    """Return the value if it is a known one.

    Raises:
        ValueError: names the value and the known ones; readers add file and line.
    """
    if value not in known:
        message = f"{what} {value!r} is not one of {', '.join(known)}"
        raise ValueError(message)
    return value
