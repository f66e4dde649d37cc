"""What graphs answered, kept by content: one SQLite file for each graph and numerics, for all runs of a workspace.

An answer belongs to a graph's digest, a row's content and what computed it, never to a run. So the same rows are
asked once, whatever run, task selection, folder or endpoint wants them, and history never changes a score. Where
an answer depends on its batch, as with int8 that scales whole batches, the batch's rows are in its key too.

A block holds the answers of one batch and their checksum, which every read compares. A damaged block is dropped and
named, and its rows are asked again.
"""

import fcntl
import math
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ArtifactError, UsageError
from harness.core.tensors import GraphSignature

#: Of the table below and of what `pack` writes; counted up where they change, so that nothing is misread.
VERSION = 1
#: Blocks, and not a row for each answer: 600,000 answers of 650 bytes in 6,400 batches take 1.9 s to write instead of
#: 2.3 s. `keys` stands before `data`, so that reading the keys alone leaves the pages of the answers alone.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS block (id INTEGER PRIMARY KEY, width INTEGER NOT NULL, keys BLOB NOT NULL,
                                  lengths BLOB NOT NULL, checksum INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
"""
_KEY = 16
#: Of the place of an answer in its block.
_PLACE_BITS = 20
_PLACES = (1 << _PLACE_BITS) - 1
#: Seconds for which another process's transaction is waited for.
_BUSY = 60.0
SUFFIX = ".sqlite"


class DamagedAnswers(ArtifactError):
    """Blocks of a store did not have their checksum; they were dropped, and their rows are pending again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOrigin:
    """What answers are of."""

    #: SHA-256 of the graph.
    graph: str
    #: What computes: engine, its version, kind of device; the precision is the graph's.
    numerics: str = ""
    #: Whether an answer depends on the batch that its row was in.
    by_batch: bool = False

    @property
    def file(self) -> str:
        """Return the name of the file for these answers."""
        rest = sha256(f"{self.numerics}\n{self.by_batch}".encode()).hexdigest()
        return f"v{VERSION}-{self.graph[:24]}-{rest[:12]}{SUFFIX}"


def batch_keys(keys: Sequence[bytes], width: int) -> list[bytes]:
    """Return the keys of rows in one batch, where an answer depends on it: 16 bytes each.

    Args:
        keys: of the rows, in the batch's order.
        width: of the padded batch.
    """
    batch = sha256(b"".join(keys) + width.to_bytes(4, "little")).digest()
    return [sha256(key + batch).digest()[:_KEY] for key in keys]


