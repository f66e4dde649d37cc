"""Checkpoints of the hub, one commit each, in the hub's own cache: the only module that asks the hub for models.

A repository is listed first, then every file that the harness reads is fetched, so that all that follows reads one
folder and asks nothing: no wait, and no failure, in the middle of a command. What is missing is distinguished from what
could not be asked for: a repository without `modules.json` pools otherwise than one whose `modules.json` nobody saw.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub as hub
from huggingface_hub import constants, errors
from requests.exceptions import RequestException

from harness.core.errors import CheckpointError
from harness.core.files import file_sha256, size_text
from harness.core.progress import Advance, Progress, Silent, counted

#: In the order in which transformers looks for them: the weights in one file, and the index of several.
WEIGHTS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
#: Says how sentence-transformers makes vectors; where nobody knows whether it is there, nobody knows the pooling.
MODULES = "modules.json"
#: Endings of the small files beside the weights: configs, tokenizers, what sentence-transformers writes.
_BESIDE = (".json", ".txt", ".model")
#: A file beside the weights that is larger is none of these; the tokenizer.json of a million pieces has 33 MB.
_BESIDE_BYTES = 200 * 2**20
#: Seconds in which the hub has to begin an answer.
_TIMEOUT = 10.0
#: Seconds between two looks at how much has come.
_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of one commit."""

    folder: Path
    commit: str
    #: The files that the repository has; None where the hub could not be asked, so that the cache alone counts.
    listed: frozenset[str] | None = None
    #: SHA-256 of its large files, as the hub says it.
    sha256: Mapping[str, str] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Return whether it is known if the repository has a file of this name."""
        absent = self.folder.parents[1] / ".no_exist" / self.commit / name
        return self.listed is not None or (self.folder / name).is_file() or absent.is_file()


#: What was fetched by this process, by repository and revision: one command asks once.
_FETCHED: dict[tuple[str, str | None], Snapshot] = {}


def fetch(repository: str, revision: str | None = None, progress: Progress | None = None) -> Snapshot:
    """Return the files of a repository at one commit, from the hub, or from its cache where the hub is out of reach.

    An earlier fetch that was cut short goes on where it stopped.

    Args:
        repository: ``owner/name``.
        revision: a commit, or the name of a branch; ``main`` where None.
        progress: shows what is fetched.

    Raises:
        CheckpointError: there is no such repository or revision, it may not be read, a file is not what the hub says,
            or the hub is out of reach and the cache does not have it.
    """
    known = _FETCHED.get((repository, revision))
    if known is None:
        known = _FETCHED[repository, revision] = _fetch(repository, revision or "main", progress or Silent())
    return known


def _fetch(repository: str, revision: str, progress: Progress) -> Snapshot:
    try:
        with _worded(repository, revision):
            listed = hub.HfApi(endpoint=constants.ENDPOINT).model_info(
                repository, revision=revision, files_metadata=True, timeout=_TIMEOUT
            )
    except _OutOfReach as error:
        there = _cached(repository, revision)
        if there is None:
            message = f"{repository!r} at {revision} is not in the hub's cache, and {error}"
            raise CheckpointError(message) from error
        progress.say(f"{repository}: commit {there.commit} from the hub's cache ({error.reason})")
        return there
    commit = str(listed.sha)
    entries = {entry.rfilename: entry for entry in listed.siblings or ()}
    names = _wanted(entries)
    if not names:
        message = (
            f"{repository!r} at {commit} has no file of a checkpoint among its {counted(len(entries), 'files')}; name "
            f"a repository with config.json, weights and tokenizer"
        )
        raise CheckpointError(message)
    try:
        with _worded(repository, revision):
            paths = _download(repository, commit, names, entries, progress)
    except _OutOfReach as error:
        message = (
            f"fetching {repository!r} broke off ({error.reason}); run the same command again, it goes on where it "
            f"stopped"
        )
        raise CheckpointError(message) from error
    folder = next(iter(paths.values())).parents[next(iter(paths)).count("/")]
    sha256 = {name: str(entry.lfs.sha256) for name, entry in entries.items() if entry.lfs is not None and name in names}
    for name, digest in sha256.items():
        if file_sha256(paths[name]) != digest:
            message = (
                f"{paths[name]} is not the file that the hub has (its SHA-256 is {digest[:12]}...); delete "
                f"{paths[name].resolve()} and run this again"
            )
            raise CheckpointError(message)
    if MODULES not in entries:
        _note_absence(folder, commit)
    return Snapshot(folder, commit, frozenset(entries), sha256)


def _note_absence(folder: Path, commit: str) -> None:
    """Note in the cache, as the hub's own client does, that a commit has no modules.json: it is then known offline."""
    absent = folder.parents[1] / ".no_exist" / commit / MODULES
    absent.parent.mkdir(parents=True, exist_ok=True)
    absent.touch()


