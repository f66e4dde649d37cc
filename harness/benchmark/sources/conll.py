"""Tagged words: `form TAB tag` lines with a blank line after each sentence."""

from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.lines import malformed, read_lines, stripped
from harness.core.examples import WordsExample
from harness.core.layout import DataFile, Layout, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Conll:
    """Sentences of words with tags; an unknown tag is an error, never a new label."""

    file: DataFile
    tags: tuple[str, ...]
    splits: tuple[Split, ...] = ("train", "dev", "test")

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        return (self.file.at(layout, language=language, split=split),)

    def read(self, layout: Layout, language: str, split: Split) -> list[WordsExample]:
        """See `harness.core.task.Source`."""
        (path,) = self.paths(layout, language, split)
        known = frozenset(self.tags)
        lines = read_lines(path)
        if not any("\t" in line for line in lines):
            raise stripped(path, "forms without tags")
        examples: list[WordsExample] = []
        words: list[str] = []
        tags: list[str] = []
        for number, line in enumerate([*lines, ""], start=1):
            if line == "":
                if words:
                    examples.append(WordsExample(str(len(examples)), tuple(words), tuple(tags)))
                words, tags = [], []
                continue
            word, tab, tag = line.partition("\t")
            if not tab or tag not in known:
                problem = f"tag {tag!r} is not one of {', '.join(self.tags)}" if tab else "no tab between form and tag"
                raise malformed(path, number, problem)
            words.append(word)
            tags.append(tag)
        return examples
