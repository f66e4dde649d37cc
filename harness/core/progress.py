"""How long work shows its progress: a protocol, so that only the terminal knows of bars."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

#: Called with how many units of the total are newly done.
Advance = Callable[[int], None]


#: Units whose singular has another ending.
_SINGULAR = {"corpora": "corpus"}


class Progress(Protocol):
    """Shows steps of work; each call is one bar."""

    def step(self, description: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """Return a context in which a bar shows `total` units of work."""
        ...

    def say(self, line: str) -> None:
        """Show one line of status."""
        ...


def unit_of(count: int, units: str) -> str:
    """Return a unit, which is given in the plural, as it stands behind a number."""
    if count != 1:
        return units
    return _SINGULAR.get(units) or (units.removesuffix("es") if units.endswith("ches") else units.removesuffix("s"))


def counted(count: int, units: str) -> str:
    """Return a number with its unit, which is given in the plural: ``1 batch``, ``3,000 rows``."""
    return f"{count:,} {unit_of(count, units)}"


class Silent:
    """Shows nothing."""

    @contextmanager
    def step(self, description: str, total: int, unit: str) -> Iterator[Advance]:
        """See `Progress.step`."""
        yield lambda done: None

    def say(self, line: str) -> None:
        """See `Progress.say`."""
