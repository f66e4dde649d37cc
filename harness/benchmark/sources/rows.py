"""Files of one row per line: tab-separated and JSON lines."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.benchmark.sources.lines import malformed, read_lines, stripped
from harness.core.layout import DataFile, Layout, Split

ExampleT = TypeVar("ExampleT")

#: Rows below which equal labels may be chance.
FEW = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tsv(Generic[ExampleT]):
    """Tab-separated columns without a header; `parse` gets the row's number and its columns.

    The label is the last column; a file that lacks it in every row had its labels stripped.
    """

    file: DataFile
    columns: int
    parse: Callable[[int, list[str]], ExampleT]
    splits: tuple[Split, ...] = ("dev", "test")
    #: Undo CSV quoting field by field. A CSV reader would join rows at a lone quotation mark, which
    #: is how the hub's PAWS-X lost 51 of them.
    quoted: bool = False

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=split),)

    def read(self, layout: Layout, language: str, split: Split) -> list[ExampleT]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        examples = []
        rows = [line.split("\t") for line in read_lines(path)]
        if all(len(row) == self.columns - 1 for row in rows):
            raise stripped(path, f"{self.columns - 1} columns where {self.columns} are expected")
        for index, row in enumerate(rows):
            columns = [unquote(field) for field in row] if self.quoted else row
            if len(columns) != self.columns:
                raise malformed(path, index + 1, f"{len(columns)} columns where {self.columns} are expected")
            try:
                examples.append(self.parse(index, columns))
            except ValueError as error:
                raise malformed(path, index + 1, str(error)) from error
        return examples


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

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=self.names.get(split, split)),)

    def read(self, layout: Layout, language: str, split: Split) -> list[ExampleT]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        examples = []
        for index, line in enumerate(read_lines(path)):
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise malformed(path, index + 1, "the line is not a JSON object")
                examples.append(self.parse(index, row))
            except KeyError as error:
                raise malformed(path, index + 1, f"the object lacks the key {error}") from error
            except (ValueError, TypeError) as error:
                raise malformed(path, index + 1, str(error)) from error
        labels = [getattr(example, "label", None) for example in examples]
        if self.blank is not None and len(labels) >= FEW and all(label == self.blank for label in labels):
            raise stripped(path, f"label {self.blank!r} in all of its {len(labels)} rows")
        return examples


def unquote(text: str) -> str:
    """Return a field without the quotation marks that a CSV writer put around it, inner ones single again."""
    inner = text[1:-1]
    if len(text) < 2 or text[0] != '"' or text[-1] != '"' or '"' in inner.replace('""', ""):
        return text
    return inner.replace('""', '"')


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
    return value


def one_of(value: str, known: tuple[str, ...], what: str) -> str:
    """Return the value if it is a known one.

    Raises:
        ValueError: names the value and the known ones; readers add file and line.
    """
    if value not in known:
        message = f"{what} {value!r} is not one of {', '.join(known)}"
        raise ValueError(message)
    return value
