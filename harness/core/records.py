"""Typed records: JSON files with a format version, each read in one place, errors with file and key."""

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.core.errors import HarnessError

T = TypeVar("T", bound="Record")

#: "Object missing required field `x` - at `$.y`" of msgspec.
_AT = re.compile(r" - at `\$\.?(.*)`$")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What every record starts with. A file without `format` was written before formats were counted: format 1."""

    format: int = 1


def read_record(path: Path, kind: type[T], error: type[HarnessError], fix: str, *, newest: int = 1) -> T:
    """Return the record that a file holds. Keys that the record does not name are ignored.

    Args:
        path: a JSON file.
        kind: the record's type.
        error: what is raised.
        fix: how the user makes the file new: ends the message.
        newest: the newest format that this version reads.

    Raises:
        FileNotFoundError: there is no such file; callers say what that means.
        HarnessError: of the type `error`, one sentence with file and key: not JSON, a field that is missing or of
            another type, or a format that this version does not read.
    """
    try:
        raw = path.read_bytes()
    except (IsADirectoryError, PermissionError) as failed:
        message = f"{path} cannot be read ({failed.strerror}); {fix}"
        raise error(message) from failed
    try:
        record = msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as failed:
        message = f"{path} is damaged ({_problem(failed)}); {fix}"
        raise error(message) from failed
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failed:
        message = f"{path} is damaged (not JSON: {failed}); {fix}"
        raise error(message) from failed
    if not 1 <= record.format <= newest:
        message = f"{path} has format {record.format}, this version reads formats 1 to {newest}; {fix}"
        raise error(message)
    return record


def to_json(record: Any) -> Any:
    """Return a record, or a container of records, as JSON values."""
    return msgspec.to_builtins(record)


def _problem(failed: msgspec.ValidationError) -> str:
    """Return what is wrong with which key: ``checkpoint: Object missing required field `digest```."""
    text = str(failed)
    found = _AT.search(text)
    if found is None:
        return text
    return f"{found.group(1)}: {text[: found.start()]}" if found.group(1) else text[: found.start()]
