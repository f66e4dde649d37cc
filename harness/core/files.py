"""Files that are written whole or not at all, and the digests that they are known by."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
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


def disk_bytes(paths: Iterable[Path]) -> int:
    """Return what files and folders take on disk; what is hard-linked among them counts once."""
    found = {(state.st_dev, state.st_ino): state.st_size for state in map(Path.lstat, _files(paths))}
    return sum(found.values())


def freed_bytes(paths: Iterable[Path]) -> int:
    """Return what would be free without some files and folders; what is hard-linked elsewhere stays."""
    states = [path.lstat() for path in _files(paths)]
    links = Counter((state.st_dev, state.st_ino) for state in states)
    found = {
        (state.st_dev, state.st_ino): state.st_size
        for state in states
        if links[(state.st_dev, state.st_ino)] >= state.st_nlink
    }
    return sum(found.values())


def size_text(count: int) -> str:
    """Return a number of bytes as people say it."""
    units = ("B", "KB", "MB", "GB", "TB")
    power = next((power for power in range(len(units)) if count < 1000 ** (power + 1)), len(units) - 1)
    return f"{count / 1000**power:.0f} {units[power]}" if power < 3 else f"{count / 1000**power:.1f} {units[power]}"


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            yield from (each for each in path.rglob("*") if not each.is_dir())
        elif path.exists():
            yield path


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


#: Linux's request for a copy that shares blocks until one side is written to (ioctl_ficlone(2)).
_FICLONE = 0x40049409


def copy_apart(source: Path, destination: Path) -> None:
    """Copy a file so that writing into one never changes the other, by reflink where the file system has it.

    Btrfs, XFS and bcachefs have it, and such a copy takes no room at first; elsewhere the bytes are copied.
    """
    with source.open("rb") as read, destination.open("wb") as written:
        try:
            fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
        except OSError:  # another file system, or one without reflinks
            shutil.copyfileobj(read, written, 1 << 20)


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
