"""Bilingual word lists, made from the language tables."""

from harness.sample.render import LanguageTable
from harness.sample.world import AGENTS, CITIES, OPPOSITE, PLACES, RULES, THINGS, TIMES

CONCEPTS = (*AGENTS, *OPPOSITE, *THINGS, *PLACES, *TIMES, *RULES, *(f"{rule}.then" for rule in RULES), *CITIES)
BASES = {f"{act}.base": act for act in OPPOSITE}
"""Forms that only English has -> the concept whose form stands for them elsewhere."""
CONTENT = ("NOUN", "VERB", "ADJ", "ADV", "PROPN")
"""Universal tags of the words that carry what a form means."""


def content(language: LanguageTable, concept: str) -> tuple[str, str] | None:
    """Return the only content word of a concept's form with its tag, or None if it has none or several."""
    pairs = language.forms[concept] + language.forms.get(f"{concept}.tail", [])
    found = [(word, tag) for word, tag in pairs if tag in CONTENT]
    return found[0] if len(found) == 1 else None


def lexicon(english: LanguageTable, other: LanguageTable) -> list[tuple[str, str]]:
    """Return distinct pairs of an English word and its translation, of the same part of speech."""
    pairs: dict[tuple[str, str], None] = {}
    for concept in (*CONCEPTS, *BASES):
        one, translation = content(english, concept), content(other, BASES.get(concept, concept))
        if one and translation and one[1] == translation[1]:
            pairs[one[0], translation[0]] = None
    return list(pairs)
