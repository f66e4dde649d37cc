"""Gold items of each task, in concepts: inference pairs, readings, alternatives, documents.

Each maker takes a random generator, a split and the item's number (which balances labels), and
each item names by `said` which sentences it consists of, for the guard.
"""

import random
from collections.abc import Iterable
from typing import NamedTuple

from harness.sample.world import (
    ASKED,
    DEEDS,
    OPPOSITE,
    PLACES,
    RULES,
    TIMES,
    Sentence,
    another,
    ask,
    askable,
    consequence,
    deed,
    event_split,
    other_time,
    set_scene,
    state,
)

LABELS = ("contradiction", "entailment", "neutral")
SCENES = ((True, False), (False, True), (True, True))
PLAIN, NEGATED = "do", "not"
ROUNDS = ("R1", "R2", "R3")
NOWHERE = -1
"""In the place of the sentence that answers a question, if none does."""


class Document(NamedTuple):
    """Sentences that stand together; a single sentence is a document too."""

    sentences: tuple[Sentence, ...]

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return list(self.sentences)


class Inference(NamedTuple):
    """A premise, a hypothesis and the relation between the two."""

    premise: Sentence
    hypothesis: Sentence
    label: str

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return [self.premise, self.hypothesis]


class Argument(NamedTuple):
    """A premise of several sentences, a hypothesis, their relation, and the round that it belongs to."""

    premise: tuple[Sentence, ...]
    hypothesis: Sentence
    label: str
    round: str

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return [*self.premise, self.hypothesis]


class Reading(NamedTuple):
    """A paragraph, and questions as (question, sentence that answers it or NOWHERE, its field)."""

    sentences: tuple[Sentence, ...]
    questions: tuple[tuple[Sentence, int, str], ...]

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        return [*self.sentences, *(question for question, _, _ in self.questions)]


class Alternatives(NamedTuple):
    """A context and the choices between which a question about it decides."""

    context: Sentence
    choices: tuple[Sentence, ...]
    right: int
    question: str | Sentence

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        asked = [self.question] if isinstance(self.question, Sentence) else []
        return [self.context, *asked, *self.choices]


def widened(rng: random.Random, event: Sentence) -> Sentence:
    """Return the event with each scene slot that it lacks added half of the times."""
    place = event.place or (rng.choice(PLACES) if rng.random() < 0.5 else "")
    time = event.time or (rng.choice(TIMES) if rng.random() < 0.5 else "")
    return event._replace(place=place, time=time)


def entailing(rng: random.Random, hypothesis: Sentence) -> Sentence:
    """Return a premise from which the hypothesis follows.

    A negated premise keeps exactly the hypothesis's facts: who does not buy an apple in the
    market may still buy one elsewhere.
    """
    if hypothesis.kind == PLAIN:
        return widened(rng, hypothesis)
    if rng.random() < 0.5:
        return hypothesis
    opposite = hypothesis._replace(kind=PLAIN, act=OPPOSITE[hypothesis.act])
    return widened(rng, opposite)


def contradicting(rng: random.Random, hypothesis: Sentence) -> Sentence:
    """Return a premise that the hypothesis contradicts."""
    if hypothesis.kind == NEGATED:
        return widened(rng, hypothesis._replace(kind=PLAIN))
    way = rng.choice(("negation", "antonym", "scene"))
    if way == "negation":
        return hypothesis._replace(kind=NEGATED)
    if way == "antonym":
        return widened(rng, hypothesis._replace(act=OPPOSITE[hypothesis.act]))
    if not hypothesis.time or (hypothesis.place and rng.random() < 0.5):
        moved = hypothesis._replace(place=another(rng, PLACES, hypothesis.place))
    else:
        moved = hypothesis._replace(time=other_time(rng, hypothesis.time))
    return widened(rng, moved)


def undecided(rng: random.Random, hypothesis: Sentence) -> Sentence:
    """Return a premise that lacks a place or a time which the hypothesis states."""
    if not hypothesis.time or (hypothesis.place and rng.random() < 0.5):
        premise = hypothesis._replace(place="", time=hypothesis.time or rng.choice(TIMES))
    else:
        premise = hypothesis._replace(time="", place=hypothesis.place or rng.choice(PLACES))
    if hypothesis.kind == PLAIN and rng.random() < 0.25:
        return premise._replace(kind=NEGATED, act=OPPOSITE[premise.act])
    return premise._replace(kind=PLAIN)


