"""JSON as files of examples and predictions may hold it: what Python's reader lets pass without a word is refused."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from harness.benchmark.sources.lines import decoded
from harness.core.errors import DataError

#: Escapes that may be half of a surrogate pair, or NUL; files have one only rarely.
_SUSPECT = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
#: Enough for any id; Python's own limit is worded for programmers.
_DIGITS = 100


def parse(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        json.JSONDecodeError: it is not JSON.
        ValueError: an object has a key twice, of which Python would keep the last one; a text has half of a surrogate
            pair or a NUL character; a number is NaN, infinite or too long; or lists are nested too deeply.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_whole)
    except RecursionError as error:
        message = "lists or objects are nested too deeply"
        raise ValueError(message) from error
    if _SUSPECT.search(text):
        _check_texts(value, "")
    return value


def parse_object(text: str) -> dict[str, Any]:
    """Return the object of one line of a JSON lines file.

    Raises:
        ValueError: see `parse`; or the line is blank, or another value.
    """
    if not text.strip():
        message = "a blank line; remove it"
        raise ValueError(message)
    try:
        value = parse(text)
    except json.JSONDecodeError as error:
        message = f"not JSON ({error.msg.removesuffix(' at')} at character {error.pos}); an object is expected"
        raise ValueError(message) from error
    if not isinstance(value, dict):
        message = "the line is not a JSON object"
        raise ValueError(message)
    return value


def read_file(path: Path, expected: str, *, missing: Callable[[], DataError]) -> Any:
    """Return what a JSON file holds.

    Args:
        path: the file.
        expected: what it should hold, for the message.
        missing: makes the error for a file that is not there.

    Raises:
        DataError: the file is missing, empty, not UTF-8, begins with a byte order mark, is not JSON, or holds what
            `parse` refuses.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise missing() from error
    text = decoded(path, raw)
    if not text.strip():
        message = f"{path} is empty; {expected}"
        raise DataError(message)
    try:
        return parse(text)
    except json.JSONDecodeError as error:
        # A file that breaks off ends in the middle of a value.
        is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        remedy = "the file breaks off there, get it again" if is_cut else expected
        message = f"{path}:{error.lineno}: not JSON ({error.msg}); {remedy}"
        raise DataError(message) from error
    except ValueError as error:
        message = f"{path}: {error}"
        raise DataError(message) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        message = f"an object has the key {twice!r} twice; keys must be unique"
        raise ValueError(message)
    return found


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no number of JSON; correct the row"
    raise ValueError(message)


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        message = f"a number has {len(digits):,} digits; correct the row"
        raise ValueError(message)
    return int(digits)


def _check_texts(value: Any, name: str) -> None:
    """Refuse a text, keys included, that is no Unicode text or has a NUL; `name` is the key it stands under."""
    if isinstance(value, dict):
        for key, each in value.items():
            _check_texts(key, "a key")
            _check_texts(each, key)
    elif isinstance(value, list):
        for each in value:
            _check_texts(each, name)
    elif isinstance(value, str):
        check_text(value, name or "a text")


def check_text(value: str, name: str) -> None:
    """Refuse half of a surrogate pair and NUL in a text.

    Raises:
        ValueError: names what is there and where; readers add the file.
    """
    if "\0" in value:
        message = f"{name} has a NUL character at character {value.index(chr(0))}; correct the row"
        raise ValueError(message)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = f"{name} has half of a surrogate pair at character {error.start}, which is no text; correct the row"
        raise ValueError(message) from error
