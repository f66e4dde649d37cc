"""Where things are in a model repository: folders, versions, and what the configs select.

Reads names and configs only, so that a listing needs neither a graph nor onnxruntime.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.core.errors import ArtifactError, UsageError, nearest

Profile = Literal["evaluation", "online"]
#: What is appended to a graph's served name.
SUFFIX = "_text"
CONFIG = "config.pbtxt"
CONFIGS = "configs"


def text_name(name: str) -> str:
    """Return the name under which the text model of a graph is served."""
    return name + SUFFIX


def is_text(name: str) -> bool:
    """Return whether a served name is that of a text model."""
    return name.endswith(SUFFIX)


def versions(model: Path) -> list[int]:
    """Return the version numbers in a model's folder, ascending; none if there is no such folder."""
    if not model.is_dir():
        return []
    return sorted(int(path.name) for path in model.iterdir() if path.name.isdecimal() and path.is_dir())


def config_path(repository: Path, name: str, profile: Profile) -> Path:
    """Return the file that a server of a profile reads for a model; a text model has one for all."""
    model = repository / name
    return model / CONFIG if profile == "evaluation" or is_text(name) else model / CONFIGS / f"{profile}.pbtxt"


def selected(config: Path) -> int | None:
    """Return the version that a config.pbtxt selects; None if the file is missing or selects none.

    Raises:
        ArtifactError: it cannot be read.
    """
    return selected_in(read_config(config), config) if config.is_file() else None


def selected_in(text: str, config: Path) -> int | None:
    """Return the version that the text of a config.pbtxt selects; None unless it selects exactly one.

    Args:
        text: what the file holds.
        config: the file, for the message.

    Raises:
        ArtifactError: Triton could not read it either.
        MissingExtra: tritonclient, which reads it, is not installed.
    """
    # Here, so that a listing of versions does not need tritonclient.
    from harness.inference.endpoints.model_config import parse_config

    try:
        found = parse_config(text).version_policy.specific.versions
    except ValueError as error:
        message = f"{config} is not a Triton config ({error}); select a version again with `harness models promote`"
        raise ArtifactError(message) from error
    return int(found[0]) if len(found) == 1 else None


def read_config(path: Path) -> str:
    """Return the text of a config.pbtxt.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"{path} cannot be read ({reason}); select a version again with `harness models promote`"
        raise ArtifactError(message) from error


def with_text(repository: Path, names: Sequence[str]) -> list[str]:
    """Return graphs and, right after each, its text model where one is published."""
    both = [each for name in names for each in (name, text_name(name))]
    return [name for name in both if not is_text(name) or (repository / name / CONFIG).is_file()]


def published(repository: Path, names: Sequence[str]) -> list[str]:
    """Return the served names of graphs: all of them, or those that names of models or of graphs stand for.

    Raises:
        UsageError: nothing is published, or a name stands for nothing; names the nearest.
    """
    folders = (path for path in repository.glob("*") if (path / CONFIG).is_file())
    there = sorted(path.name for path in folders if not is_text(path.name))
    if not there:
        message = f"nothing is published in {repository}; publish a model with `harness export --model NAME`"
        raise UsageError(message)
    chosen: dict[str, None] = {}
    for name in names:
        found = [served for served in there if name in (served, served.split("-")[0])]
        if not found:
            known = sorted({*there, *(served.split("-")[0] for served in there)})
            models = ", ".join(sorted({served.split("-")[0] for served in there}))
            message = f"nothing is published as {name!r}{nearest(name, known)}; {repository} has graphs of {models}"
            raise UsageError(message)
        chosen.update(dict.fromkeys(found))
    return list(chosen) if names else there
