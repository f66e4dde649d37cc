"""Pairs of texts with nearly the same words, which say the same or do not, in concepts."""

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

from harness.sample.world import DEEDS, PLACES, TIMES, Sentence, another, ask, set_scene

CORE = ("agent", "act", "thing")


class Wording(NamedTuple):
    """How events are worded: in which order, and each with its time at the end or first."""

    order: tuple[int, ...]
    kinds: tuple[str, ...]

    def of(self, facts: Sequence[Sentence]) -> tuple[Sentence, ...]:
        """Return the events in this wording."""
        return tuple(facts[i]._replace(kind=self.kinds[i]) for i in self.order)


WORDINGS = {
    count: [
        Wording(order, kinds)
        for order in itertools.permutations(range(count))
        for kinds in itertools.product(("do", "front"), repeat=count)
    ]
    for count in (1, 2)
}
"""All wordings of one event and of two."""


class Paraphrase(NamedTuple):
    """Two texts with nearly the same words, and whether they say the same."""

    first: tuple[Sentence, ...]
    second: tuple[Sentence, ...]
    same: bool

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return [*self.first, *self.second]


def differs(event: Sentence, base: Sentence, slot: str) -> bool:
    """Return whether the cores of two events differ in this slot and in no other."""
    return all((getattr(event, name) != getattr(base, name)) == (name == slot) for name in CORE)


def neighbours(split: str, base: Sentence, slot: str) -> list[Sentence]:
    """Return the events of a split that differ from the base in one slot of their core."""
    return [event for event in DEEDS[split] if differs(event, base, slot)]


def events(rng: random.Random, split: str, count: int) -> list[Sentence]:
    """Return one event, or two that differ in agent or thing, in place and in time."""
    while True:
        base = set_scene(rng, rng.choice(DEEDS[split]), True, True)
        if count == 1:
            return [base]
        options = [event for slot in ("agent", "thing") for event in neighbours(split, base, slot)]
        if options:
            place, time = another(rng, PLACES, base.place), another(rng, TIMES, base.time)
            return [base, rng.choice(options)._replace(place=place, time=time)]


def swapped(rng: random.Random, facts: Sequence[Sentence]) -> list[Sentence]:
    """Return two events with place, time or both exchanged: the same words, other facts."""
    one, other = facts
    slots = rng.choice((("place",), ("time",), ("place", "time")))
    return [
        one._replace(**{slot: getattr(other, slot) for slot in slots}),
        other._replace(**{slot: getattr(one, slot) for slot in slots}),
    ]


def changed(rng: random.Random, split: str, facts: Sequence[Sentence]) -> list[Sentence]:
    """Return the events with one slot of one of them changed to what none of them has."""
    number = rng.randrange(len(facts))
    base = facts[number]
    options = {slot: [getattr(event, slot) for event in neighbours(split, base, slot)] for slot in ("agent", "thing")}
    options |= {"place": list(PLACES), "time": list(TIMES)}
    for slot, values in options.items():
        options[slot] = [value for value in values if value not in {getattr(fact, slot) for fact in facts}]
    slot = rng.choice([slot for slot, values in options.items() if values])
    found = list(facts)
    found[number] = base._replace(**{slot: rng.choice(options[slot])})
    return found


def paraphrase(rng: random.Random, split: str, number: int) -> Paraphrase:
    """Return one or two events worded twice, in another order of words or sentences.

    The number sets whether both texts say the same, how many events there are and, of two events
    that do not agree, whether a slot is swapped between them or changed in one of them. How the
    texts are worded does not depend on it.
    """
    same, count, swap = number % 2 == 1, 1 + number // 2 % 2, number // 4 % 2 == 1
    facts = events(rng, split, count)
    others = facts
    if not same:
        others = swapped(rng, facts) if swap and count > 1 else changed(rng, split, facts)
    first, second = rng.sample(WORDINGS[count], 2)
    return Paraphrase(first.of(facts), second.of(others), same)


class Questions(NamedTuple):
    """Two questions, and whether they ask the same."""

    first: Sentence
    second: Sentence
    same: bool

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return [self.first, self.second]


def questions(rng: random.Random, split: str, number: int) -> Questions:
    """Return two questions with nearly the same words, one of which has its time elsewhere.

    The number sets whether they ask the same and, if not, whether they ask after another slot of
    the same event or after the same slot of another event.
    """
    same, other_slot = number % 2 == 1, number // 2 % 2 == 1
    kind, other = rng.sample(("who", "what", "where"), 2)
    event = set_scene(rng, rng.choice(DEEDS[split]), True, True)
    first = second = ask(event, kind)
    if not same and other_slot:
        second = ask(event, other)
    while not same and second == first:
        (neighbour,) = changed(rng, split, [event])
        second = ask(neighbour, kind)
    if rng.random() < 0.5:
        return Questions(first, second._replace(kind=second.kind + ".front"), same)
    return Questions(first._replace(kind=first.kind + ".front"), second, same)