class AnswerStore:
    """The answers of one graph and numerics. Used from one thread; other processes may read and write beside."""

    def __init__(self, path: Path, origin: AnswerOrigin) -> None:
        """Open the file, or make it.

        Raises:
            UsageError: the folder or the file cannot be written.
        """
        self.path, self._origin = path, origin
        self._index: dict[bytes, int] | None = None
        self._lock: TextIO | None = None
        if path.is_file() and not os.access(path.parent, os.W_OK):
            # What is there can be read, and nobody changes it.
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
            return
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_suffix(".lock").open("w")
        except OSError as error:
            message = f"answers cannot be kept in {path.parent} ({error.strerror}); make the folder writable"
            raise UsageError(message) from error
        # Shared by all who use the file; who wants to delete it asks for it alone.
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        try:
            self._connection = self._connected()
        except sqlite3.DatabaseError as error:
            _refuse_unwritable(path, error)
            self._salvage()
        os.utime(path)

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last batches, which are then asked again; the file stays whole.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            about = {
                "graph": self._origin.graph,
                "numerics": self._origin.numerics,
                "by_batch": str(self._origin.by_batch),
            }
            if dict(connection.execute("SELECT key, value FROM about")) != about:
                connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def keys(self) -> set[bytes]:
        """Return the keys of all answers: those of `batch_keys` where an answer depends on its batch."""
        return set(self._places())

    def _places(self) -> dict[bytes, int]:
        """Return where each answer is: the block's number, and in the lower bits the place in it.

        Of two answers to a row, the first one counts.
        """
        if self._index is None:
            try:
                self._index = self._indexed()
            except sqlite3.DatabaseError:
                self._salvage()
                self._index = self._indexed()
        return self._index

    def _indexed(self) -> dict[bytes, int]:
        index: dict[bytes, int] = {}
        for number, width, joined in self._connection.execute("SELECT id, width, keys FROM block ORDER BY id"):
            self._place(index, number, [joined[at : at + _KEY] for at in range(0, len(joined), _KEY)], width)
        return index

    def _place(self, index: dict[bytes, int], number: int, keys: Sequence[bytes], width: int) -> None:
        for place, key in enumerate(batch_keys(keys, width) if self._origin.by_batch else keys):
            index.setdefault(key, number << _PLACE_BITS | place)

    def add(self, keys: Sequence[bytes], lengths: Sequence[int], answers: Sequence[bytes], width: int) -> None:
        """Write the answers of one batch.

        Args:
            keys: of the batch's rows.
            lengths: the tokens of each row, without padding.
            answers: of each row, from `pack`.
            width: of the padded batch.

        Raises:
            UsageError: the file cannot be written; what was written before is whole.
        """
        if not len(keys) == len(lengths) == len(answers):
            message = f"{len(keys)} keys, {len(lengths)} lengths and {len(answers)} answers are not of one batch"
            raise ValueError(message)
        index, new = self._places(), list(range(len(keys)))
        if not self._origin.by_batch:
            new = [place for place in new if keys[place] not in index]
        if not new:
            return
        own = [keys[place] for place in new]
        head = b"".join(own)
        sizes = np.array([(lengths[place], len(answers[place])) for place in new], dtype="<i4").tobytes()
        data = b"".join(answers[place] for place in new)
        try:
            cursor = self._connection.execute(
                "INSERT INTO block (width, keys, lengths, checksum, data) VALUES (?, ?, ?, ?, ?)",
                (width, head, sizes, _checksum(width, head, sizes, data), data),
            )
        except sqlite3.OperationalError as error:
            message = (
                f"answers cannot be written to {self.path} ({error}); make room or make the folder writable, and run "
                "the same command again: what was answered before is kept"
            )
            raise UsageError(message) from error
        self._place(index, int(cursor.lastrowid or 0), own, width)

    def read(self, keys: Iterable[bytes]) -> list[tuple[int, bytes]]:
        """Return the tokens and the answer of each row, in the order of the keys.

        Raises:
            KeyError: a row has no answer.
            DamagedAnswers: blocks did not have their checksum.
        """
        index, wanted = self._places(), list(keys)
        if not wanted:
            return []
        try:
            places = np.fromiter((index[key] for key in wanted), np.int64, len(wanted))
        except KeyError as error:
            raise KeyError(error.args[0].hex()) from error
        order = np.argsort(places, kind="stable")
        numbers = places[order] >> _PLACE_BITS
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        found: list[tuple[int, bytes]] = [(0, b"")] * len(wanted)
        damaged = []
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(wanted)], strict=True):
            block = self._block(int(numbers[start]))
            if block is None:
                damaged.append(int(numbers[start]))
                continue
            sizes, data = block
            ends = np.cumsum(sizes[:, 1])
            within = places[order[start:end]] & _PLACES
            rows = (order[start:end], sizes[within, 0], ends[within] - sizes[within, 1], ends[within])
            for at, tokens, first, last in zip(*(column.tolist() for column in rows), strict=True):
                found[at] = (tokens, data[first:last])
        if damaged:
            raise self._dropped(damaged)
        return found

    def batches(self) -> list[tuple[list[bytes], int]]:
        """Return the batches that were asked: the keys of their rows, in order, and the width."""
        rows = self._connection.execute("SELECT width, keys FROM block ORDER BY id")
        return [([keys[at : at + _KEY] for at in range(0, len(keys), _KEY)], width) for width, keys in rows]

    def verify(self) -> Iterator[str]:
        """Compare the checksum of every block, drop what is damaged, and yield a line for each such block."""
        for number in sorted({place >> _PLACE_BITS for place in self._places().values()}):
            if self._block(number) is None:
                yield str(self._dropped([number]))

    def _block(self, number: int) -> tuple[NDArray[np.int32], bytes] | None:
        """Return a block's tokens and bytes of each row (rows, 2), and the answers; None where it is damaged."""
        try:
            row = self._connection.execute(
                "SELECT width, keys, lengths, checksum, data FROM block WHERE id = ?", (number,)
            ).fetchone()
        except sqlite3.DatabaseError:
            return None
        if row is None or _checksum(row[0], row[1], row[2], row[4]) != row[3]:
            return None
        return np.frombuffer(row[2], "<i4").reshape(-1, 2), row[4]

    def _dropped(self, damaged: Sequence[int]) -> DamagedAnswers:
        """Drop blocks, and return the error that names them."""
        gone = set(damaged)
        rows = sum(place >> _PLACE_BITS in gone for place in self._places().values())
        try:
            self._connection.executemany("DELETE FROM block WHERE id = ?", [(number,) for number in damaged])
        except sqlite3.DatabaseError:
            # The pages that hold the table are damaged, not only the answers on them.
            self._salvage()
        self._index = None
        named = ", ".join(map(str, damaged[:3])) + (f" and {len(damaged) - 3} more" if len(damaged) > 3 else "")
        return DamagedAnswers(
            f"{self.path} had {rows:,} damaged answers (block {named}: the checksum differs); they were dropped, and "
            "the next `harness eval` that needs them asks again, with `--fresh` for all"
        )

    def _salvage(self) -> None:
        """Move what can be read of a damaged file into a new one that takes its place."""
        with suppress(AttributeError, sqlite3.Error):
            self._connection.close()
        sound = list(_readable(self.path))
        for path in (self.path, *(self.path.with_name(f"{self.path.name}{end}") for end in ("-wal", "-shm"))):
            path.unlink(missing_ok=True)
        self._index = None
        self._connection = self._connected()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", sound)
        self._connection.execute("COMMIT")


