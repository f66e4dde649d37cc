"""Tatoeba's line-aligned pairs, as the benchmark turns them into a retrieval task."""

from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.lines import read_lines
from harness.core.errors import DataError
from harness.core.examples import SentenceExample
from harness.core.languages import language as language_row
from harness.core.layout import DataFile, Layout, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelLines:
    """English lines as queries against the foreign file.

    The official preprocessing strips the English lines and sorts them by code point; the gold of
    a query is the row of its translation (google-research/xtreme@838c13b utils_preprocess.py).
    """

    foreign: DataFile
    english: DataFile
    splits: tuple[Split, ...] = ("test",)

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """See `harness.core.task.Source`."""
        code = language_row(language).tatoeba
        if code is None:
            message = f"Tatoeba has no sentences in {language!r}; leave it out with `--languages`"
            raise DataError(message)
        return self.foreign.at(layout, code=code), self.english.at(layout, code=code)

    def read(self, layout: Layout, language: str, split: Split) -> list[SentenceExample]:
        """Return the candidates in file order, then the queries in sorted order."""
        foreign_path, english_path = self.paths(layout, language, split)
        foreign, english = read_lines(foreign_path), read_lines(english_path)
        if len(foreign) != len(english):
            message = (
                f"{english_path} has {len(english)} lines and {foreign_path.name} {len(foreign)}; they must be aligned"
            )
            raise DataError(message)
        order = sorted(range(len(english)), key=lambda row: (english[row].strip(), row))
        candidates = [SentenceExample(f"{language}-{row}", text, "candidate") for row, text in enumerate(foreign)]
        queries = [
            SentenceExample(f"en-{row}", english[row].strip(), "query", frozenset({f"{language}-{row}"}))
            for row in order
        ]
        return [*candidates, *queries]
