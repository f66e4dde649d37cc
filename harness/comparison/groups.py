"""Tasks and languages in groups, by language, script, family, task, or Latin against other scripts, with weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from harness.comparison.alignment import AlignedCell, AlignedTask
from harness.core.errors import UsageError, nearest
from harness.core.languages import scripts
from harness.evaluation.results import LATIN, NOT_LATIN

By = Literal["script", "family", "language", "task", "latin"]
#: What the rows over all tasks, and over all languages, are called.
EVERY_TASK, EVERY_LANGUAGE = "all tasks", "mean"

_KEYS: Mapping[By, Callable[[AlignedCell], str]] = {
    "script": lambda cell: cell.script,
    "family": lambda cell: cell.family,
    "language": lambda cell: cell.language,
    "task": lambda cell: EVERY_LANGUAGE,
    "latin": lambda cell: LATIN if cell.script == "Latn" else NOT_LATIN,
}


def check_by(name: str) -> By:
    """Return the way to group.

    Raises:
        UsageError: there is no such way.
    """
    known = get_args(By)
    if name not in known:
        message = f"no grouping {name!r}{nearest(name, known)}; `--by` is one of {', '.join(known)}"
        raise UsageError(message)
    return cast(By, name)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Cells whose weighted mean is one row of a table."""

    task: str
    #: A script, family or language; ``mean`` for all languages.
    name: str
    #: Tests of one family are corrected together.
    family: str
    cells: tuple[AlignedCell, ...]
    #: One for each cell, with sum 1: languages count equally within a task, tasks equally over tasks.
    weights: tuple[float, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Return the languages, each once."""
        return tuple(dict.fromkeys(cell.language for cell in self.cells))


def groups(tasks: Sequence[AlignedTask], by: By) -> Iterator[Group]:
    """Yield the groups of each task, its mean, and the same over all tasks where there are several.

    A mean over tasks is that of the tasks that have the group; it is the overall number of no suite.
    """
    for task in tasks:
        name = task.task.name
        for group, cells in _split(task, by).items():
            if group != EVERY_LANGUAGE:
                yield _group(name, group, f"{name} by {by}", [cells])
        yield _group(name, EVERY_LANGUAGE, "means of tasks", [task.cells])
    if len(tasks) > 1:
        split = [_split(task, by) for task in tasks]
        for group in _ordered(dict.fromkeys(key for each in split for key in each), by):
            if group != EVERY_LANGUAGE:
                yield _group(
                    EVERY_TASK, group, f"{EVERY_TASK} by {by}", [each[group] for each in split if group in each]
                )
        yield _group(EVERY_TASK, EVERY_LANGUAGE, EVERY_TASK, [task.cells for task in tasks])


def _split(task: AlignedTask, by: By) -> dict[str, list[AlignedCell]]:
    found: dict[str, list[AlignedCell]] = {}
    for cell in task.cells:
        found.setdefault(_KEYS[by](cell), []).append(cell)
    return {name: found[name] for name in _ordered(found, by)}


def _ordered(names: Mapping[str, object], by: By) -> list[str]:
    """Return scripts in the order of all tables, families by name, languages as the task has them."""
    if by == "script":
        return [name for name in scripts() if name in names]
    return sorted(names) if by in ("family", "latin") else list(names)


def _group(task: str, name: str, family: str, by_task: Sequence[Sequence[AlignedCell]]) -> Group:
    return Group(
        task=task,
        name=name,
        family=family,
        cells=tuple(cell for cells in by_task for cell in cells),
        weights=tuple(1 / len(by_task) / len(cells) for cells in by_task for _ in cells),
    )
