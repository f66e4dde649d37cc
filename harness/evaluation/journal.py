"""The journal of a run: one SQLite file with what the run asked, what it cost, and what was predicted from it.

A run is a view: it names the graphs and rows that it needs, and the answers are in the stores of the workspace
(`harness.evaluation.answers`), where every other run finds them too. Predictions and scores are derived from the
answers and the data, so a run can be scored again at any time, and resuming is the same query as starting: which
answers are still pending.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from harness.evaluation.answers import AnswerOrigin, AnswerStore, batch_keys, unpack
from harness.inference.planner import Batch

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run      (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS batch    (id INTEGER PRIMARY KEY, graph TEXT NOT NULL, rows INTEGER NOT NULL,
                                     width INTEGER NOT NULL, useful_tokens INTEGER NOT NULL,
                                     seconds REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS view     (graph TEXT, feature BLOB, answer BLOB NOT NULL,
                                     PRIMARY KEY (graph, feature)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prediction (task TEXT, language TEXT, example INTEGER, id TEXT NOT NULL,
                                     prediction TEXT NOT NULL, counts TEXT NOT NULL,
                                     PRIMARY KEY (task, language, example)) STRICT, WITHOUT ROWID;
"""

#: Of the tables above; counted up where they change, so that an older file is refused and not misread.
VERSION = 3
#: Versions whose predictions can be read: version 2 kept the answers in the run's own file.
READABLE = (2, VERSION)
#: Held by the process that writes a run.
LOCK = ".writing"
#: Where the answers of a run lie if it shares no store.
ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """What one batch cost."""

    rows: int
    width: int
    useful_tokens: int
    #: In which the graph was queried for this batch and for none before it: calls overlap, and add up to the whole.
    seconds: float


