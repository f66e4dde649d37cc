"""The world of the sample data: concepts, causal rules, events and their splits.

Nothing here knows a language: a `Sentence` names concepts, and `render` says them in words, so
that one world yields the same gold in every language.
"""

import hashlib
import random
from typing import NamedTuple

AGENTS = (
    "teacher", "doctor", "farmer", "student", "driver", "writer",
    "painter", "soldier", "fisherman", "cook", "guard", "singer",
)  # fmt: skip
ANTONYMS = (
    ("buy", "sell"),
    ("find", "lose"),
    ("open", "close"),
    ("hide", "show"),
    ("break", "repair"),
)
OPPOSITE = {one: other for pair in ANTONYMS for one, other in (pair, pair[::-1])}
THINGS = (
    "box", "bag", "book", "umbrella", "clock", "lamp",
    "chair", "apple", "flower", "key", "picture", "map",
)  # fmt: skip
SENSIBLE = {
    "open": {"box", "bag", "book", "umbrella"},
    "break": {"box", "umbrella", "clock", "lamp", "chair"},
}
PLACES = (
    "market", "park", "school", "garden", "hospital",
    "library", "station", "village", "forest", "museum",
)  # fmt: skip
PARTS_OF_DAY = ("morning", "noon", "evening")
DAYS = ("monday", "friday", "sunday")
TIMES = PARTS_OF_DAY + DAYS
RULES = (
    "hungry", "thirsty", "tired", "sick", "cold", "dirty",
    "sad", "happy", "bored", "afraid", "angry",
)  # fmt: skip
PEOPLE = (
    "mehta", "costa", "rossi", "berg", "demir", "karim",
    "martin", "petrov", "nasser", "novak", "silva", "orlov",
)  # fmt: skip
CITIES = (
    "berlin", "london", "paris", "moscow", "cairo",
    "delhi", "tokyo", "new-york", "rome", "istanbul",
)  # fmt: skip
ORGANISATIONS = (
    "radio-berlin", "cairo-university", "bank-of-tokyo",
    "paris-opera", "moscow-circus", "london-theatre",
)  # fmt: skip
SPLITS = (("text", 45), ("train", 70), ("dev", 80), ("test", 100))
ASKED = {"where": "place", "who": "agent", "what": "thing", "when": "time"}


class Sentence(NamedTuple):
    """What one sentence says, as concepts; a slot that it does not mention is empty."""

    kind: str
    agent: str = ""
    act: str = ""
    thing: str = ""
    place: str = ""
    time: str = ""
    rule: str = ""
    answer: str = ""
    person: str = ""
    city: str = ""
    organisation: str = ""


def split_of(*core: str) -> str:
    """Return the split that an event with this core belongs to, by a hash of the core."""
    share = int.from_bytes(hashlib.sha256("|".join(core).encode()).digest()[:4], "big") % 100
    return next(name for name, end in SPLITS if share < end)


def event_split(sentence: Sentence) -> str:
    """Return the split of the event in a sentence that names its full core.

    An action shares its split with its antonym, as a contradiction may swap the two.
    """
    if sentence.rule:
        return split_of(sentence.agent, sentence.place)
    pair = min(sentence.act, OPPOSITE[sentence.act])
    return split_of(sentence.agent, pair, sentence.thing)


def _by_split(events: list[Sentence]) -> dict[str, list[Sentence]]:
    """Return the events of each split, in their order."""
    found: dict[str, list[Sentence]] = {name: [] for name, _ in SPLITS}
    for event in events:
        found[event_split(event)].append(event)
    return found


DEEDS = _by_split(
    [
        Sentence("do", agent, act, thing)
        for agent in AGENTS
        for pair in ANTONYMS
        for act in pair
        for thing in THINGS
        if thing in SENSIBLE.get(pair[0], THINGS)
    ]
)
STATES = _by_split(
    [Sentence("state", agent, place=place, rule=rule) for agent in AGENTS for place in PLACES for rule in RULES]
)


def deed(rng: random.Random, split: str) -> Sentence:
    """Return a random transitive event of a split, with a place, a time or both."""
    where, when = rng.choice(((True, False), (False, True), (True, True)))
    return set_scene(rng, rng.choice(DEEDS[split]), where, when)


def deed_of(rng: random.Random, split: str, agent: str) -> Sentence:
    """Return a random transitive event of an agent, with a place or a time."""
    event = rng.choice([event for event in DEEDS[split] if event.agent == agent])
    where = rng.random() < 0.5
    return set_scene(rng, event, where, not where)


def set_scene(rng: random.Random, event: Sentence, where: bool, when: bool) -> Sentence:
    """Return the event with a random place if `where`, and a random time if `when`."""
    return event._replace(place=rng.choice(PLACES) if where else "", time=rng.choice(TIMES) if when else "")


def state(rng: random.Random, split: str) -> Sentence:
    """Return a random state of a split, such as hunger, half of the times with a time."""
    event = rng.choice(STATES[split])
    return event._replace(time=rng.choice(TIMES) if rng.random() < 0.5 else "")


def consequence(event: Sentence) -> Sentence:
    """Return what follows from a state by its causal rule."""
    return event._replace(kind="then")


def ask(event: Sentence, kind: str) -> Sentence:
    """Return the question after one slot of a transitive event; it keeps every other slot."""
    return event._replace(kind=kind, **{ASKED[kind]: ""})


def askable(event: Sentence) -> list[str]:
    """Return the kinds of question that this event answers and that state where or when."""
    kinds = ["who", "what"]
    return kinds + [kind for kind in ("where", "when") if getattr(event, ASKED[kind])]


def another(rng: random.Random, options: tuple[str, ...], than: str) -> str:
    """Return a random option other than `than`."""
    return rng.choice([option for option in options if option != than])


def other_time(rng: random.Random, than: str) -> str:
    """Return a time that excludes `than`: another part of the day, or another day."""
    return another(rng, PARTS_OF_DAY if than in PARTS_OF_DAY else DAYS, than)
