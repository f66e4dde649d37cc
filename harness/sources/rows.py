"""Files of one row per line: tab-separated and JSON lines."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.data import DataFile, Layout
from harness.sources.lines import malformed, read_lines
from harness.task import Split

ExampleT = TypeVar("ExampleT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tsv(Generic[ExampleT]):
    """Tab-separated columns without a header; `parse` gets the row's number and its columns."""

    file: DataFile
    columns: int
    parse: Callable[[int, list[str]], ExampleT]
    splits: tuple[Split, ...] = ("dev", "test")

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.task.Source`."""
        return (self.file.at(layout, language=language, split=split),)

    def read(self, layout: Layout, language: str, split: Split) -> list[ExampleT]:
        """See `harness.task.Source`."""
        (path,) = self.paths(layout, language, split)
        examples = []
        for index, line in enumerate(read_lines(path)):
            columns = line.split("\t")
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

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.task.Source`."""
        return (self.file.at(layout, language=language, split=self.names.get(split, split)),)

    def read(self, layout: Layout, language: str, split: Split) -> list[ExampleT]:
        """See `harness.task.Source`."""
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
        return examples


def text_of(row: Mapping[str, Any], key: str) -> str:
    """Return a row's value if it is text.

    Raises:
        KeyError: the row lacks the key.
        ValueError: the value is something else; readers add file and line.
    """
    value = row[key]
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
