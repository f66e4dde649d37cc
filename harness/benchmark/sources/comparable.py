"""BUCC's comparable corpora: sentences with ids on two sides, and the pairs that translate each other."""

from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.lines import check_id, is_blank, is_visible, malformed, read_lines
from harness.benchmark.sources.scripts import check_script
from harness.core.errors import DataError
from harness.core.examples import SentenceExample
from harness.core.layout import DataFile, Layout, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparableCorpora:
    """Foreign sentences as queries, English ones as candidates; the dev split chooses the threshold.

    `foreign`, `english` and `gold` are patterns over language and split; the gold file has
    `foreign id TAB English id` lines.
    """

    foreign: DataFile
    english: DataFile
    gold: DataFile
    splits: tuple[Split, ...] = ("dev", "test")

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """Return the three files of the split, and of dev where the split is tuned on it."""
        return tuple(
            file.at(layout, language=language, split=part)
            for part in dict.fromkeys((self.splits[0], split))
            for file in (self.foreign, self.english, self.gold)
        )

    def read(self, layout: Layout, language: str, split: Split) -> list[SentenceExample]:
        """Return the sentences of the split; before them those of dev, as tuning, unless it is dev."""
        examples = self._split(layout, language, split, tuning=False)
        if split == self.splits[0]:
            return examples
        return [*self._split(layout, language, self.splits[0], tuning=True), *examples]

    def _split(self, layout: Layout, language: str, split: Split, *, tuning: bool) -> list[SentenceExample]:
        foreign_path, english_path, gold_path = (
            file.at(layout, language=language, split=split) for file in (self.foreign, self.english, self.gold)
        )
        foreign, english = _sentences(foreign_path), _sentences(english_path)
        if not foreign.keys().isdisjoint(english) or set(foreign.values()) == set(english.values()):
            shared = next((name for name in foreign if name in english), None)
            what = "the same sentences" if shared is None else f"the same id {shared!r}"
            message = f"{foreign_path} and {english_path.name} have {what}; one must be {language}, the other English"
            raise DataError(message)
        gold: dict[str, set[str]] = {}
        for number, line in enumerate(read_lines(gold_path), start=1):
            source, tab, target = line.partition("\t")
            for name, known, path in ((source, foreign, foreign_path), (target, english, english_path)):
                if not tab or name not in known:
                    raise malformed(gold_path, number, f"{name!r} is no id of {path.name}; `id TAB id` is expected")
            gold.setdefault(source, set()).add(target)
        candidates = [SentenceExample(name, text, "candidate", tuning=tuning) for name, text in english.items()]
        queries = [
            SentenceExample(name, text, "query", frozenset(gold.get(name, ())), tuning=tuning)
            for name, text in foreign.items()
        ]
        check_script(english_path, "en", candidates)
        check_script(foreign_path, language, queries)
        return [*candidates, *queries]


def _sentences(path: Path) -> dict[str, str]:
    """Return id -> sentence in file order."""
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        name, tab, text = line.partition("\t")
        if not tab:
            what = "a blank line; remove it" if is_blank(line) else "no tab between id and sentence"
            raise malformed(path, number, what)
        try:
            check_id(name)
        except ValueError as error:
            raise malformed(path, number, str(error)) from error
        if "\t" in text:
            raise malformed(path, number, "the line has several tabs; `id TAB sentence` is expected")
        if not is_visible(text):
            raise malformed(path, number, f"the sentence of {name!r} is {text!r}, which shows nothing; leave it out")
        if name in found:
            raise malformed(path, number, f"id {name!r} occurs twice; ids must be unique")
        found[name] = text
    return found
