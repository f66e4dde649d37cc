"""From rows to the files of the local layout: one converter for each file format, none for a task."""

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from harness.benchmark.sources.lines import FEW, stripped
from harness.benchmark.sources.rows import unquote
from harness.core.errors import DataError
from harness.core.origins import Row, Written

#: What would end a line or a field.
_BREAKS = re.compile(r"[\t\r\n]+")

#: How far a stripped context may have moved its answers; the longest seen is far below.
_MAX_SHIFT = 64


def _open(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")


def _value(row: Row, column: str, number: int) -> Any:
    try:
        return row[column]
    except KeyError:
        message = f"row {number} has no column {column!r}, it has {', '.join(row)}; rows of another dataset were given"
        raise DataError(message) from None


def _text(row: Row, column: str, number: int) -> str:
    value = _value(row, column, number)
    if not isinstance(value, str):
        message = f"row {number} has {value!r} as {column}, text is expected"
        raise DataError(message)
    return value


def _one_line(text: str) -> str:
    """Return a text that fits into a field: ends stripped as in the official preprocessing, breaks as spaces."""
    return _BREAKS.sub(" ", text).strip()


@dataclass(slots=True)
class _Labels:
    """Names of labels into the layout's values; notices what stripping leaves."""

    column: str
    names: Mapping[Any, Any]
    seen: dict[Any, int] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)

    def of(self, row: Row, number: int) -> Any:
        """Return the layout's value of a row's label."""
        value = _value(row, self.column, number)
        if isinstance(value, str):
            value = value.strip()
        if value is None or value in ("", -1):
            self.missing.append(number)
            return None
        if not isinstance(value, Hashable) or value not in self.names:
            known = ", ".join(repr(name) for name in self.names)
            message = (
                f"row {number} has {self.column} {value!r}, which is not one of {known}; labels are mapped by name, "
                f"so a file must say what its numbers mean"
            )
            raise DataError(message)
        self.seen[self.names[value]] = self.seen.get(self.names[value], 0) + 1
        return self.names[value]

    def check(self, path: Path) -> None:
        """Refuse labels that were taken out, or that some rows lack.

        Raises:
            DataError: no row has a label, all have the same, or some have none.
        """
        count = sum(self.seen.values())
        if self.missing and not count:
            raise stripped(path, f"no label in any of its {len(self.missing)} rows")
        if self.missing:
            message = f"{path}: {len(self.missing)} rows have no label, the first is row {self.missing[0]}"
            raise DataError(message)
        if len(self.seen) == 1 and len(set(self.names.values())) > 1 and count >= FEW:
            raise stripped(path, f"label {next(iter(self.seen))!r} in all of its {count} rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFile:
    """``first TAB second TAB label`` lines."""

    first: str
    second: str
    #: The hub's label names -> the file's.
    labels: Mapping[Any, str]
    label: str = "label"
    #: The reader undoes CSV quoting, so a field that looks quoted is quoted once more.
    quoted: bool = False

    def write(self, rows: Iterable[Row], paths: Sequence[Path]) -> Written:
        """See `harness.core.origins.Converter`."""
        (path,) = paths
        labels = _Labels(self.label, self.labels)
        number = 0
        with _open(path) as stream:
            for number, row in enumerate(rows, start=1):
                fields = [self._field(_text(row, column, number)) for column in (self.first, self.second)]
                label = labels.of(row, number)
                stream.write("\t".join([*fields, "" if label is None else label]) + "\n")
        labels.check(path)
        return Written(number)

    def _field(self, text: str) -> str:
        line = _one_line(text)
        if self.quoted and unquote(line) != line:
            return '"' + line.replace('"', '""') + '"'
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLines:
    """One object a line."""

    #: Text columns, which the objects keep under their names.
    texts: tuple[str, ...]
    #: The hub's label names -> the file's values.
    labels: Mapping[Any, Any]
    label: str = "label"
    #: The label's key in the objects.
    key: str = "label"
    #: Columns that are kept where a row has them.
    extra: tuple[str, ...] = ("idx",)

    def write(self, rows: Iterable[Row], paths: Sequence[Path]) -> Written:
        """See `harness.core.origins.Converter`."""
        (path,) = paths
        labels = _Labels(self.label, self.labels)
        number = 0
        with _open(path) as stream:
            for number, row in enumerate(rows, start=1):
                fields = {column: _text(row, column, number) for column in self.texts}
                fields[self.key] = labels.of(row, number)
                fields |= {column: row[column] for column in self.extra if column in row}
                stream.write(json.dumps(fields, ensure_ascii=False) + "\n")
        labels.check(path)
        return Written(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedWords:
    """``form TAB tag`` lines with a blank line between sentences."""

    tags: str
    #: The tags' names; the hub numbers them in another order, so its names are compared, never numbers.
    known: tuple[str, ...]
    words: str = "tokens"

    def write(self, rows: Iterable[Row], paths: Sequence[Path]) -> Written:
        """See `harness.core.origins.Converter`."""
        (path,) = paths
        seen: set[str] = set()
        number = 0
        with _open(path) as stream:
            for number, row in enumerate(rows, start=1):
                words, tags = _value(row, self.words, number), _value(row, self.tags, number)
                if words and not tags:
                    raise stripped(path, "forms without tags")
                if not words or len(words) != len(tags):
                    message = f"sentence {number} has {len(words)} words and {len(tags)} tags"
                    raise DataError(message)
                for tag in tags:
                    if tag not in self.known:
                        message = (
                            f"sentence {number} has the tag {tag!r}, which is not one of {', '.join(self.known)}; "
                            f"tags are mapped by name, so a file must say what its numbers mean"
                        )
                        raise DataError(message)
                seen.update(tags)
                lines = "".join(f"{_one_line(word)}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
                stream.write(f"\n{lines}" if number > 1 else lines)
        if len(seen) == 1 and number >= FEW:
            raise stripped(path, f"the tag {next(iter(seen))} on every word")
        return Written(number)


@dataclass(frozen=True, slots=True)
class SquadFile:
    """SQuAD's JSON; questions that follow each other with the same context share a paragraph.

    google/xtreme and google/xquad strip contexts and answers but keep `answer_start`, so answers of
    contexts that began with white space point too far (huggingface/datasets@8803c182e6^ xtreme.py,
    xquad.py). Their start is moved back to where the text is, and counted.
    """

    def write(self, rows: Iterable[Row], paths: Sequence[Path]) -> Written:
        """See `harness.core.origins.Converter`."""
        (path,) = paths
        articles: list[dict[str, Any]] = []
        questions = moved = lost = unanswered = 0
        for (title, context), members in groupby(enumerate(rows, start=1), _paragraph):
            found = [_question(row, number) for number, row in members]
            starts = _starts(context, [answer for question in found for answer in question["answers"]])
            for answer, start in starts:
                moved += start is not None and start != answer["answer_start"]
                lost += start is None
                if start is not None:
                    answer["answer_start"] = start
            questions += len(found)
            unanswered += sum(not any(answer["text"] for answer in question["answers"]) for question in found)
            if not articles or articles[-1].get("title") != title:
                articles.append({"title": title, "paragraphs": []} if title is not None else {"paragraphs": []})
            articles[-1]["paragraphs"].append({"context": context, "qas": found})
        if questions and unanswered == questions:
            raise stripped(path, f"no answer to any of its {questions} questions")
        with _open(path) as stream:
            json.dump({"version": "1.1", "data": articles}, stream, ensure_ascii=False)
        remarks = {
            "answers moved back to their text, as their contexts had been stripped": moved,
            "answers that are not at their answer_start": lost,
        }
        return Written(questions, {remark: count for remark, count in remarks.items() if count})


def _paragraph(numbered: tuple[int, Row]) -> tuple[str | None, str]:
    number, row = numbered
    title = row.get("title")
    return title or None, _text(row, "context", number)


def _question(row: Row, number: int) -> dict[str, Any]:
    answers = _value(row, "answers", number)
    if isinstance(answers, Mapping):
        pairs = zip(answers["text"], answers["answer_start"], strict=True)
        answers = [{"text": text, "answer_start": start} for text, start in pairs]
    return {
        "id": str(_value(row, "id", number)),
        "question": _text(row, "question", number),
        "answers": [{"text": answer["text"], "answer_start": int(answer["answer_start"])} for answer in answers],
    }


def _starts(context: str, answers: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], int | None]]:
    """Return where each answer's text is, None where it is not: one shift for all of a context's answers.

    The shift is the white space that was stripped from the context; what was stripped from an
    answer's own beginning is white space between the shifted start and the text.
    """
    for shift in range(_MAX_SHIFT):
        found = [_locate(context, answer["text"], answer["answer_start"] - shift) for answer in answers]
        if None not in found:
            return list(zip(answers, found, strict=True))
    return [(answer, _locate(context, answer["text"], answer["answer_start"])) for answer in answers]


def _locate(context: str, text: str, start: int) -> int | None:
    if start < 0:
        return None
    while not context.startswith(text, start):
        if not context[start : start + 1].isspace():
            return None
        start += 1
    return start


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelFiles:
    """Two files of one sentence a line; line n of one translates line n of the other."""

    columns: tuple[str, ...]

    def write(self, rows: Iterable[Row], paths: Sequence[Path]) -> Written:
        """See `harness.core.origins.Converter`; `paths` align with the columns."""
        number = 0
        with ExitStack() as stack:
            streams = [stack.enter_context(_open(path)) for path in paths]
            for number, row in enumerate(rows, start=1):
                for stream, column in zip(streams, self.columns, strict=True):
                    # google/xtreme's sentences end with their line break.
                    stream.write(_BREAKS.sub(" ", _text(row, column, number).rstrip("\r\n")) + "\n")
        return Written(number)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Lines as they are, of one file or several; a row is a line and the place of its file."""

    def write(self, rows: Iterable[Row], paths: Sequence[Path]) -> Written:
        """See `harness.core.origins.Converter`."""
        number = 0
        with ExitStack() as stack:
            streams = [stack.enter_context(_open(path)) for path in paths]
            for number, row in enumerate(rows, start=1):
                streams[_value(row, "file", number)].write(_text(row, "line", number) + "\n")
        return Written(number)


def renamed(rows: Iterable[Row], names: Mapping[str, str]) -> Iterator[Row]:
    """Yield rows with other column names."""
    for row in rows:
        yield {names.get(column, column): value for column, value in row.items()}
