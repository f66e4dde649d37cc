"""Sentences in words: reads a language's table and renders what a `Sentence` says.

All knowledge of a language is in `languages/<lg>.tsv`, so that a speaker can check it without
reading code.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable
from importlib import resources
from typing import NamedTuple

from harness.sample.world import Sentence

LANGUAGES = {
    "en": "eng",
    "de": "deu",
    "es": "spa",
    "tr": "tur",
    "id": "ind",
    "ru": "rus",
    "bg": "bul",
    "el": "ell",
    "ar": "ara",
    "hi": "hin",
    "ta": "tam",
    "th": "tha",
    "zh": "cmn",
}
"""The languages that have a table, with the codes that Tatoeba uses for them."""

SLOTS = {
    "agent": ("agent", ""),
    "act": ("act", ""),
    "object": ("thing", ""),
    "place": ("place", ""),
    "time": ("time", ""),
    "state": ("rule", ""),
    "then": ("rule", ".then"),
    "answer": ("answer", ""),
    "person": ("person", ""),
    "city": ("city", ""),
    "organisation": ("organisation", ""),
}
"""For each slot of a template: the field of `Sentence` it shows, and that form's suffix."""

UNFOLLOWED = frozenset("¿(（·")
"""Marks that no gap follows."""
PRECEDED = frozenset(("¿", "(", "（", "–", "——"))
"""Marks that a gap precedes, as it does a word."""
SLOT = re.compile(r"\{(\w+)(\.\w+)?\}")


class Rendered(NamedTuple):
    """A sentence in one language: its words, their tags, its text, and where each slot is."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    text: str
    #: Slot -> its first character and the one after its last, in the text.
    spans: dict[str, tuple[int, int]]
    #: Slot -> its first word and the one after its last.
    ranges: dict[str, tuple[int, int]]


def read_table(language: str) -> dict[str, str]:
    """Return the rows of a language's table, key to form, in Unicode's composed form."""
    table = resources.files("harness.sample") / "languages" / f"{language}.tsv"
    rows: dict[str, str] = {}
    for line in unicodedata.normalize("NFC", table.read_text(encoding="utf-8")).splitlines():
        if not line or line.startswith("#"):
            continue
        key, form = line.split("\t")
        if key in rows:
            msg = f"{language}.tsv has two rows for {key!r}"
            raise ValueError(msg)
        rows[key] = form
    return rows


def tagged(form: str) -> list[tuple[str, str]]:
    """Return the (word, tag) pairs of a form; a leading +X is a pair with an empty tag."""
    pairs = []
    for item in form.split():
        word, _, tag = item.rpartition("/")
        pairs.append((word, tag) if word else (item, ""))
    return pairs


class LanguageTable:
    """One language's forms and templates, ready to render sentences."""

    def __init__(self, code: str):
        """Read the table of the language `code`."""
        self.code = code
        rows = read_table(code)
        self.word_gap = " " if rows.pop("words") == "space" else ""
        self.sentence_gap = " " if rows.pop("sentences") == "space" else ""
        # Beside a name or a mark, where a language without gaps between words may have them.
        self.name_gap = " " if rows.pop("names", "") == "space" else self.word_gap
        self.capitals = {
            key.removeprefix("capital."): rows.pop(key) for key in list(rows) if key.startswith("capital.")
        }
        self.templates = {
            key.removeprefix("sentence."): self._parts(rows.pop(key))
            for key in list(rows)
            if key.startswith("sentence.")
        }
        self.forms = {key: tagged(form) for key, form in rows.items()}
        self.render = functools.cache(self._render)

    @staticmethod
    def _parts(template: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
        """Return a template's parts: (slot, suffix, []) or ("", "", the fixed word)."""
        parts: list[tuple[str, str, list[tuple[str, str]]]] = []
        for item in template.split():
            slot = SLOT.fullmatch(item)
            if slot:
                parts.append((slot[1], slot[2] or "", []))
            else:
                parts.append(("", "", tagged(item)))
        return parts

    def _borrowed(self, sentence: Sentence, slot: str, suffix: str, lender: "LanguageTable") -> list[tuple[str, str]]:
        """Return the words of a slot in another language, where they are one piece there."""
        field, rule_suffix = SLOTS[slot]
        key = getattr(sentence, field) + rule_suffix
        if suffix or not key or key + ".tail" in lender.forms or key + ".tail" in self.forms:
            return self._form(sentence, slot, suffix)
        return lender.forms.get(key, [])

    def _form(self, sentence: Sentence, slot: str, suffix: str) -> list[tuple[str, str]]:
        """Return the words of a slot; none when the sentence does not mention it."""
        field, rule_suffix = SLOTS[slot]
        concept = getattr(sentence, field)
        if not concept:
            return []
        key = concept + rule_suffix + suffix
        if suffix == ".tail":
            return self.forms.get(key, [])
        return self.forms[key]

    def mixed(self, sentence: Sentence, lend: Callable[[], "LanguageTable | None"]) -> str:
        """Return the text of the sentence with words of other languages, as bilingual speakers mix.

        `lend` is asked once for each slot; None keeps the slot in this language.
        """
        return self._render(sentence, lend).text

    def _render(self, sentence: Sentence, lend: Callable[[], "LanguageTable | None"] = lambda: None) -> Rendered:
        """Return the sentence in this language."""
        words: list[str] = []
        tags: list[str] = []
        ranges: dict[str, tuple[int, int]] = {}
        for slot, suffix, fixed in self.templates[sentence.kind]:
            lender = lend() if slot else None
            if lender is not None:
                pairs = self._borrowed(sentence, slot, suffix, lender)
            else:
                pairs = self._form(sentence, slot, suffix) if slot else fixed
            start = len(words)
            for word, tag in pairs:
                if tag:
                    words.append(word)
                    tags.append(tag)
                else:
                    words[-1] += word.removeprefix("+")
            if slot and not suffix and len(words) > start:
                ranges[slot] = (start, len(words))
        self._capitalise(words, tags)
        text, places = self._join(words, tags)
        spans = {slot: (places[first][0], places[last - 1][1]) for slot, (first, last) in ranges.items()}
        return Rendered(tuple(words), tuple(tags), text, spans, ranges)

    def _capitalise(self, words: list[str], tags: list[str]) -> None:
        """Give the first word that is not punctuation a capital letter."""
        first = 1 if tags[0] == "PUNCT" else 0
        letter = words[first][0]
        words[first] = self.capitals.get(letter, letter.upper()) + words[first][1:]

    def _join(self, words: list[str], tags: list[str]) -> tuple[str, list[tuple[int, int]]]:
        """Return the text of the words, and each word's start and end in it."""
        parts: list[str] = []
        places = []
        end = 0
        for i, word in enumerate(words):
            gap = self._gap(words[i - 1], tags[i - 1], word, tags[i]) if i else ""
            start = end + len(gap)
            end = start + len(word)
            places.append((start, end))
            parts += (gap, word)
        return "".join(parts), places

    def _gap(self, last: str, last_tag: str, word: str, tag: str) -> str:
        """Return what stands between two words."""
        marked = tag == "PUNCT"
        if last in UNFOLLOWED or (marked and word not in PRECEDED):
            return ""
        if marked or last_tag == "PUNCT" or last_tag == tag == "PROPN":
            return self.name_gap
        return self.word_gap

    def paragraph(self, sentences: Iterable[Sentence]) -> str:
        """Return the text of several sentences."""
        return self.sentence_gap.join(self.render(sentence).text for sentence in sentences)
