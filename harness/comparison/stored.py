"""The answers that a run's journal holds: statistics and predictions of each example, read only."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError
from harness.evaluation.journal import READABLE, VERSION
from harness.evaluation.request import JOURNAL


@dataclass(frozen=True, slots=True, eq=False)
class StoredRow:
    """One task in one language."""

    ids: tuple[str, ...]
    #: The metric's statistics (examples, columns).
    counts: NDArray[np.float64]


class StoredAnswers:
    """The predictions of one run; the folder may be read-only."""

    def __init__(self, folder: Path) -> None:
        """Open a run's journal.

        Raises:
            UsageError: there is none, or another version wrote it.
        """
        self._folder = folder
        path = folder / JOURNAL
        if not path.is_file():
            message = (
                f"run {folder} has no {JOURNAL}, and without the answers to each example nothing can be compared; "
                f"copy the file beside its scores, or evaluate again with `harness eval`"
            )
            raise UsageError(message)
        self._connection = _opened(path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            message = (
                f"{self._folder / JOURNAL} is damaged ({error}); remove its folder and evaluate again with "
                "`harness eval`: what was answered is kept in the answer store"
            )
            raise UsageError(message) from error

    def row(self, task: str, language: str) -> StoredRow:
        """Return the statistics of every example of one task and language, in the order of its file.

        Raises:
            UsageError: the journal has none.
        """
        rows = self._connection.execute(
            "SELECT id, counts FROM prediction WHERE task = ? AND language = ? ORDER BY example", (task, language)
        ).fetchall()
        if not rows:
            message = (
                f"run {self._folder} has no prediction of {task} in {language!r}; compute them again with "
                f"`harness rescore {self._folder}`"
            )
            raise UsageError(message)
        counts = msgspec.json.decode(f"[{','.join(text for _, text in rows)}]", type=list[list[float]])
        return StoredRow(tuple(name for name, _ in rows), np.array(counts, dtype=np.float64))

    def predictions(self, task: str, language: str) -> list[Any]:
        """Return the prediction of every example, in the order of its file."""
        rows = self._connection.execute(
            "SELECT prediction FROM prediction WHERE task = ? AND language = ? ORDER BY example", (task, language)
        )
        return [msgspec.json.decode(text) for (text,) in rows]


def _opened(path: Path) -> sqlite3.Connection:
    """Return a connection that writes nothing.

    Raises:
        UsageError: it is no journal of this version.
    """
    # Without a write-ahead log nobody writes, and nothing is left in the folder. Reading one needs its shared memory,
    # which a folder that is read-only does not allow; nobody writes there either.
    written = path.with_name(f"{path.name}-wal").exists()
    for mode in ("mode=ro", "immutable=1") if written else ("immutable=1",):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (there,) = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'prediction'").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            problem = str(error)
            continue
        except sqlite3.DatabaseError as error:
            connection.close()
            problem = str(error)
            break
        if there and version in READABLE:
            return connection
        connection.close()
        problem = f"version {version}, this is {VERSION}"
        break
    message = (
        f"{path} is not a journal that this version reads ({problem}); use the version of the harness that wrote it, "
        "or evaluate again with `harness eval`"
    )
    raise UsageError(message)
