"""The only module that imports `datasets` and `huggingface_hub`: rows of the hub, or of files of its shape.

Everything that leaves it is plain Python: a row is a dictionary, a class label is its name, and None
where the hub has -1 or nothing. A commit is checked, never trusted: offline, `datasets` takes the
newest thing that its cache has of a repository, whatever commit was wanted.
"""

import platform
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import DataError, MissingExtra
from harness.core.origins import Row

#: One value as the hub stores it -> as rows have it.
_Namer = Callable[[Any], Any]


class NamedRows:
    """Rows with names instead of class numbers, as often as they are read."""

    def __init__(self, features: Any, table: Iterable[Row]) -> None:
        self._namers = {column: _namer(feature) for column, feature in (features or {}).items()}
        self._table = table

    def __iter__(self) -> Iterator[Row]:
        for row in self._table:
            yield {column: self._namers.get(column, _same)(value) for column, value in row.items()}


def _packages() -> tuple[Any, Any]:
    """Return `datasets` and `huggingface_hub`, without progress bars where standard error is no terminal.

    Raises:
        MissingExtra: they are not installed.
    """
    try:
        import datasets
        import huggingface_hub as hub
    except ImportError as error:
        raise MissingExtra(error.name or "datasets", "train") from error
    # What failed is said once, in the error.
    datasets.logging.set_verbosity_error()
    hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets, hub


def load_rows(repository: str, config: str, split: str, revision: str) -> Iterable[Row]:
    """Return the rows of one split of a hub dataset at one commit, from the cache or the hub.

    Args:
        repository: ``owner/name``.
        config: the configuration's name.
        split: the hub's name of the split.
        revision: a commit, 40 hex digits.

    Raises:
        DataError: the hub cannot be reached, or has no such repository, commit, configuration or
            split; offline, the cache lacks it or holds another commit.
        MissingExtra: `datasets` is not installed.
    """
    datasets, _ = _packages()
    what = f"{repository} {config} {split} at {revision}"
    try:
        builder = datasets.load_dataset_builder(repository, config, revision=revision)
        if builder.hash == revision:
            builder.download_and_prepare()
            table = builder.as_dataset(split=split)
    # RuntimeError: the repository has a loading script; OSError: connections and the hub's own errors.
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise _failed(datasets, what, error) from error
    if builder.hash != revision:
        message = (
            f"the cache of datasets holds {repository} {config} at commit {builder.hash}, not at {revision}; "
            f"go online once, or take that one with `--revision {builder.hash}`"
        )
        raise DataError(message)
    return NamedRows(table.features, table)


def local_rows(files: Sequence[Path]) -> Iterator[Row]:
    """Return the rows of parquet or JSON files, which are of one kind, in order.

    Raises:
        DataError: a file cannot be read.
        MissingExtra: `datasets` is not installed.
    """
    datasets, _ = _packages()
    kind = "parquet" if files[0].suffix == ".parquet" else "json"
    try:
        # Streaming, so that nothing is copied into a cache.
        table = datasets.load_dataset(kind, data_files=[str(file) for file in files], split="train", streaming=True)
        yield from NamedRows(table.features, table)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        message = f"{files[0]} cannot be read as {kind} ({_first_line(error)}); copy it from the hub again"
        raise DataError(message) from error


def resolve_commit(repository: str, revision: str | None) -> str:
    """Return the commit that a branch or tag is at now; the default branch without one.

    Raises:
        DataError: the hub cannot be reached, or has no such repository or revision.
        MissingExtra: `huggingface_hub` is not installed.
    """
    datasets, hub = _packages()
    what = f"the commit of {repository}" + (f" {revision}" if revision else "")
    try:
        if datasets.config.HF_HUB_OFFLINE:
            raise hub.errors.OfflineModeIsEnabled
        return str(hub.HfApi().dataset_info(repository, revision=revision).sha)
    except (OSError, ValueError) as error:
        raise _failed(datasets, what, error) from error


def unpack(repository: str, file: str, revision: str, folder: Path) -> None:
    """Unpack a tar file of a hub dataset at one commit into a folder.

    Raises:
        DataError: the file cannot be had, or is no tar file.
        MissingExtra: `huggingface_hub` is not installed.
    """
    datasets, hub = _packages()
    what = f"{repository} {file} at {revision}"
    if not hasattr(tarfile, "data_filter"):
        # Without it an archive could write outside of its folder.
        message = (
            f"{what} is an archive, which Python {platform.python_version()} cannot unpack safely; use Python 3.11.4 "
            "or later, or give a local copy with `--from`"
        )
        raise DataError(message)
    offline = datasets.config.HF_HUB_OFFLINE
    try:
        path = hub.hf_hub_download(
            repository, file, repo_type="dataset", revision=revision, local_files_only=bool(offline)
        )
    except (OSError, ValueError) as error:
        raise _failed(datasets, what, error) from error
    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        message = f"{what} cannot be unpacked ({_first_line(error)}); remove it from the hub's cache and try again"
        raise DataError(message) from error


def _failed(datasets: Any, what: str, error: Exception) -> DataError:
    """Return the error for something that the hub or its cache did not give."""
    if datasets.config.HF_HUB_OFFLINE:
        return DataError(
            f"{what} is not in the cache ({_first_line(error)}), and HF_HUB_OFFLINE or HF_DATASETS_OFFLINE forbids the "
            f"hub; unset it, let HF_HOME name the cache that has it, or give a local copy with `--from`"
        )
    return DataError(
        f"{what} cannot be loaded ({_first_line(error)}); check the connection and the names, or give a local copy "
        f"with `--from`"
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}".rstrip(": ")


def _namer(feature: Any) -> _Namer:
    names = getattr(feature, "names", None)
    if names is not None:
        return lambda value: None if value is None or value < 0 else names[value]
    inner = getattr(feature, "feature", None)
    if inner is not None:
        namer = _namer(inner)
        return _same if namer is _same else lambda values: [namer(value) for value in values]
    return _same


def _same(value: Any) -> Any:
    return value
