"""Files that are written whole or not at all, and the digests that they are known by."""

import hashlib
import json
import os
import shutil
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.core.errors import UsageError


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file, read in blocks."""
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def content_sha256(path: Path) -> str:
    """Return the hex digest of a data file; read once in a process as long as its size and time stay."""
    found = path.stat()
    return _content_sha256(path, found.st_size, found.st_mtime_ns)


@cache
def _content_sha256(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def code_sha256(package: Path, names: tuple[str, ...] = ("",)) -> str:
    """Return a digest over the Python sources of some files and folders below a package's folder.

    Args:
        package: the folder that the names are relative to.
        names: files, or folders of which every module counts; the whole package by default.
    """
    digest = sha256()
    for name in names:
        source = package / name
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(f"{path.relative_to(package)} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def replace_folder(folder: Path, draft: Path, older: Path) -> None:
    """Move a finished draft to where an older folder may be, which comes back if that fails.

    Args:
        folder: where the draft belongs.
        draft: the finished folder, on the same file system.
        older: where an older folder is moved; it is left there.
    """
    if folder.exists():
        folder.rename(older)
    try:
        draft.rename(folder)
    except BaseException:
        if older.exists() and not folder.exists():
            older.rename(folder)
        raise


def link_or_copy(source: Path, destination: Path) -> None:
    """Make a file available under another path: a hard link where the file system allows, else a copy."""
    try:
        os.link(source.resolve(), destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """Return what `write_json` wrote.

    Raises:
        UsageError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"{path} is missing; a run that `harness eval` finished has it"
        raise UsageError(message) from error
    except ValueError as error:
        message = f"{path} is damaged ({error}); evaluate again with `harness eval`"
        raise UsageError(message) from error