class Journal:
    """One run's file, and its view of the answers. Used from one thread: there is one writer."""

    def __init__(self, path: Path, answers: Path | None = None) -> None:
        """Open a run's file, or make it.

        Args:
            path: the file.
            answers: the folder of the stores; `answers` beside the file where None, for a run that shares nothing.

        Raises:
            UsageError: it cannot be made, or another version wrote it.
        """
        self.path = path
        self._answers = answers or path.parent / ANSWERS
        self._origins: dict[str, AnswerOrigin] = {}
        self._stores: dict[str, AnswerStore] = {}
        #: Of graphs whose answers depend on the batch: key of the row -> key of the answer.
        self._views: dict[str, dict[bytes, bytes]] = {}
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
        for store in self._stores.values():
            store.close()
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
            message = (
                f"{self.path} cannot be written ({error}); make room or make the folder writable, and run the same "
                "command again: what was answered is kept"
            )
            raise UsageError(message) from error
        if isinstance(error, sqlite3.DatabaseError):
            message = (
                f"{self.path} is damaged ({error}); remove its folder and run the same command again: what was "
                "answered is kept in the answer store"
            )
            raise UsageError(message) from error

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

    def attach(self, origin: AnswerOrigin) -> None:
        """Note what computes a graph's answers in this run; those of another origin are none of this run's.

        What an earlier run in the same folder saw of the graph is forgotten, so that it changes nothing.
        """
        graph = origin.graph
        with self._transaction():
            self._connection.execute("DELETE FROM view WHERE graph = ?", (graph,))
            self._connection.execute(
                "INSERT OR REPLACE INTO run VALUES (?, ?)",
                (_origin_key(graph), json.dumps([origin.numerics, origin.by_batch])),
            )
        self._views.pop(graph, None)
        if self._origins.get(graph) != origin and graph in self._stores:
            self._stores.pop(graph).close()
        self._origins[graph] = origin

    def origin(self, graph: str) -> AnswerOrigin:
        """Return what computed a graph's answers in this run."""
        if graph not in self._origins:
            noted = self.metadata().get(_origin_key(graph))
            numerics, by_batch = ("", False) if noted is None else json.loads(noted)
            self._origins[graph] = AnswerOrigin(graph=graph, numerics=numerics, by_batch=by_batch)
        return self._origins[graph]

    def _store(self, graph: str) -> AnswerStore:
        if graph not in self._stores:
            origin = self.origin(graph)
            self._stores[graph] = AnswerStore(self._answers / origin.file, origin)
        return self._stores[graph]

    def stored(self, graph: str) -> set[bytes]:
        """Return the keys of all answers of a graph, of other runs too; see `AnswerStore.keys`."""
        return self._store(graph).keys()

    def answered(self, graph: str) -> set[bytes]:
        """Return the keys of the rows whose answers this run can read."""
        stored = self.stored(graph)
        if not self.origin(graph).by_batch:
            return stored
        return {row for row, answer in self._view(graph).items() if answer in stored}

    def batches(self, graph: str) -> list[tuple[list[bytes], int]]:
        """Return the batches of a graph's store: the keys of their rows, in order, and the width."""
        return self._store(graph).batches()

    def see(self, graph: str, rows: Sequence[Feature], batches: Sequence[Batch]) -> None:
        """Note in which batches this run takes the answers to rows, where an answer depends on its batch.

        A row that is in two batches of a run has the answer of the first.
        """
        if not self.origin(graph).by_batch:
            return
        view, new = self._view(graph), {}
        for batch in batches:
            keys = [rows[row].key for row in batch.rows]
            for key, answer in zip(keys, batch_keys(keys, batch.width), strict=True):
                if key not in view:
                    view[key] = new[key] = answer
        with self._transaction():
            self._connection.executemany("INSERT INTO view VALUES (?, ?, ?)", ((graph, *pair) for pair in new.items()))

    def _view(self, graph: str) -> dict[bytes, bytes]:
        if graph not in self._views:
            rows = self._connection.execute("SELECT feature, answer FROM view WHERE graph = ?", (graph,))
            self._views[graph] = dict(rows)
        return self._views[graph]

    def record(self, graph: str, features: Sequence[Feature], outputs: Sequence[bytes], batch: BatchRecord) -> None:
        """Write the answers of one batch into the graph's store, and its cost into the run.

        A row that has an answer there keeps it: the first answer counts.
        """
        keys = [feature.key for feature in features]
        self._store(graph).add(keys, [len(feature.input_ids) for feature in features], outputs, batch.width)
        with self._transaction():
            self._connection.execute(
                "INSERT INTO batch (graph, rows, width, useful_tokens, seconds) VALUES (?, ?, ?, ?, ?)",
                (graph, batch.rows, batch.width, batch.useful_tokens, batch.seconds),
            )

    def outputs(self, graph: str, keys: Iterable[bytes], signature: GraphSignature) -> list[Outputs]:
        """Return what a graph answered for the features with these keys, in their order.

        Raises:
            KeyError: a feature has no answer yet.
            DamagedAnswers: an answer is not what was written; it was dropped.
        """
        wanted = list(keys)
        if self.origin(graph).by_batch:
            view = self._view(graph)
            wanted = [view[key] for key in wanted]
        return [unpack(blob, tokens, signature) for tokens, blob in self._store(graph).read(wanted)]

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


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep a run's folder for this process while the context lasts.

    Raises:
        UsageError: another process writes it; names that process.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a+", encoding="ascii")
    except OSError as error:
        message = f"{folder} cannot be written ({error.strerror}); give another folder with `--output`"
        raise UsageError(message) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            message = (
                f"run {folder} is being written by process {lock.read().strip() or 'unknown'}; wait until it ends, or "
                "give another folder with `--output`"
            )
            raise UsageError(message) from error
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        # The file stays: who opened it before it was removed would hold a lock that the next one does not see.
        yield


def _origin_key(graph: str) -> str:
    return f"answers of {graph}"


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.execute("ROLLBACK" if kind else "COMMIT")
