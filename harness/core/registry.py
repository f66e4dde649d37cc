"""A registry that is a directory: one module, one declared value; nothing is imported before use."""

import pkgutil
from importlib import import_module
from typing import Generic, TypeVar, cast

from harness.core.errors import UsageError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """The values that the modules of one package declare under one constant's name."""

    def __init__(self, package: str, constant: str, kind: str, listing: str) -> None:
        self._package = package
        self._constant = constant
        self._kind = kind
        self._listing = listing

    def names(self) -> tuple[str, ...]:
        """Return the names in alphabetical order, without importing a module."""
        path = import_module(self._package).__path__
        return tuple(sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")))

    def load(self, name: str) -> T:
        """Return the value that is declared under a name.

        Raises:
            UsageError: no such name; names the nearest one.
        """
        known = self.names()
        if name not in known:
            message = (
                f"no {self._kind} named {name!r}{nearest(name, known)}; `{self._listing}` lists {', '.join(known)}"
            )
            raise UsageError(message)
        return cast(T, getattr(import_module(f"{self._package}.{name}"), self._constant))
