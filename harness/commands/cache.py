"""`harness cache`: what is kept under `cache/`, whether it is whole, and its bound.

Answers cost graph time and rows cost tokenizing; all of it can be made again. What was used least recently goes first.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from harness.artifacts.workspace import Workspace
from harness.core.errors import UsageError
from harness.core.files import disk_bytes, size_text
from harness.core.progress import Progress, counted
from harness.core.tables import Table
from harness.evaluation.answers import SUFFIX, AnswerOrigin, AnswerStore
from harness.tokenization.cache import SUFFIX as ROWS
from harness.tokenization.cache import TokenCache

#: Says how large answers and rows may be together after an evaluation.
VARIABLE = "HARNESS_CACHE_SIZE"
BOUND = "50GB"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_DAY = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFile:
    """One file of the cache."""

    path: Path
    size: int
    #: Seconds since the epoch at which a run last opened it.
    used: float

    @property
    def parts(self) -> list[Path]:
        """Return the file and what SQLite keeps beside it."""
        beside = (self.path.with_name(f"{self.path.name}{end}") for end in ("-wal", "-shm"))
        return [self.path, *(path for path in beside if path.exists())]


def kept(workspace: Workspace) -> list[CacheFile]:
    """Return the files of the cache, the least recently used first."""
    paths = [*workspace.answers.glob(f"*{SUFFIX}"), *workspace.tokens.glob(f"*{ROWS}")]
    found = [
        CacheFile(path=path, size=disk_bytes(path.parent.glob(f"{path.name}*")), used=path.stat().st_mtime)
        for path in paths
    ]
    return sorted(found, key=lambda each: each.used)


def table(workspace: Workspace) -> Table:
    """Return one row for each graph's answers, and one for all tokenized rows."""
    graphs = {
        artifact.graph_sha256: artifact.name
        for model in workspace.artifacts.models()
        for artifact in workspace.artifacts.of(model)
    }
    rows, tokens = [], [each for each in kept(workspace) if each.path.suffix == ROWS]
    for each in reversed(kept(workspace)):
        if each.path.suffix == SUFFIX:
            origin, count = _about(each.path)
            reference = origin.numerics.startswith("torch ")
            other = "a checkpoint, for the gate of its graphs" if reference else "which no exported model has"
            name = graphs.get(origin.graph, f"{origin.graph[:12]}, {other}")
            rows.append([name, origin.numerics or "unknown", f"{count:,}", size_text(each.size), _ago(each.used)])
    if tokens:
        size = size_text(sum(each.size for each in tokens))
        rows.append(["tokenized rows", counted(len(tokens), "files"), "", size, _ago(tokens[-1].used)])
    if not rows:
        rows.append(["nothing is kept", "", "", "", ""])
    return Table(f"cache of {workspace.root}", ["graph", "computed by", "answers", "size", "last used"], rows)


def _about(path: Path) -> tuple[AnswerOrigin, int]:
    """Return what a file's answers are of, and how many batches it has.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            about = dict(connection.execute("SELECT key, value FROM about"))
            (count,) = connection.execute("SELECT COALESCE(SUM(LENGTH(keys)), 0) / 16 FROM block").fetchone()
    except sqlite3.DatabaseError as error:
        message = f"{path} cannot be read ({error}); mend it with `harness cache verify`"
        raise UsageError(message) from error
    origin = AnswerOrigin(
        graph=about.get("graph", ""), numerics=about.get("numerics", ""), by_batch=about.get("by_batch") == "True"
    )
    return origin, count


def verify(workspace: Workspace, progress: Progress) -> list[str]:
    """Compare every checksum, drop what is damaged, and return a line for each damaged block or file."""
    found: list[str] = []
    paths = sorted(workspace.answers.glob(f"*{SUFFIX}"))
    with progress.step("checking answers", len(paths), "files") as advance:
        for path in paths:
            try:
                origin, _ = _about(path)
            except UsageError as error:
                found.append(f"{error}; what can be read of it is kept")
                origin = AnswerOrigin(graph="")
            with AnswerStore(path, origin) as store:
                found += store.verify()
            advance(1)
    return found + list(TokenCache(workspace.tokens).verify())


def bound() -> int:
    """Return the bytes that the cache may take: HARNESS_CACHE_SIZE, or 50 GB.

    Raises:
        UsageError: the variable is no size.
    """
    return bytes_of(os.environ.get(VARIABLE, BOUND))


def prune(workspace: Workspace, size: int, since: float = float("inf")) -> list[CacheFile]:
    """Remove files until the rest is no larger than a size, the least recently used first; return what was removed.

    A file that a run has open stays.

    Args:
        workspace: whose cache.
        size: bytes.
        since: what was used after this time stays, in seconds since the epoch.
    """
    found, removed = kept(workspace), []
    excess = sum(each.size for each in found) - size
    for each in found:
        if excess <= 0:
            break
        if each.used < since and _remove(each):
            removed.append(each)
            excess -= each.size
    return removed


def _remove(each: CacheFile) -> bool:
    if each.path.suffix != SUFFIX:
        # Whoever has mapped it keeps it until its run ends.
        each.path.unlink(missing_ok=True)
        return True
    lock = each.path.with_suffix(".lock")
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        for path in each.parts:
            path.unlink(missing_ok=True)
    return True


def bytes_of(text: str) -> int:
    """Return the bytes that a size means: ``20GB``, ``500MB``, ``0``.

    Raises:
        UsageError: it is no size.
    """
    number, factor = text.strip().upper(), 1
    for unit, value in _UNITS.items():
        if number.endswith(unit):
            number, factor = number.removesuffix(unit).strip(), value
            break
    try:
        size = float(number) * factor
    except ValueError:
        size = -1.0
    if not 0 <= size < float("inf"):
        message = (
            f"{text!r} is no size; write a number with KB, MB, GB or TB, such as 20GB, behind `--keep` or in {VARIABLE}"
        )
        raise UsageError(message)
    return int(size)


def removed_lines(removed: Sequence[CacheFile]) -> Iterator[str]:
    """Yield a line that says what was removed; none where nothing was."""
    if removed:
        freed = size_text(sum(each.size for each in removed))
        yield f"removed {counted(len(removed), 'files')} of the cache, the least recently used; {freed} are free"


def _ago(used: float) -> str:
    days = (time.time() - used) / _DAY
    return "today" if days < 1 else f"{days:.0f} days ago"