def _refuse_unwritable(path: Path, error: sqlite3.DatabaseError) -> None:
    """Refuse a file that is sound for all one knows, and that this user may not write.

    Raises:
        UsageError: the folder or the file is read-only.
    """
    if os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK)):
        if not isinstance(error, sqlite3.OperationalError):
            return
        if "malformed" in str(error) or "not a database" in str(error):
            return
    message = f"answers cannot be kept in {path} ({error}); make the folder writable, or free the disk"
    raise UsageError(message) from error


def _readable(path: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the blocks of a damaged file that still have their checksum."""
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            (last,) = connection.execute("SELECT COALESCE(MAX(id), 0) FROM block").fetchone()
            for number in range(1, last + 1):
                try:
                    row = connection.execute("SELECT * FROM block WHERE id = ?", (number,)).fetchone()
                except sqlite3.DatabaseError:
                    continue
                if row is not None and _checksum(row[1], row[2], row[3], row[5]) == row[4]:
                    yield row
    except sqlite3.DatabaseError:
        return


def _checksum(width: int, keys: bytes, lengths: bytes, data: bytes) -> int:
    """Return the CRC-32 of a block: it finds every burst of up to 32 flipped bits."""
    return zlib.crc32(data, zlib.crc32(lengths, zlib.crc32(keys, width)))


def pack(lengths: Sequence[int], tensors: Mapping[str, NDArray[Any]], signature: GraphSignature) -> list[bytes]:
    """Return each row's share of a batch's outputs as bytes: float32, padding cut off, in signature order.

    Args:
        lengths: the tokens of each row, without padding.
        tensors: output name -> (rows, ...).
        signature: the graph's.
    """
    values = [(np.ascontiguousarray(tensors[spec.name], dtype="<f4"), spec.per_token) for spec in signature.outputs]
    return [
        b"".join((value[row, :tokens] if per_token else value[row]).tobytes() for value, per_token in values)
        for row, tokens in enumerate(lengths)
    ]


def unpack(blob: bytes, tokens: int, signature: GraphSignature) -> dict[str, NDArray[np.float32]]:
    """Return what `pack` packed: output name -> float32 array without the rows axis."""
    outputs = {}
    flat = np.frombuffer(blob, dtype="<f4")
    start = 0
    for spec in signature.outputs:
        shape = _shape(spec.axes[1:], tokens)
        size = math.prod(shape)
        outputs[spec.name] = flat[start : start + size].reshape(shape)
        start += size
    if start != len(flat):
        message = f"an answer of {len(flat)} numbers does not fit {signature.describe()} with {tokens} tokens"
        raise ValueError(message)
    return outputs


def _shape(axes: Iterable[str | int], tokens: int) -> tuple[int, ...]:
    return tuple(tokens if axis == "tokens" else int(axis) for axis in axes)