def _wanted(entries: Mapping[str, Any]) -> list[str]:
    """Return the files that the harness reads: one form of the weights, and the small files beside them."""
    single, several = next(
        ((one, index) for one, index in WEIGHTS if one in entries or index in entries), (WEIGHTS[0][0], "")
    )
    weights = [single] if single in entries else [name for name in entries if _is_shard(name, several)]
    beside = [
        name
        for name, entry in entries.items()
        if name.endswith(_BESIDE)
        and name.count("/") <= 1
        and ".." not in name
        and (entry.size or 0) <= _BESIDE_BYTES
        # Exports to other engines have configs of their own.
        and not name.startswith(("onnx/", "openvino/", "."))
    ]
    return sorted({*weights, *(name for name in beside if not name.endswith(".index.json")), *_index(several, entries)})


def _index(several: str, entries: Mapping[str, Any]) -> list[str]:
    return [several] if several in entries else []


def _is_shard(name: str, index: str) -> bool:
    """Return whether a file is one of those that an index is of: ``model-00001-of-00002.safetensors``."""
    stem, _, ending = index.removesuffix(".index.json").rpartition(".")
    return bool(stem) and "/" not in name and name.startswith(f"{stem}-") and name.endswith(f".{ending}")


def _download(
    repository: str, commit: str, names: Sequence[str], entries: Mapping[str, Any], progress: Progress
) -> dict[str, Path]:
    """Return the path of each file, fetched where the cache lacks it."""
    there = {name: hub.try_to_load_from_cache(repository, name, _cache(), commit) for name in names}
    missing = [name for name, path in there.items() if not isinstance(path, str)]
    paths = {name: Path(path) for name, path in there.items() if isinstance(path, str)}
    if not missing:
        return paths
    total = sum(entries[name].size or 0 for name in missing)
    progress.say(f"{repository}: fetching {counted(len(missing), 'files')}, {size_text(total)}, of commit {commit}")
    blobs = Path(_cache()) / hub.file_download.repo_folder_name(repo_id=repository, repo_type="model") / "blobs"

    def get() -> None:
        for name in missing:
            found = hub.hf_hub_download(
                repository,
                name,
                revision=commit,
                etag_timeout=_TIMEOUT,
                endpoint=constants.ENDPOINT,
                cache_dir=_cache(),
            )
            paths[name] = Path(found)

    with progress.step(f"fetching {repository}", total, "bytes") as advance:
        _watched(get, blobs, advance)
    return paths


def _watched(get: Callable[[], None], blobs: Path, advance: Advance) -> None:
    """Run a download, and report how much has come: the hub's client reports to a terminal alone.

    Ctrl-C stops at once, since nobody waits for the thread; what has come is kept.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            get()
        except BaseException as error:
            failed.append(error)

    last = _bytes(blobs)
    thread = threading.Thread(target=run, name="hub", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK)
        now = max(_bytes(blobs), last)
        advance(now - last)
        last = now
    if failed:
        raise failed[0]


def _bytes(blobs: Path) -> int:
    total = 0
    for path in blobs.glob("*"):
        # Renamed when it is whole, meanwhile.
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _cached(repository: str, revision: str) -> Snapshot | None:
    """Return what the cache has of a repository; None where that has no config.json."""
    found = hub.try_to_load_from_cache(repository, "config.json", _cache(), revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return Snapshot(folder, folder.name)


def _cache() -> str:
    return str(constants.HF_HUB_CACHE)


class _OutOfReach(Exception):
    """The hub cannot be asked; the message says why, and what would be right."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason = reason


