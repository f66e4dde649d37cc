"""The journal of a run: one SQLite file in which every answer is written once, as it comes.

Observed rows (answers, batches) are only ever added. Predictions and scores are derived from
them and from the data, so a run can be scored again at any time, and resuming is the same query
as starting: which answers are still pending.
"""

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.core.features import Feature
from harness.core.task import Outputs
from harness.core.tensors import GraphSignature

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run      (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS output   (id INTEGER PRIMARY KEY, graph TEXT NOT NULL, feature BLOB NOT NULL,
                                     tokens INTEGER NOT NULL, tensors BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS batch    (id INTEGER PRIMARY KEY, graph TEXT NOT NULL, rows INTEGER NOT NULL,
                                     width INTEGER NOT NULL, useful_tokens INTEGER NOT NULL,
                                     seconds REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS prediction (task TEXT, language TEXT, example INTEGER, id TEXT NOT NULL,
                                     prediction TEXT NOT NULL, counts TEXT NOT NULL,
                                     PRIMARY KEY (task, language, example)) STRICT, WITHOUT ROWID;
"""

#: Of the tables above; counted up where they change, so that an older file is refused and not misread.
VERSION = 2
#: Answers that one statement reads: their numbers are one JSON text.
_READ = 20_000


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """What one batch cost."""

    rows: int
    width: int
    useful_tokens: int
    #: In which the graph was queried for this batch and for none before it: calls overlap, and add up to the whole.
    seconds: float


class Journal:
    """One run's file. Used from one thread: there is one writer.

    Answers are appended and found by their number, which is kept in memory for each feature's key. An
    index over the keys, which are digests, would make SQLite rewrite a page at a random page for each
    answer: 51.9 s for 600,000 answers of 650 bytes in 6,400 batches, against 4.6 s so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Where each graph's answers are: key of the feature -> number.
        self._numbers: dict[str, dict[bytes, int]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{path.parent} cannot be made a folder ({error.strerror}); give another one with `--output`"
            raise UsageError(message) from error
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last batches, which are then pending again; the file stays whole.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            (tables,) = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            if tables and version != VERSION:
                message = f"version {version}, this is {VERSION}"
                raise sqlite3.DatabaseError(message)
            self._connection.executescript(f"{_SCHEMA} PRAGMA user_version = {VERSION};")
        except sqlite3.DatabaseError as error:
            message = f"{path} is not a journal of this version ({error}); give another folder with `--output`"
            raise UsageError(message) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def claim_run(self, identity: Mapping[str, str]) -> None:
        """Claim the file for one run, or check that it is that run's.

        Raises:
            UsageError: the file belongs to another run; names what differs.
        """
        known = dict(self._connection.execute("SELECT key, value FROM run"))
        for key, value in identity.items():
            if known.get(key, value) != value:
                message = (
                    f"{self.path.parent} holds a run with {key} {known[key]!r}, not {value!r}; "
                    f"give another folder with `--output`"
                )
                raise UsageError(message)
        with self._transaction():
            self._connection.executemany("INSERT OR IGNORE INTO run VALUES (?, ?)", identity.items())

    def set_metadata(self, values: Mapping[str, str]) -> None:
        """Write values that may differ from the last time, such as what was queried for."""
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO run VALUES (?, ?)", values.items())

    def answered(self, graph: str) -> set[bytes]:
        """Return the keys of the features that a graph has answered."""
        return set(self._numbers_of(graph))

    def _numbers_of(self, graph: str) -> dict[bytes, int]:
        if graph not in self._numbers:
            rows = self._connection.execute(
                # Of two answers, which two processes at once would leave, the first one counts.
                "SELECT feature, id FROM output WHERE graph = ? ORDER BY id DESC",
                (graph,),
            )
            self._numbers[graph] = dict(rows)
        return self._numbers[graph]

    def record(self, graph: str, features: Sequence[Feature], outputs: Sequence[bytes], batch: BatchRecord) -> None:
        """Write the answers of one batch and its cost, in one transaction.

        A feature that is already there stays as it is: the first answer counts.
        """
        known = self._numbers_of(graph)
        new = {
            feature.key: (len(feature.input_ids), blob)
            for feature, blob in zip(features, outputs, strict=True)
            if feature.key not in known
        }
        with self._transaction():
            (last,) = self._connection.execute("SELECT COALESCE(MAX(id), 0) FROM output").fetchone()
            numbers = range(last + 1, last + 1 + len(new))
            self._connection.executemany(
                "INSERT INTO output VALUES (?, ?, ?, ?, ?)",
                ((number, graph, key, *answer) for number, (key, answer) in zip(numbers, new.items(), strict=True)),
            )
            self._connection.execute(
                "INSERT INTO batch (graph, rows, width, useful_tokens, seconds) VALUES (?, ?, ?, ?, ?)",
                (graph, batch.rows, batch.width, batch.useful_tokens, batch.seconds),
            )
        known.update(zip(new, numbers, strict=True))

    def outputs(self, graph: str, keys: Iterable[bytes], signature: GraphSignature) -> list[Outputs]:
        """Return what a graph answered for the features with these keys, in their order.

        Raises:
            KeyError: a feature has no answer yet.
        """
        known = self._numbers_of(graph)
        wanted = []
        for key in keys:
            if key not in known:
                raise KeyError(key.hex())
            wanted.append(known[key])
        found: dict[int, Outputs] = {}
        distinct = sorted(set(wanted))
        for start in range(0, len(distinct), _READ):
            rows = self._connection.execute(
                "SELECT id, tokens, tensors FROM output WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(distinct[start : start + _READ]),),
            )
            found |= {number: unpack(blob, tokens, signature) for number, tokens, blob in rows}
        return [found[number] for number in wanted]

    def write_predictions(
        self, task: str, language: str, ids: Sequence[str], predictions: Sequence[Any], counts: NDArray[np.float64]
    ) -> None:
        """Replace the predictions of one task and language."""
        rows = (
            (task, language, index, ids[index], json.dumps(prediction, ensure_ascii=False), json.dumps(row.tolist()))
            for index, (prediction, row) in enumerate(zip(predictions, counts, strict=True))
        )
        with self._transaction():
            self._connection.execute("DELETE FROM prediction WHERE task = ? AND language = ?", (task, language))
            self._connection.executemany("INSERT INTO prediction VALUES (?, ?, ?, ?, ?, ?)", rows)

    def metadata(self) -> dict[str, str]:
        """Return what `claim_run` and `set_metadata` wrote."""
        return dict(self._connection.execute("SELECT key, value FROM run"))

    def predictions(self, task: str, language: str) -> list[tuple[str, Any]]:
        """Return (example id, prediction) pairs in the order of the examples."""
        rows = self._connection.execute(
            "SELECT id, prediction FROM prediction WHERE task = ? AND language = ? ORDER BY example", (task, language)
        )
        return [(name, json.loads(text)) for name, text in rows]

    def clear_predictions(self) -> None:
        """Drop every prediction: they are derived, and an earlier selection's must not stay beside this one's."""
        with self._transaction():
            self._connection.execute("DELETE FROM prediction")

    def padding(self, graphs: Sequence[str] | None = None) -> dict[str, float]:
        """Return padded and useful tokens, their ratio, batches, rows and graph seconds.

        Args:
            graphs: count the batches of these only; of all graphs where None.
        """
        chosen = [] if graphs is None else list(graphs)
        where = "" if graphs is None else f" WHERE graph IN ({', '.join('?' * len(chosen))})"
        padded, useful, batches, rows, seconds = self._connection.execute(
            "SELECT COALESCE(SUM(rows * width), 0), COALESCE(SUM(useful_tokens), 0), COUNT(*),"
            f" COALESCE(SUM(rows), 0), COALESCE(SUM(seconds), 0.0) FROM batch{where}",
            chosen,
        ).fetchone()
        return {
            "padded_tokens": padded,
            "useful_tokens": useful,
            "ratio": round(padded / useful, 4) if useful else 1.0,
            "batches": batches,
            "rows": rows,
            "graph_seconds": round(seconds, 3),
        }

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.execute("ROLLBACK" if kind else "COMMIT")


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
