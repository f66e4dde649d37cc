"""`harness models promote` and `rollback`: which published version of a model's graphs is served.

Nothing is copied or lost: versions stay where they are, and the configs choose among them. A server
that runs follows by itself (`harness.serving.server.service`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import ArtifactError, UsageError, nearest
from harness.serving.repository.check import check_version
from harness.serving.repository.layout import CONFIG, published, selected, versions
from harness.serving.repository.store import locked, select


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A graph whose served version was chosen."""

    name: str
    before: int | None
    after: int

    def describe(self) -> str:
        """Return the line that reports it."""
        if self.before == self.after:
            return f"{self.name}: version {self.after}, unchanged"
        return f"{self.name}: version {self.after}, was {self.before or 'none'}"


def promote(
    repository: Path, model: str, *, variant: str | None = None, finetune: str | None = None, version: int | None = None
) -> list[Move]:
    """Serve a version of all of a model's graphs, or of some; of none of them if one cannot be.

    Args:
        repository: the model repository.
        model: the model's name.
        variant: only its graphs of this variant.
        finetune: only its graph of this finetune.
        version: the same number for all; the newest of each where None.

    Raises:
        UsageError: no such model, graph or version; names what there is.
        ArtifactError: a version is damaged.
    """

    def choose(name: str) -> int:
        if version is not None:
            return version
        numbers = versions(repository / name)
        if not numbers:
            message = f"{repository / name} has no version, only configs; publish one with `harness export`"
            raise ArtifactError(message)
        return numbers[-1]

    return _move(repository, _graphs(repository, model, variant, finetune), choose)


def rollback(repository: Path, model: str, *, variant: str | None = None, finetune: str | None = None) -> list[Move]:
    """Serve the version before the served one, of all of a model's graphs or of some.

    Args:
        repository: the model repository.
        model: the model's name.
        variant: only its graphs of this variant.
        finetune: only its graph of this finetune.

    Raises:
        UsageError: no such model or graph, or a graph has no version before the served one.
        ArtifactError: a version is damaged.
    """

    def choose(name: str) -> int:
        served, numbers = selected(repository / name / CONFIG), versions(repository / name)
        earlier = [number for number in numbers if served is not None and number < served]
        if not earlier:
            there = ", ".join(map(str, numbers))
            message = (
                f"{name} serves version {served} and has none before it; it has {there}, "
                "and `--finetune` rolls single graphs back"
            )
            raise UsageError(message)
        return earlier[-1]

    return _move(repository, _graphs(repository, model, variant, finetune), choose)


def _move(repository: Path, names: Sequence[str], choose: Callable[[str], int]) -> list[Move]:
    with locked(repository):
        moves = [Move(name=name, before=_before(repository, name), after=choose(name)) for name in names]
        for move in moves:
            check_version(repository, move.name, move.after)
        select(repository, {move.name: move.after for move in moves})
    return moves


def _before(repository: Path, name: str) -> int | None:
    """Return the version that is served; None too where the config is damaged, since it is about to be replaced."""
    try:
        return selected(repository / name / CONFIG)
    except ArtifactError:
        return None


def _graphs(repository: Path, model: str, variant: str | None, finetune: str | None) -> list[str]:
    """Return the served names of a model's graphs, filtered.

    Raises:
        UsageError: none is left; names what there is.
    """
    own = [name for name in published(repository, [model]) if name.split("-")[0] == model]
    if not own:  # the name of a single graph
        message = f"{model!r} is a graph's name; give its model, {model.split('-')[0]!r}, and `--finetune`, `--variant`"
        raise UsageError(message)
    parts = [name.split("-", 2) for name in own]
    for option, value, column in (("--finetune", finetune, 1), ("--variant", variant, 2)):
        known = sorted({part[column] for part in parts})
        if value is not None and value not in known:
            message = (
                f"`{option} {value}`: {model!r} has no such graph{nearest(value, known)}; it has {', '.join(known)}"
            )
            raise UsageError(message)
    wanted = (finetune, variant)
    left = [part for part in parts if all(want in (None, is_) for want, is_ in zip(wanted, part[1:], strict=True))]
    if not left:
        message = f"{model!r} has no {variant} graph of {finetune!r}; it has {', '.join(own)}"
        raise UsageError(message)
    return ["-".join(part) for part in left]
