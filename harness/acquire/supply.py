"""Where rows are taken from: the hub, or a local folder in the official or the hub's layout."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, Self

from harness.acquire import client
from harness.acquire.catalogue import Dataset
from harness.benchmark.origins.converters import Verbatim, renamed
from harness.core.errors import UsageError
from harness.core.layout import Split
from harness.core.origins import Archive, Converter, Hub, Official, Part, Repository, Row, fill
from harness.core.progress import Progress

_COMMIT = re.compile(r"[0-9a-f]{40}")

#: Where a clone of a repository, or of its parquet export, has the files of a configuration and split.
_SHAPES = (
    "{config}/{split}-*.parquet",
    "{config}/{split}/*.parquet",
    "{config}/{split}.parquet",
    "{config}/{split}*.jsonl",
    "{config}/{split}*.json",
    "{split}/{config}.jsonl*",
    "data/{split}-*.parquet",
)


@dataclass(frozen=True, slots=True)
class Supply:
    """Rows, and where they are from."""

    rows: Iterable[Row]
    convert: Converter
    origin: Mapping[str, str]
    defect: str = ""
    unofficial: str = ""


class Supplier(Protocol):
    """Gives the rows of one language and split."""

    def find(self, dataset: Dataset, language: str, split: Split) -> Supply | None:
        """Return the rows, or None where the supplier has none.

        Raises:
            DataError: the hub or its cache failed, so that going on is of no use.
        """
        ...

    def pool(self, dataset: Dataset, split: Split) -> Supply | None:
        """Return the rows of the candidates that all languages share, or None."""
        ...

    def differs(self, dataset: Dataset, language: str, split: Split, origin: Mapping[str, str]) -> bool:
        """Return whether a file from `origin` is not what this supplier would give."""
        ...

    def explain(self, dataset: Dataset, split: Split) -> str:
        """Return why there are no rows, and what to do."""
        ...


def _served(hub: Hub, language: str, split: Split, repository: str | None) -> Iterator[Part]:
    """Yield the parts that have the rows; those that are not official only by name."""
    for part in hub.parts:
        named = part.repository.name == repository
        if part.serves(language, split) and (named or (repository is None and not part.unofficial)):
            yield part


def _selected(part: Part, rows: Iterable[Row], language: str) -> Iterable[Row]:
    if part.rename:
        rows = renamed(rows, part.rename)
    if not part.id_prefix:
        return rows
    prefix = fill(part.id_prefix, language)
    return _of_prefix(rows, prefix)


def _of_prefix(rows: Iterable[Row], prefix: str) -> Iterator[Row]:
    for row in rows:
        if str(row.get("id", "")).partition("-")[0] == prefix:
            yield row


class FromHub:
    """Rows of the hub's repositories, each at its pinned commit."""

    def __init__(self, progress: Progress, *, repository: str | None = None, revision: str | None = None) -> None:
        self._progress = progress
        self._repository = repository
        self._revision = revision
        self._commits: dict[str, str] = {}
        #: The rows that were loaded last: one configuration may hold many languages.
        self._loaded: tuple[tuple[str, ...], Iterable[Row]] | None = None
        self._unpacked: dict[Archive, FromFolder] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def find(self, dataset: Dataset, language: str, split: Split) -> Supply | None:
        """See `Supplier`."""
        hub = dataset.hub
        if hub is None:
            return None
        part = next(_served(hub, language, split, self._repository), None)
        if part is None:
            folder = self._archive(hub)
            supply = folder.find(dataset, language, split) if folder else None
            return self._from_archive(hub, supply)
        commit = self._commit(part.repository)
        key = (part.repository.name, fill(part.config, language), part.splits[split], commit)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = (key, client.load_rows(*key))
        names = ("repository", "config", "split", "revision")
        return Supply(
            _selected(part, self._loaded[1], language),
            hub.convert,
            dict(zip(names, key, strict=True)),
            part.defect,
            part.unofficial,
        )

    def pool(self, dataset: Dataset, split: Split) -> Supply | None:
        """See `Supplier`."""
        folder = self._archive(dataset.hub) if dataset.hub else None
        return self._from_archive(dataset.hub, folder.pool(dataset, split)) if dataset.hub and folder else None

    def differs(self, dataset: Dataset, language: str, split: Split, origin: Mapping[str, str]) -> bool:
        """See `Supplier`; what came from a folder is left as it is."""
        part = next(_served(dataset.hub, language, split, self._repository), None) if dataset.hub else None
        if part is None or "repository" not in origin:
            return False
        wanted = self._commit(part.repository) if self._revision else part.repository.revision
        return origin["repository"] != part.repository.name or wanted not in (None, origin["revision"])

    def explain(self, dataset: Dataset, split: Split) -> str:
        """See `Supplier`."""
        hub = dataset.hub
        if hub is None:
            return "no origin is declared for it; put its files there by hand"
        if self._repository:
            known = dict.fromkeys(part.repository.name for part in hub.parts)
            return f"{self._repository} has none of it; the repositories are {', '.join(known) or 'none'}"
        return hub.refusal or f"no repository of the hub has its {split} split; {hub.note or 'see docs/data.md'}"

    def _commit(self, repository: Repository) -> str:
        """Return the commit to load: what the user asked for, the pin, or the current one, which is printed."""
        if repository.name not in self._commits:
            wanted = self._revision or repository.revision
            if wanted is None or not _COMMIT.fullmatch(wanted):
                resolved = client.resolve_commit(repository.name, wanted)
                self._progress.say(f"{repository.name}: {wanted or 'not pinned'}, now at commit {resolved}")
                wanted = resolved
            self._commits[repository.name] = wanted
        return self._commits[repository.name]

    def _archive(self, hub: Hub) -> "FromFolder | None":
        if hub.archive is None or self._repository not in (None, hub.archive.repository.name):
            return None
        if hub.archive not in self._unpacked:
            folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="harness-data-")))
            repository = hub.archive.repository
            client.unpack(repository.name, hub.archive.file, self._commit(repository), folder)
            self._unpacked[hub.archive] = FromFolder(folder)
        return self._unpacked[hub.archive]

    def _from_archive(self, hub: Hub, supply: Supply | None) -> Supply | None:
        if supply is None or hub.archive is None:
            return None
        repository = hub.archive.repository
        origin = {
            "repository": repository.name,
            "file": hub.archive.file,
            "revision": self._commit(repository),
        }
        return Supply(supply.rows, supply.convert, origin)


