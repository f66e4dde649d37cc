"""What `harness data get` wrote, with checksums: ``DEST/manifests/<name>.json``, one for each dataset."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import DataError
from harness.core.files import file_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file's entry."""

    sha256: str
    #: Examples that the reader of one dataset finds in the file; another one may find others.
    examples: int
    reader: str
    #: Repository, revision, configuration and split; or the local folder and which layout it had.
    origin: Mapping[str, str]
    #: Why the rows are not the benchmark's own.
    unofficial: str = ""
    remarks: Mapping[str, int] = field(default_factory=dict)

    def fits(self, path: Path) -> bool:
        """Return whether a file is still what was written."""
        return path.is_file() and file_sha256(path) == self.sha256


def load(dest: Path) -> dict[str, FileRecord]:
    """Return the records of all manifests by the files' paths below DEST.

    Raises:
        DataError: a manifest is malformed.
    """
    found: dict[str, FileRecord] = {}
    for path in sorted((dest / "manifests").glob("*.json")):
        try:
            files = json.loads(path.read_text(encoding="utf-8"))["files"]
            found |= {name: FileRecord(**entry) for name, entry in files.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{path} is not a manifest of `harness data get` ({error!r}); remove it and get the data again"
            raise DataError(message) from error
    return found


def record(dest: Path, dataset: str, entries: Mapping[str, FileRecord]) -> None:
    """Add entries to a dataset's manifest; the file is replaced as a whole."""
    path = dest / "manifests" / f"{dataset}.json"
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["files"] if path.is_file() else {}
    known |= {name: asdict(entry) for name, entry in entries.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"dataset": dataset, "files": dict(sorted(known.items()))}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def relative(dest: Path, paths: Iterable[Path]) -> list[str]:
    """Return the names under which files are recorded."""
    return [path.relative_to(dest).as_posix() for path in paths]
