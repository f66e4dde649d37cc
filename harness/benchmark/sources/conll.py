"""Tagged words: `form TAB tag` lines with a blank line after each sentence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.lines import is_blank, malformed, read_lines, stripped
from harness.benchmark.sources.scripts import check_script
from harness.core.errors import DataError
from harness.core.examples import WordsExample
from harness.core.layout import DataFile, Layout, Split

#: A language's code before a word.
_PREFIX = re.compile(r"[a-z]{2,3}:")
#: Words of a file above which they are more than one sentence; official sentences have up to 700.
LONGEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Conll:
    """Sentences of words with tags; an unknown tag is an error, never a new label, and so is a blank word.

    Words of zero-width characters alone are read: official PAN-X files have them.
    """

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
            raise self._without_tabs(path, lines)
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
                raise malformed(path, number, self._problem(line, tag))
            if is_blank(word):
                raise malformed(path, number, f"the word is {word!r}, which is blank; leave the line out")
            words.append(word)
            tags.append(tag)
        self._check_whole(path, examples)
        check_script(path, language, examples)
        return examples

    def _check_whole(self, path: Path, examples: Sequence[WordsExample]) -> None:
        """Refuse what no line shows: the language before every word, or sentences that nothing ends."""
        first = examples[0].words[0] if examples else ""
        prefix = _PREFIX.match(first)
        if prefix and all(word.startswith(prefix[0]) for example in examples for word in example.words):
            message = (
                f"{path}: all words begin with {prefix[0]!r}, as in the raw files of PAN-X; remove it from every line"
            )
            raise DataError(message)
        if len(examples) == 1 and len(examples[0].words) > LONGEST:
            message = (
                f"{path} has {len(examples[0].words):,} words and no blank line between them; "
                f"a blank line must end each sentence"
            )
            raise DataError(message)

    def _problem(self, line: str, tag: str) -> str:
        """Return what is wrong with a line that is no form and known tag."""
        if "\t" not in line:
            blank = "a line of spaces ends no sentence; empty it" if is_blank(line) else ""
            return blank or "no tab between form and tag"
        known = f"tag {tag!r} is not one of {', '.join(self.tags)}"
        columns = line.count("\t") + 1
        return known if columns == 2 else f"{known}; the line has {columns} columns where 2 are expected, form TAB tag"

    def _without_tabs(self, path: Path, lines: Sequence[str]) -> DataError:
        """Return the error for a file without a tab: another layout, or forms whose tags were stripped."""
        filled = [(number, line.split()) for number, line in enumerate(lines, start=1) if not is_blank(line)]
        tagged = [number for number, parts in filled if len(parts) > 1 and parts[-1] in self.tags]
        if 2 * len(tagged) <= len(filled):
            return stripped(path, "forms without tags")
        return malformed(
            path, tagged[0], "form and tag are separated by spaces where a tab is expected; convert the file"
        )
