"""A registry that is a directory: one module declares one value; nothing is imported before it is used.

Other packages add values through an entry point group (``[project.entry-points."harness.tasks"]`` in their
`pyproject.toml`): the name of the entry point is the name of the value.
"""

import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar, cast

from harness.core.errors import UsageError, nearest
from harness.core.files import code_sha256, file_sha256

T = TypeVar("T")

#: The groups of entry points through which other packages add tasks and training sets.
TASKS, FINETUNES = GROUPS = ("harness.tasks", "harness.finetunes")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A value that another installed package declares."""

    entry: metadata.EntryPoint
    #: Name and version of the package.
    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


def _declared_in(entry: metadata.EntryPoint) -> Plugin:
    found = entry.dist
    return Plugin(entry, "unknown", "") if found is None else Plugin(entry, found.name, found.version)


@cache
def _plugins(group: str, _path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """Return the plugins of a group; `_path` is `sys.path`, which decides what is installed."""
    return tuple(_declared_in(entry) for entry in metadata.entry_points(group=group))


class Registry(Generic[T]):
    """The values that the modules of one package declare under one constant's name, and those of plugins."""

    def __init__(
        self,
        package: str,
        constant: str,
        kind: str,
        listing: str,
        *,
        group: str | None = None,
        declares: type[object] = object,
    ) -> None:
        """Name where the values are.

        Args:
            package: whose modules declare one value each.
            constant: the name of the value in its module.
            kind: what messages call a value.
            listing: the command that lists the values.
            group: the group of entry points through which other packages add values; none where None.
            declares: the class that a plugin's value must have.
        """
        self._package = package
        self._constant = constant
        self._kind = kind
        self._listing = listing
        self._group = group
        self._declares = declares

    def names(self) -> tuple[str, ...]:
        """Return the names in alphabetical order, without importing a module.

        Raises:
            UsageError: a plugin takes a name that is taken, or one that cannot name a folder and a served model.
        """
        return tuple(sorted([*self._shipped(), *self.plugins()]))

    def plugins(self) -> Mapping[str, Plugin]:
        """Return what other packages declare, by name.

        Raises:
            UsageError: see `names`.
        """
        found: dict[str, Plugin] = {}
        shipped = self._shipped()
        for plugin in _plugins(self._group, tuple(sys.path)) if self._group else ():
            name = plugin.entry.name
            owner = "the harness" if name in shipped else str(found.get(name, ""))
            if owner:
                message = (
                    f"the package {str(plugin)!r} declares a {self._kind} {name!r}, which {owner} declares too; "
                    f"rename its entry point of the group {self._group}, or uninstall it"
                )
                raise UsageError(message)
            if not name.isidentifier() or name != name.lower():
                message = (
                    f"the package {str(plugin)!r} declares a {self._kind} {name!r}, and a name has small letters, "
                    f"digits and '_' only; rename its entry point of the group {self._group}, or uninstall it"
                )
                raise UsageError(message)
            found[name] = plugin
        return found

    def load(self, name: str) -> T:
        """Return the value that is declared under a name.

        Raises:
            UsageError: no such name (names the nearest one), or a plugin's value cannot be loaded or is another's.
        """
        plugin = self.plugins().get(name)
        if plugin is not None:
            return cast(T, self._loaded(name, plugin))
        known = self.names()
        if name not in known:
            message = (
                f"no {self._kind} named {name!r}{nearest(name, known)}; `{self._listing}` lists {', '.join(known)}"
            )
            raise UsageError(message)
        return cast(T, getattr(import_module(f"{self._package}.{name}"), self._constant))

    def _shipped(self) -> list[str]:
        path = import_module(self._package).__path__
        return [module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")]

    def _loaded(self, name: str, plugin: Plugin) -> object:
        where = f"{self._kind} {name!r} of the package {str(plugin)!r}"
        try:
            value = plugin.entry.load()
            if isinstance(value, ModuleType):
                value = getattr(value, self._constant)
        except (ImportError, AttributeError) as error:
            message = f"{where} cannot be loaded from {plugin.entry.value!r} ({error}); mend or uninstall that package"
            raise UsageError(message) from error
        if not isinstance(value, self._declares):
            message = (
                f"{where} is a {type(value).__name__}, a {self._declares.__name__} is expected at "
                f"{plugin.entry.value!r}; mend or uninstall that package"
            )
            raise UsageError(message)
        if getattr(value, "name", name) != name:
            message = f"{where} calls itself {getattr(value, 'name', None)!r}; give the entry point that name"
            raise UsageError(message)
        return value


def plugin_code() -> str:
    """Return a digest of the code of every package that adds values; empty where none does.

    What is computed from a plugin's value depends on this, as it depends on the harness's own code.
    """
    tops = {plugin.entry.module.partition(".")[0] for group in GROUPS for plugin in _plugins(group, tuple(sys.path))}
    return _code(tuple(sorted(tops)), tuple(sys.path)) if tops else ""


@cache
def _code(packages: tuple[str, ...], _path: tuple[str, ...]) -> str:
    digest = sha256()
    for name in packages:
        spec = find_spec(name)
        if spec is None:
            continue  # loading it says what is wrong
        for folder in spec.submodule_search_locations or ():
            digest.update(f"{name} {code_sha256(Path(folder))}\n".encode())
        if not spec.submodule_search_locations and spec.origin:
            digest.update(f"{name} {file_sha256(Path(spec.origin))}\n".encode())
    return digest.hexdigest()
