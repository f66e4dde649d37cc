"""How fast answers are written and read back: the project's blocks against other ways to keep them.

All of them keep the same answers in the same batches, with a key of 16 bytes each, and leave whole batches where the
process dies. They take turns. Arrow's parts are one file for each process, which is what Arrow's format allows; it has
no key and no checksum of a batch.
"""

import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path

import pyarrow as pa

from benchmarks.core.options import bench_parser
from benchmarks.core.report import guarded, machine_line
from benchmarks.core.timing import Function, alternate
from harness.core.tables import Table
from harness.evaluation.answers import AnswerOrigin, AnswerStore

#: What one transaction of an evaluation brings at XTREME's lengths: 600,000 rows in 6,400 batches.
BATCH = 94
ORIGIN = AnswerOrigin(graph="b" * 64, numerics="measured")


@dataclass(frozen=True, slots=True)
class MadeAnswers:
    """What is written: keys, and the bytes of each answer."""

    keys: Sequence[bytes]
    blob: bytes

    def batches(self) -> Iterator[Sequence[bytes]]:
        """Yield the keys of each batch."""
        for start in range(0, len(self.keys), BATCH):
            yield self.keys[start : start + BATCH]


def blocks(path: Path, answers: MadeAnswers) -> Callable[[], int]:
    """Write as the project does; return what reads everything back and says how many answers there were."""
    with AnswerStore(path, ORIGIN) as store:
        for keys in answers.batches():
            store.add(keys, [40] * len(keys), [answers.blob] * len(keys), 64)

    def read() -> int:
        with AnswerStore(path, ORIGIN) as again:
            return sum(len(blob) == len(answers.blob) for _, blob in again.read(answers.keys))

    return read


def rows(path: Path, answers: MadeAnswers, *, indexed: bool) -> Callable[[], int]:
    """Write a row for each answer, with an index over the keys or without one."""
    key = "key BLOB PRIMARY KEY, " if indexed else "id INTEGER PRIMARY KEY, key BLOB, "
    end = "WITHOUT ROWID" if indexed else ""
    columns = "(?, ?, ?)" if indexed else "(NULL, ?, ?, ?)"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"CREATE TABLE answer ({key}tokens INTEGER, data BLOB) {end}")
        for keys in answers.batches():
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                f"INSERT INTO answer VALUES {columns}",
                ((one, 40, answers.blob) for one in keys),
            )
            connection.execute("COMMIT")

    def read() -> int:
        with closing(sqlite3.connect(path)) as connection:
            found = dict(connection.execute("SELECT key, data FROM answer"))
            return sum(len(found[one]) == len(answers.blob) for one in answers.keys)

    return read


def parts(path: Path, answers: MadeAnswers) -> Callable[[], int]:
    """Write one Arrow stream, a record batch for each batch, flushed one by one."""
    schema = pa.schema([("key", pa.binary(16)), ("tokens", pa.int32()), ("data", pa.binary())])
    with path.open("wb") as stream, pa.ipc.new_stream(stream, schema) as writer:
        for keys in answers.batches():
            size = len(keys)
            columns = [pa.array(list(keys), pa.binary(16)), pa.array([40] * size, pa.int32())]
            writer.write_batch(pa.record_batch([*columns, pa.array([answers.blob] * size)], schema=schema))
            stream.flush()

    def read() -> int:
        found: dict[bytes, bytes] = {}
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                found.update(zip(batch.column(0).to_pylist(), batch.column(2).to_pylist(), strict=True))
        return sum(len(found[one]) == len(answers.blob) for one in answers.keys)

    return read


def measure(amount: int, size: int, repeats: int, folder: Path) -> Table:
    """Return a row for each way: seconds to write and to read back, medians, and bytes on disk for each answer.

    Args:
        amount: answers.
        size: bytes of each.
        repeats: of each way.
        folder: where files are written.

    Raises:
        RuntimeError: a way lost answers.
    """
    answers = MadeAnswers(
        [sha256(str(number).encode()).digest()[:16] for number in range(amount)], bytes(range(256)) * 20
    )
    answers = MadeAnswers(answers.keys, (answers.blob * (size // len(answers.blob) + 1))[:size])
    ways: dict[str, Callable[[Path, MadeAnswers], Callable[[], int]]] = {
        "blocks with checksums (ours)": blocks,
        "SQLite, a row for each answer": lambda path, all_of: rows(path, all_of, indexed=False),
        "SQLite, rows under their key": lambda path, all_of: rows(path, all_of, indexed=True),
        "Arrow, one stream": parts,
    }
    numbers, readers, sizes = count(), {}, {}

    def writing(name: str) -> Callable[[], None]:
        def write() -> None:
            path = folder / f"{next(numbers)}.file"
            readers[name] = ways[name](path, answers)
            sizes[name] = sum(each.stat().st_size for each in folder.glob(f"{path.name}*"))

        return write

    def reading(name: str) -> Callable[[], None]:
        def read() -> None:
            if readers[name]() != amount:
                message = f"{name} lost answers"
                raise RuntimeError(message)

        return read

    written = alternate([Function(name, writing(name), lambda: None) for name in ways], warmup=0, repeats=repeats)
    read_back = alternate([Function(name, reading(name), lambda: None) for name in ways], warmup=0, repeats=repeats)
    table = [
        [
            name,
            *(f"{timing[name].median:.2f} ({timing[name].spread:.0%})" for timing in (written, read_back)),
            f"{sizes[name] / amount:,.0f}",
        ]
        for name in ways
    ]
    title = f"{amount:,} answers of {size} bytes in {-(-amount // BATCH):,} batches, {repeats} repeats in turn"
    return Table(title, ["way", "seconds to write (spread)", "seconds to read (spread)", "bytes each on disk"], table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = bench_parser("answer_store", __doc__)
    parser.add_argument("--answers", type=int, default=600_000, help="how many; 600000")
    parser.add_argument("--size", type=int, default=650, help="bytes of each; 650")
    parser.add_argument("--repeats", type=int, default=3, help="of each way; 3")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="harness-answers-") as folder:
        print(measure(options.answers, options.size, options.repeats, Path(folder)).text())
    print(machine_line())


if __name__ == "__main__":
    sys.exit(guarded(main))
