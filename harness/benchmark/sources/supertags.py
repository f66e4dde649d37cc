"""Supertagged sentences as jiant reads CCGbank: `words TAB tags`, both separated by spaces."""

from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.lines import malformed, read_lines
from harness.core.examples import WordsExample
from harness.core.layout import DataFile, Layout, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Supertags:
    """Sentences of words with categories; which categories there are, the files say."""

    file: DataFile
    splits: tuple[Split, ...] = ("train", "dev")

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=split),)

    def read(self, layout: Layout, language: str, split: Split) -> list[WordsExample]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        examples = []
        for number, line in enumerate(read_lines(path), start=1):
            words, _, tags = (part.split() for part in line.partition("\t"))
            if not words or len(words) != len(tags):
                raise malformed(path, number, f"{len(words)} words and {len(tags)} tags; `words TAB tags` is expected")
            examples.append(WordsExample(str(number - 1), tuple(words), tuple(tags)))
        return examples

    def labels(self, layout: Layout, language: str) -> tuple[str, ...]:
        """Return the categories of all splits that are there, sorted."""
        there = [split for split in self.splits if self.paths(layout, language, split)[0].is_file()]
        return tuple(sorted({tag for split in there for row in self.read(layout, language, split) for tag in row.tags}))
