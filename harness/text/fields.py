"""What a user fills for one answer, and how it is read: limits, encodings, missing and unknown inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from harness.core.errors import DataError, nearest
from harness.tokenization.tokenizer import is_blank

#: Bytes of UTF-8 in one text. As a context that is some 16,000 subwords, or 130 windows of 384 tokens:
#: a minute of a base model on two cores, while every other request waits.
MAX_BYTES = 65_536
#: Bytes of UTF-8 in all texts of one request: a question and its context at their limits, or 64 rows of 512
#: subwords with four bytes each. Without it, 64 contexts of 64 KiB took an hour, while every other request waited.
MAX_REQUEST_BYTES = 2 * MAX_BYTES
#: Choices of one question; the data sets of multiple choice have two to five.
MAX_CHOICES = 64

#: What a user sends for one answer: the texts of each field.
Given: TypeAlias = Mapping[str, Sequence[str | bytes]]
#: The same once it is read: a text, or the texts of a field that holds several.
Question: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input that a user fills."""

    name: str
    #: Whether it holds several texts, two at least.
    several: bool = False
    may_be_empty: bool = False
    #: The only values, where not every text is one.
    allowed: tuple[str, ...] = ()

    def read(self, values: Sequence[str | bytes]) -> str | tuple[str, ...]:
        """Return the text, or the texts.

        Raises:
            DataError: names the field, what is wrong and what would be right.
        """
        if not self.several:
            if len(values) != 1:
                message = f"input {self.name!r} holds {len(values)} texts; give one"
                raise DataError(message)
            return self._text(values[0], f"input {self.name!r}")
        if not 2 <= len(values) <= MAX_CHOICES:
            message = f"input {self.name!r} holds {len(values)} texts; give two to {MAX_CHOICES}"
            raise DataError(message)
        return tuple(self._text(value, f"input {self.name!r}, text {n},") for n, value in enumerate(values, start=1))

    def _text(self, value: str | bytes, label: str) -> str:
        text = _decoded(value, label)
        if "\0" in text:
            message = f"{label} has a NUL character at position {text.index(chr(0))}; remove it"
            raise DataError(message)
        if not self.may_be_empty and not text.strip():
            message = f"{label} is empty; give a text with more than white space in it"
            raise DataError(message)
        if not self.may_be_empty and is_blank(text):
            message = f"{label} has nothing to read but zero-width and control characters; give a text with letters"
            raise DataError(message)
        if self.allowed and text not in self.allowed:
            message = f"{label} is {text[:40]!r}{nearest(text[:40], self.allowed)}; give {' or '.join(self.allowed)}"
            raise DataError(message)
        return text


def _decoded(value: str | bytes, label: str) -> str:
    try:
        data = value.encode("utf-8") if isinstance(value, str) else bytes(value)
        if len(data) > MAX_BYTES:
            message = f"{label} has {len(data):,} bytes; give at most {MAX_BYTES:,} bytes of UTF-8"
            raise DataError(message)
        return data.decode("utf-8")
    except UnicodeError as error:
        # Lone surrogates are what Python makes of an argument or a JSON escape that is no text.
        at = cast("UnicodeEncodeError | UnicodeDecodeError", error).start
        message = f"{label} is not valid UTF-8 at position {at}; encode the text as UTF-8"
        raise DataError(message) from error


def read_fields(wanted: Sequence[Field], given: Given) -> Question:
    """Return the question that the texts of all fields make.

    Raises:
        DataError: a field is unknown, missing or wrong, or all texts together are too long; the message has what would
            be right.
    """
    names = [entry.name for entry in wanted]
    for name in given:
        if name not in names:
            message = f"there is no input {name!r}{nearest(name, names)}; the inputs are {', '.join(names)}"
            raise DataError(message)
    question = {}
    for entry in wanted:
        if entry.name not in given and not entry.may_be_empty:
            message = f"input {entry.name!r} is missing; the inputs are {', '.join(names)}"
            raise DataError(message)
        question[entry.name] = entry.read(given.get(entry.name, [""]))
    check_size(size(question))
    return question


def size(question: Question) -> int:
    """Return the bytes of all texts of a question."""
    values = (value if isinstance(value, tuple) else (value,) for value in question.values())
    return sum(len(text.encode()) for texts in values for text in texts)


def check_size(count: int) -> None:
    """Refuse the bytes of a request beyond `MAX_REQUEST_BYTES`.

    Raises:
        DataError: there are more.
    """
    if count > MAX_REQUEST_BYTES:
        message = (
            f"the texts of the request have {count:,} bytes or more together; give at most {MAX_REQUEST_BYTES:,} "
            "bytes of UTF-8 in one request"
        )
        raise DataError(message)