class FromFolder:
    """Rows of a local folder: the official download's files, or clones of the hub's repositories."""

    def __init__(self, folder: Path, *, repository: str | None = None) -> None:
        if not folder.is_dir():
            message = f"folder {folder} does not exist; `--from` names the official download or a copy of the hub's"
            raise UsageError(message)
        self._folder = folder
        self._repository = repository

    def find(self, dataset: Dataset, language: str, split: Split) -> Supply | None:
        """See `Supplier`."""
        hub = dataset.hub
        if hub is None:
            return None
        if self._repository is None:
            found = self._official(hub.official, language, split)
            if found is not None:
                official, paths = found
                origin = {"folder": str(self._folder), "layout": "official"}
                return Supply(official.rows(paths, language), hub.convert, origin)
        for part in _served(hub, language, split, self._repository):
            files = self._files(part, language, split)
            if files:
                rows = _selected(part, client.local_rows(files), language)
                origin = {"folder": str(self._folder), "layout": part.repository.name}
                return Supply(rows, hub.convert, origin, part.defect, part.unofficial)
        return None

    def pool(self, dataset: Dataset, split: Split) -> Supply | None:
        """See `Supplier`."""
        found = self._official(dataset.hub.pool, "en", split) if dataset.hub else None
        if found is None:
            return None
        official, paths = found
        return Supply(official.rows(paths, "en"), Verbatim(), {"folder": str(self._folder), "layout": "official"})

    def differs(self, dataset: Dataset, language: str, split: Split, origin: Mapping[str, str]) -> bool:
        """See `Supplier`; a folder has no commit, so what is there is left as it is."""
        return False

    def explain(self, dataset: Dataset, split: Split) -> str:
        """See `Supplier`."""
        text = f"{self._folder} has no such files, neither as in the official download nor as in the hub's"
        note = dataset.hub.note or dataset.hub.refusal if dataset.hub else ""
        return f"{text}; {note}" if note else text

    def _official(
        self, candidates: Iterable[Official], language: str, split: Split
    ) -> tuple[Official, tuple[Path, ...]] | None:
        for official in candidates:
            for base in (self._folder, self._folder / "download"):
                paths = official.paths(base, language, split)
                if paths and all(path.is_file() for path in paths):
                    return official, paths
        return None

    def _files(self, part: Part, language: str, split: Split) -> list[Path]:
        """Return the files of a configuration and split in a clone, which may lie in a folder of its name."""
        names = {"config": escape(fill(part.config, language)), "split": escape(part.splits[split])}
        owner, _, name = part.repository.name.partition("/")
        for base in (self._folder / owner / name, self._folder / name, self._folder):
            for shape in _SHAPES:
                files = sorted(base.glob(shape.format(**names)))
                if files:
                    return files
        return []


def check_repository(datasets: Iterable[Dataset], repository: str | None, revision: str | None) -> None:
    """Refuse a repository that no dataset names, and a revision for more than one repository.

    Raises:
        UsageError: names the repositories there are.
    """
    hubs = [(dataset, dataset.hub) for dataset in datasets if dataset.hub]
    known = dict.fromkeys(part.repository.name for _, hub in hubs for part in hub.parts)
    known |= dict.fromkeys(hub.archive.repository.name for _, hub in hubs if hub.archive)
    if repository is not None and repository not in known:
        message = f"no repository {repository!r} is declared for these; there are {', '.join(known) or 'none'}"
        raise UsageError(message)
    used = dict.fromkeys(
        part.repository.name
        for dataset, hub in hubs
        for split in dataset.splits
        for language in dataset.languages
        for part in [next(_served(hub, language, split, None), None)]
        if part
    )
    used |= dict.fromkeys(hub.archive.repository.name for _, hub in hubs if hub.archive)
    if revision is not None and repository is None and len(used) != 1:
        message = (
            f"`--revision {revision}` is of one repository, but these take rows from {', '.join(used) or 'none'}; "
            f"say which with `--repository`"
        )
        raise UsageError(message)
