"""Tatoeba's line-aligned pairs, as the benchmark turns them into a retrieval task."""

from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.lines import is_visible, malformed, read_lines, trailing_blanks
from harness.benchmark.sources.scripts import check_script
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
        foreign, english = _sentences(foreign_path), _sentences(english_path)
        if len(foreign) != len(english):
            message = (
                f"{english_path} has {len(english):,} lines and {foreign_path.name} {len(foreign):,}; "
                f"line n must be the translation of line n"
            )
            raise DataError(message)
        if [line.strip() for line in foreign] == [line.strip() for line in english]:
            message = f"{english_path} and {foreign_path.name} have the same lines; the second must be {language}"
            raise DataError(message)
        order = sorted(range(len(english)), key=lambda row: (english[row].strip(), row))
        candidates = [SentenceExample(f"{language}-{row}", text, "candidate") for row, text in enumerate(foreign)]
        queries = [
            SentenceExample(f"en-{row}", english[row].strip(), "query", frozenset({f"{language}-{row}"}))
            for row in order
        ]
        check_script(foreign_path, language, candidates)
        check_script(english_path, "en", queries)
        return [*candidates, *queries]


def _sentences(path: Path) -> list[str]:
    """Return the lines of a file, each of which must be a sentence.

    Raises:
        DataError: a line shows nothing: one at the end would be scored as one more pair, of empty texts.
    """
    lines = read_lines(path)
    number = next((number for number, line in enumerate(lines, start=1) if not is_visible(line)), None)
    if number is not None:
        at_end = number > len(lines) - trailing_blanks(lines)
        where = "at the end of the file; remove it" if at_end else "between sentences; put its sentence there"
        raise malformed(path, number, f"a blank line {where}, line n of both files must be one pair")
    tab = next((number for number, line in enumerate(lines, start=1) if "\t" in line), None)
    if tab is not None:
        raise malformed(path, tab, "a tab stands in the line; one sentence a line is expected, without columns")
    return lines
