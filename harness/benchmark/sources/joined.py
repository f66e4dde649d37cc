"""Several training sets read as one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from harness.core.layout import Layout, Split
from harness.core.task import Source

ExampleT = TypeVar("ExampleT")


@dataclass(frozen=True, slots=True)
class Joined(Generic[ExampleT]):
    """The examples of several sources after one another; a language may lack some of them, not all."""

    sources: tuple[Source[ExampleT], ...]

    @property
    def splits(self) -> tuple[Split, ...]:
        """See `harness.core.task.Source`."""
        return self.sources[0].splits

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """Return the files that are there, or those of the first source if none is."""
        each = [source.paths(layout, language, split) for source in self.sources]
        there = [path for paths in each for path in paths if path.is_file()]
        return tuple(there) or each[0]

    def read(self, layout: Layout, language: str, split: Split) -> list[ExampleT]:
        """See `harness.core.task.Source`."""
        wanted = set(self.paths(layout, language, split))
        return [
            example
            for source in self.sources
            if wanted & set(source.paths(layout, language, split))
            for example in source.read(layout, language, split)
        ]
