"""Typed records: JSON files with a format version, each read in one place, errors with file and key."""

import json
import re
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from harness.core.errors import HarnessError

T = TypeVar("T", bound="Record")

#: "Object missing required field `x` - at `$.y`" of msgspec.
_AT = re.compile(r" - at `\$\.?(.*)`$")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What every record starts with. A file without `format` was written before formats were counted: format 1."""

    #: The format that this version writes; it reads this one and all before.
    newest: ClassVar[int] = 1

    format: int = 1


def read_record(path: Path, kind: type[T], error: type[HarnessError], fix: str) -> T:
    """Return the record that a file holds. Keys that the record does not name are ignored.

    Args:
        path: a JSON file.
        kind: the record's type.
        error: what is raised.
        fix: how the user makes the file new: ends the message.

    Raises:
        FileNotFoundError: there is no such file; callers say what that means.
        HarnessError: of the type `error`, one sentence with file and key: not JSON, a field that is missing or of
            another type, or a format that this version does not read.
    """
    return _decode(_read(path, error, fix), path, kind, error, fix)


def read_document(path: Path, kind: type[T], error: type[HarnessError], fix: str) -> tuple[T, dict[str, Any]]:
    """Return the record that a file holds, and the whole file as JSON values, unknown keys included.

    Args and errors: those of `read_record`. The file is read once, so that both are of the same content.
    """
    raw = _read(path, error, fix)
    record = _decode(raw, path, kind, error, fix)
    try:
        return record, json.loads(raw)
    except (ValueError, RecursionError) as failed:
        # Python limits the digits of a number and the depth of lists, also under keys that the record does not name.
        message = f"{path} is damaged ({failed}); {fix}"
        raise error(message) from failed


def _read(path: Path, error: type[HarnessError], fix: str) -> bytes:
    try:
        return path.read_bytes()
    except (IsADirectoryError, PermissionError) as failed:
        message = f"{path} cannot be read ({failed.strerror}); {fix}"
        raise error(message) from failed


def _decode(raw: bytes, path: Path, kind: type[T], error: type[HarnessError], fix: str) -> T:
    try:
        record = msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as failed:
        message = f"{path} is damaged ({problem(failed)}); {fix}"
        raise error(message) from failed
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failed:
        message = f"{path} is damaged (not JSON: {failed}); {fix}"
        raise error(message) from failed
    if not 1 <= record.format <= kind.newest:
        message = (
            f"{path} has format {record.format}, this version reads 1 to {kind.newest}; "
            f"use the version of the harness that wrote it, or {fix}"
        )
        raise error(message)
    return record


def to_json(record: Any) -> Any:
    """Return a record, or a container of records, as JSON values."""
    return msgspec.to_builtins(record)


def problem(failed: msgspec.ValidationError) -> str:
    """Return what is wrong with which key: ``checkpoint: Object missing required field `digest```."""
    text = str(failed)
    found = _AT.search(text)
    if found is None:
        return text
    return f"{found.group(1)}: {text[: found.start()]}" if found.group(1) else text[: found.start()]
