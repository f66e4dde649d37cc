"""What a repository selects to be served, read and checked before a server loads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import ArtifactError, HarnessError
from harness.serving.repository.check import check_version
from harness.serving.repository.layout import Profile, config_path, read_config, selected, selected_in


@dataclass(frozen=True, slots=True)
class Selection:
    """What the repository selects for a graph and its text model."""

    version: int
    #: The text of each model's config, by served name.
    configs: Mapping[str, str]
    #: When the files were written: a version that was refused is tried again once they are written anew.
    written: tuple[int, ...]


def selection(repository: Path, names: Sequence[str], profile: Profile) -> Selection:
    """Return what is selected for a graph and its text model.

    Args:
        repository: the model repository.
        names: the graph's served name, and its text model's where that is served too.
        profile: which of the graph's configs is meant.

    Raises:
        ArtifactError: a config cannot be read, or they select different versions, as they do while that is
            being changed.
    """
    paths = [config_path(repository, name, profile) for name in names]
    try:
        written = tuple(path.stat().st_mtime_ns for path in paths)
    except OSError as error:
        message = f"{error.filename} cannot be read ({error.strerror})"
        raise ArtifactError(message) from error
    configs = {name: read_config(path) for name, path in zip(names, paths, strict=True)}
    found = {name: selected_in(configs[name], path) for name, path in zip(names, paths, strict=True)}
    (version, *others) = set(found.values())
    if version is None or others:
        message = ", ".join(f"{name} selects version {chosen or 'none'}" for name, chosen in found.items())
        raise ArtifactError(message)
    return Selection(version, configs, written)


def read_configs(repository: Path, names: Sequence[str], profile: Profile) -> dict[str, str]:
    """Return the text of each model's config, by served name.

    Raises:
        ArtifactError: one cannot be read.
    """
    return {name: read_config(config_path(repository, name, profile)) for name in names}


def check_published(repository: Path, graphs: Sequence[str], profile: Profile) -> None:
    """Check the selected version of each graph, and its text model's, before a server reads them.

    Raises:
        ArtifactError: one is damaged; names it, and the command that serves the others.
    """
    broken: dict[str, HarnessError] = {}
    for name in graphs:
        try:
            version = selected(config_path(repository, name, profile))
            if version is None:
                message = f"its config for the profile {profile} selects no version; publish it with `harness export`"
                raise ArtifactError(message)
            check_version(repository, name, version)
        except HarnessError as error:
            broken[name] = error
    if broken:
        first, reason = next(iter(broken.items()))
        more = f" (nor can {len(broken) - 1} more)" if len(broken) > 1 else ""
        others = ",".join(name for name in graphs if name not in broken)
        hint = f"; the others are served with `--models {others}`" if others else ""
        message = f"{first} cannot be served{more}: {reason}{hint}"
        raise ArtifactError(message)
