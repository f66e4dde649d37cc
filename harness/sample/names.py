"""Items with names, in concepts: fragments as headlines and bylines have them, and entities.

Names stand where every language has them in their plain form: beside a noun, before a colon, in
brackets. So no table needs their inflected forms.
"""

import itertools
import random
from collections.abc import Iterable
from typing import NamedTuple

from harness.sample.render import LanguageTable
from harness.sample.world import AGENTS, CITIES, ORGANISATIONS, PEOPLE, SPLITS, Sentence, deed, deed_of, split_of

OPTIONS = {"person": PEOPLE, "city": CITIES, "organisation": ORGANISATIONS, "agent": AGENTS}
"""What each slot of a fragment may name."""
LABELS = {"person": "PER", "city": "LOC", "organisation": "ORG"}
PREFIXES = {"dateline": "city", "speaker": "person", "source": "organisation"}
"""Fragments with a single name, which stand before an event, and the slot they fill."""
BESIDE = ("byline", "agency")
"""Fragments that stand after an event."""
ALONE = ("member", "seat", "profile")
FORMS = (*PREFIXES, *BESIDE, *ALONE, "news")


def _fragments(kind: str, *slots: str) -> dict[str, list[Sentence]]:
    """Return the fragments of a kind by split: every combination of names belongs to one."""
    found: dict[str, list[Sentence]] = {name: [] for name, _ in SPLITS}
    for names in itertools.product(*(OPTIONS[slot] for slot in slots)):
        fragment = Sentence(kind)._replace(**dict(zip(slots, names, strict=True)))
        # By the names alone: two kinds may differ in punctuation only.
        found[split_of(*names)].append(fragment)
    return found


FRAGMENTS = {
    "byline": _fragments("byline", "person", "city"),
    "agency": _fragments("agency", "organisation", "city"),
    "member": _fragments("member", "person", "organisation"),
    "seat": _fragments("seat", "organisation", "city"),
    "profile": _fragments("profile", "person", "agent", "city"),
}
"""Fragments with two names by kind and split. A profile is an entity: who, what he does, where from."""


class Named(NamedTuple):
    """A fragment with names, beside an event or alone."""

    sentences: tuple[Sentence, ...]

    def said(self) -> list[Sentence]:
        """Return the item's sentences; a single name is none, it may stand in any split."""
        return [sentence for sentence in self.sentences if sentence.kind not in PREFIXES]


class Mention(NamedTuple):
    """An entity, and which sentence of a story names it."""

    sentence: int
    entity: Sentence


class Story(NamedTuple):
    """A news article, or part of a page, that mentions entities."""

    sentences: tuple[Sentence, ...]
    mentions: tuple[Mention, ...]

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return list(self.sentences)


class Entity(NamedTuple):
    """An entity's description: its profile, then none to two events of its agent."""

    sentences: tuple[Sentence, ...]

    @property
    def profile(self) -> Sentence:
        """The sentence that no other entity's description has."""
        return self.sentences[0]

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return list(self.sentences)


class Link(NamedTuple):
    """A story with one mention, and the entity that it means."""

    story: Story
    entity: Entity

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return [*self.story.said(), *self.entity.said()]


def report(rng: random.Random, split: str, profile: Sentence) -> Sentence:
    """Return an event of an entity, with its name and city."""
    return deed_of(rng, split, profile.agent)._replace(kind="news", person=profile.person, city=profile.city)


def named(rng: random.Random, split: str, number: int) -> Named:
    """Return a fragment of any form, with an event where the form has one."""
    form = rng.choice(FORMS)
    if form in ALONE:
        return Named((rng.choice(FRAGMENTS[form][split]),))
    if form == "news":
        return Named((report(rng, split, rng.choice(FRAGMENTS["profile"][split])),))
    event = deed(rng, split)
    if event.time and rng.random() < 0.5:
        event = event._replace(kind="front")
    if form in BESIDE:
        return Named((event, rng.choice(FRAGMENTS[form][split])))
    slot = PREFIXES[form]
    prefix = Sentence(form)._replace(**{slot: rng.choice(OPTIONS[slot])})
    return Named((prefix, event))


def entity(rng: random.Random, split: str, profile: Sentence) -> Entity:
    """Return the description of an entity: one to three sentences."""
    events = [deed_of(rng, split, profile.agent) for _ in range(rng.randrange(3))]
    return Entity((profile, *dict.fromkeys(events)))


def story(rng: random.Random, split: str, entities: list[Sentence], count: int) -> Story:
    """Return a story that mentions `count` of the entities, of different names.

    A mention's own sentence has what distinguishes the entity from others of that name.
    """
    people = rng.sample(sorted({profile.person for profile in entities}), count)
    sentences: list[Sentence] = []
    mentions = []
    for person in people:
        profile = rng.choice([profile for profile in entities if profile.person == person])
        if rng.random() < 0.5:
            sentences.append(deed(rng, split))
        mentions.append(Mention(len(sentences), profile))
        sentences.append(report(rng, split, profile) if rng.random() < 0.5 else profile)
        sentences.append(deed_of(rng, split, profile.agent))
    return Story(tuple(sentences), tuple(mentions))


def iob2(language: LanguageTable, sentences: Iterable[Sentence]) -> list[tuple[str, str]]:
    """Return the words of sentences with their tags, as WikiANN has them."""
    pairs: list[tuple[str, str]] = []
    for sentence in sentences:
        said = language.render(sentence)
        tags = ["O"] * len(said.words)
        for slot, label in LABELS.items():
            if slot in said.ranges:
                first, last = said.ranges[slot]
                tags[first:last] = [f"B-{label}", *[f"I-{label}"] * (last - first - 1)]
        pairs += zip(said.words, tags, strict=True)
    return pairs
