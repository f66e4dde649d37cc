"""Which graphs the runs of a workspace name, wherever their folders are: `.runs/` has one small file for each.

An evaluation with `--output` may lie on another disk, which is not always there, and one that is not finished has no
scores yet. Each notes its folder and its graphs when it starts, so that `harness gc` never removes what it names.
"""

import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from harness.artifacts.workspace import Workspace
from harness.core.errors import ArtifactError
from harness.core.files import write_json
from harness.core.records import Record, read_record, to_json

_FOLDER = ".runs"
#: Seconds in which the folder of a run that has just started need not be there yet.
_STARTING = 24 * 3600


class KnownRun(Record, frozen=True, kw_only=True):
    """One run."""

    newest: ClassVar[int] = 1

    #: Its folder, absolute.
    folder: str
    #: Digests of the graphs that answer it.
    graph_sha256: list[str]


def note_run(workspace: Workspace, folder: Path, graphs: Iterable[str]) -> None:
    """Note a run before its first answer; one with the same folder is replaced.

    Args:
        workspace: whose graphs answer.
        folder: of the run.
        graphs: digests of the graphs.
    """
    place = folder.resolve()
    run = KnownRun(folder=str(place), graph_sha256=sorted(set(graphs)))
    write_json(workspace.root / _FOLDER / f"{sha256(str(place).encode()).hexdigest()[:16]}.json", to_json(run))


def named_graphs(workspace: Workspace) -> set[str]:
    """Return the digests of all graphs that a noted run names.

    A run counts until somebody deletes its folder. Where the folder above it is not there either, as with a disk that
    is not mounted, it counts.

    Raises:
        ArtifactError: a note is damaged, so that nobody knows what it names.
    """
    found: set[str] = set()
    for path in sorted((workspace.root / _FOLDER).glob("*.json")):
        run = read_record(path, KnownRun, ArtifactError, "evaluate again with `harness eval`, or delete it")
        folder = Path(run.folder)
        deleted = folder.parent.is_dir() and not folder.is_dir()
        if not deleted or time.time() - path.stat().st_mtime < _STARTING:
            found |= set(run.graph_sha256)
    return found
