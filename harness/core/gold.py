"""Gold answers that contradict their own text: refused where they are read, or counted where a user allows them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GoldError:
    """One gold answer that contradicts its text."""

    #: The file that it was read from.
    file: Path
    #: The id of the question, sentence or mention.
    id: str
    #: What is wrong, and what would be right; it continues a sentence about what has the id.
    problem: str
    #: What has the id.
    kind: str = "question"

    def describe(self) -> str:
        """Return one sentence with file, id and problem."""
        return f"{self.file}: {self.kind} {self.id!r} {self.problem}"


@dataclass(slots=True)
class GoldErrors:
    """The gold errors of the files that were read, each once however often a file is read."""

    #: File -> its errors, in order.
    _found: dict[Path, dict[GoldError, None]] = field(default_factory=dict)

    def add(self, error: GoldError) -> None:
        """Add one."""
        self._found.setdefault(error.file, {})[error] = None

    def of(self, file: Path) -> list[GoldError]:
        """Return those of one file, in file order."""
        return list(self._found.get(file, ()))

    def __iter__(self) -> Iterator[GoldError]:
        return chain.from_iterable(self._found.values())

    def __len__(self) -> int:
        return sum(map(len, self._found.values()))