@contextmanager
def _worded(repository: str, revision: str) -> Iterator[None]:
    """Word what the hub refuses, and mute what its client logs of each try.

    Raises:
        CheckpointError: the hub answers that it does not give this.
        _OutOfReach: it does not answer.
    """
    begin, level = time.monotonic(), hub.logging.get_verbosity()
    hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        for kind, word in _WORDING:
            if isinstance(error, kind):
                raise word(repository, revision, error) from error
        seconds = time.monotonic() - begin
        message = (
            f"fetching {repository!r} from {constants.ENDPOINT} broke off after {seconds:.0f} s ({_cause(error)}); run "
            f"the same command again, it goes on where it stopped"
        )
        raise CheckpointError(message) from error
    finally:
        hub.logging.set_verbosity(level)


def _gated(repository: str, _: str, __: Exception) -> Exception:
    return CheckpointError(
        f"{repository!r} is gated: accept its terms at {constants.ENDPOINT}/{repository}, then set HF_TOKEN to a token "
        f"of that account"
    )


def _no_repository(repository: str, _: str, __: Exception) -> Exception:
    return CheckpointError(
        f"{constants.ENDPOINT} has no repository {repository!r}, or it is private; check the name, or set HF_TOKEN to "
        f"a token that may read it"
    )


def _no_revision(repository: str, revision: str, _: Exception) -> Exception:
    return CheckpointError(
        f"{repository!r} has no commit or branch {revision!r}; {constants.ENDPOINT}/{repository}/commits/main lists "
        f"its commits, and `--revision COMMIT` names one"
    )


def _no_name(repository: str, _: str, __: Exception) -> Exception:
    return CheckpointError(f"{repository!r} is no folder here and no name of a repository, which is OWNER/NAME")


def _forbidden(_: str, __: str, ___: Exception) -> Exception:
    return _OutOfReach("HF_HUB_OFFLINE forbids the hub", "unset it once, or let HF_HOME name the cache that has it")


def _interrupted(repository: str, _: str, error: Exception) -> Exception:
    """Return the error for a file that could not be asked for, after the repository was listed."""
    return CheckpointError(
        f"fetching {repository!r} from {constants.ENDPOINT} broke off ({_cause(error.__cause__ or error)}); run the "
        f"same command again, it goes on where it stopped"
    )


def _status(repository: str, _: str, error: Exception) -> Exception:
    response = getattr(error, "response", None)
    status = None if response is None else response.status_code
    if status in (401, 403):
        return CheckpointError(
            f"{constants.ENDPOINT} refuses the token for {repository!r} (HTTP status {status}); set HF_TOKEN to one "
            f"that may read it, or unset it"
        )
    reason = f"{constants.ENDPOINT} answers with HTTP status {status}"
    return _OutOfReach(reason, "try again later, or give the checkpoint as a folder")


def _unreachable(_: str, __: str, error: Exception) -> Exception:
    reason = f"{constants.ENDPOINT} cannot be reached ({_cause(error)})"
    return _OutOfReach(
        reason, "connect once, let HF_HOME name the cache that has it, or give the checkpoint as a folder"
    )


#: The first that fits counts: most of them are kinds of HfHubHTTPError, which is a RequestException.
_WORDING: Sequence[tuple[Any, Callable[[str, str, Exception], Exception]]] = (
    (errors.GatedRepoError, _gated),
    (errors.RepositoryNotFoundError, _no_repository),
    (errors.RevisionNotFoundError, _no_revision),
    (errors.OfflineModeIsEnabled, _forbidden),
    ((errors.HFValidationError, errors.BadRequestError), _no_name),
    (errors.LocalEntryNotFoundError, _interrupted),
    (errors.HfHubHTTPError, _status),
    (RequestException, _unreachable),
)


def _cause(error: BaseException) -> str:
    """Return the reason of a failed request in a few words: urllib3 wraps it several times."""
    reason: BaseException = error
    while (inner := getattr(reason, "reason", None) or (reason.args[0] if reason.args else None)) is not None:
        if not isinstance(inner, BaseException):
            break
        reason = inner
    text = " ".join(str(reason).split())
    return f"{type(reason).__name__}: {text.rpartition('object at 0x')[2].partition('>: ')[2] or text}"[:160]