PREMISES = {"contradiction": contradicting, "entailment": entailing, "neutral": undecided}


def inference(rng: random.Random, split: str, number: int) -> Inference:
    """Return an inference pair.

    The number sets the label, the negation and the scene in turn, so that what a hypothesis
    mentions says nothing about its label.
    """
    label = LABELS[number % 3]
    kind = (PLAIN, NEGATED)[number // 3 % 2]
    where, when = SCENES[number // 6 % 3]
    hypothesis = set_scene(rng, rng.choice(DEEDS[split]), where, when)._replace(kind=kind)
    return Inference(PREMISES[label](rng, hypothesis), hypothesis, label)


def adversarial(rng: random.Random, split: str, number: int) -> Argument:
    """Return an inference pair whose premise also has one to three other agents, by its round.

    The round changes only after all labels, negations and scenes of `inference`.
    """
    pair = inference(rng, split, number)
    place = number // (len(LABELS) * 2 * len(SCENES)) % len(ROUNDS)
    base = widened(rng, pair.hypothesis._replace(kind=PLAIN))
    premise = [pair.premise, *rivals(rng, split, base, 1 + place)]
    rng.shuffle(premise)
    return Argument(tuple(premise), pair.hypothesis, pair.label, ROUNDS[place])


def rivals(rng: random.Random, split: str, base: Sentence, count: int) -> list[Sentence]:
    """Return events of other agents that share slots with the base, closest first.

    They are what a reader confuses with the base who does not read the whole question.
    """
    tiers: list[list[Sentence]] = [[], [], []]
    for event in DEEDS[split]:
        if event.agent != base.agent:
            tiers[(event.act != base.act) + (event.thing != base.thing)].append(event)
    found: dict[str, Sentence] = {}
    for tier in tiers:
        if len(found) < count:
            rng.shuffle(tier)
        for event in tier:
            if len(found) < count and event.agent not in found:
                place = base.place if rng.random() < 0.5 else another(rng, PLACES, base.place)
                time = base.time if rng.random() < 0.5 else another(rng, TIMES, base.time)
                found[event.agent] = event._replace(place=place, time=time)
    return list(found.values())


def answers(event: Sentence, question: Sentence) -> bool:
    """Return whether the event has every slot that the question states."""
    stated = zip(event[1:], question[1:], strict=True)
    return all(not asked or asked == said for said, asked in stated)


def reading(rng: random.Random, split: str, number: int) -> Reading:
    """Return a paragraph of three or four sentences and three questions, each with one answer."""
    while True:
        base = set_scene(rng, rng.choice(DEEDS[split]), True, True)
        sentences = [base, *rivals(rng, split, base, 2 + number % 2)]
        rng.shuffle(sentences)
        kinds = rng.sample(sorted(ASKED), 3)
        places = rng.sample(range(len(sentences)), 3)
        questions = tuple((ask(sentences[i], kind), i, ASKED[kind]) for kind, i in zip(kinds, places, strict=True))
        if all(sum(answers(s, question) for s in sentences) == 1 for question, _, _ in questions):
            return Reading(tuple(sentences), questions)


def doubtful(rng: random.Random, split: str, number: int) -> Reading:
    """Return a reading in which nothing answers one or two of the three questions, by turns."""
    item = reading(rng, split, number)
    questions = [
        (unanswered(rng, split, item, question), NOWHERE, "") if (number + i) % 2 else (question, place, field)
        for i, (question, place, field) in enumerate(item.questions)
    ]
    return item._replace(questions=tuple(questions))


def unanswered(rng: random.Random, split: str, item: Reading, question: Sentence) -> Sentence:
    """Return a question like one of a reading, which the reading does not answer.

    It has only words of the reading if one of that kind can be found. It asks about no event of
    another split.
    """
    slots = [slot for slot in ("agent", "place", "time") if getattr(question, slot)]
    near = [question._replace(**{slot: getattr(other, slot)}) for slot in slots for other in item.sentences]
    far = [question._replace(place=place) for place in PLACES] if question.place else []
    far += [question._replace(time=time) for time in TIMES] if question.time else []
    for options in (near, far):
        found = [
            asked
            for asked in options
            if not any(answers(sentence, asked) for sentence in item.sentences)
            and (not (asked.agent and asked.thing) or event_split(asked) == split)
        ]
        if found:
            return rng.choice(found)
    message = f"every change of {question} has an answer"
    raise RuntimeError(message)


def unambiguous(readings: Iterable[Reading]) -> list[Reading]:
    """Return the readings without those that answer a question, or say a sentence, of one before them."""
    found: list[Reading] = []
    for item in readings:
        stated = {sentence for other in found for sentence in other.sentences}
        asked = [question for other in found for question, _, _ in other.questions]
        answered = any(answers(sentence, question) for sentence in item.sentences for question in asked)
        answering = any(answers(sentence, question) for sentence in stated for question, _, _ in item.questions)
        if not answered and not answering and stated.isdisjoint(item.sentences):
            found.append(item)
    return found


def alternatives(rng: random.Random, split: str, number: int) -> Alternatives:
    """Return a premise with its effect or its cause, and one of another causal rule."""
    right, question = number % 2, ("cause", "effect")[number // 2 % 2]
    event = state(rng, split)
    rules = [event.rule, another(rng, RULES, event.rule)][:: -1 if right else 1]
    states = [event._replace(rule=rule) for rule in rules]
    results = [consequence(choice) for choice in states]
    if question == "effect":
        return Alternatives(event, tuple(results), right, question)
    return Alternatives(consequence(event), tuple(states), right, question)


def next_step(rng: random.Random, split: str, number: int) -> Alternatives:
    """Return a state, the question what its agent does next, and three consequences."""
    event, right = state(rng, split), number % 3
    rules = rng.sample([rule for rule in RULES if rule != event.rule], 2)
    rules.insert(right, event.rule)
    choices = tuple(consequence(event._replace(rule=rule)) for rule in rules)
    asked = Sentence("next", event.agent, place=event.place)
    return Alternatives(event, choices, right, asked)


def single(rng: random.Random, split: str, number: int) -> Document:
    """Return one sentence of any kind."""
    kind = rng.choices(("do", "not", "state", "then", "question"), (6, 4, 3, 3, 4))[0]
    if kind in ("state", "then"):
        return Document((state(rng, split)._replace(kind=kind),))
    event = deed(rng, split)
    if kind == "question":
        return Document((ask(event, rng.choice(askable(event))),))
    return Document((event._replace(kind=kind),))


def reordered(rng: random.Random, split: str, number: int) -> Document:
    """Return one sentence of any kind; half of the plain ones with a time have it first."""
    (sentence,) = single(rng, split, number).sentences
    if sentence.kind == PLAIN and sentence.time and rng.random() < 0.5:
        return Document((sentence._replace(kind="front"),))
    return Document((sentence,))


def asked(rng: random.Random, event: Sentence) -> tuple[Sentence, Sentence]:
    """Return a question about an event, and its short answer."""
    kind = rng.choice(askable(event))
    return ask(event, kind), Sentence("answer", answer=getattr(event, ASKED[kind]))


def compared(rng: random.Random, split: str) -> Document:
    """Return two alike events, a question that only the one answers, and its answer."""
    while True:
        event = set_scene(rng, rng.choice(DEEDS[split]), True, True)
        (rival,) = rivals(rng, split, event, 1)
        question, answer = asked(rng, event)
        if not answers(rival, question):
            stated = (event, rival) if rng.random() < 0.5 else (rival, event)
            return Document((*stated, question, answer))


def document(rng: random.Random, split: str, number: int) -> Document:
    """Return a short document whose sentences repeat, ask after, deny or explain each other."""
    kind = number % 6
    if kind == 0:
        return single(rng, split, number)
    if kind == 1:
        return compared(rng, split)
    if kind == 2:
        cause = state(rng, split)
        return Document((cause, consequence(cause)))
    event = deed(rng, split)
    if kind == 3:
        return Document((event, *asked(rng, event)))
    if kind == 4:
        return Document((event, event._replace(kind=NEGATED, act=OPPOSITE[event.act])))
    full = set_scene(rng, event, True, True)
    return Document((full, full._replace(**{rng.choice(("place", "time")): ""})))
