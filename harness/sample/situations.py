"""Causal rules as choices between several outcomes or reasons, in concepts."""

import random
from typing import NamedTuple

from harness.sample.world import RULES, STATES, Sentence, consequence, deed_of, state


class Situation(NamedTuple):
    """A context, a question about it where there is one, and the choices between which to decide."""

    context: tuple[Sentence, ...]
    question: Sentence | None
    choices: tuple[Sentence, ...]
    right: int

    def said(self) -> list[Sentence]:
        """Return the item's sentences."""
        asked = [self.question] if self.question else []
        return [*self.context, *asked, *self.choices]


class Riddle(NamedTuple):
    """What an agent is or does, a question about it, and sentences of which only the predicates are choices."""

    context: Sentence
    question: Sentence
    choices: tuple[Sentence, ...]
    right: int

    def said(self) -> list[Sentence]:
        """Return the item's sentences; predicates are none."""
        return [self.context, self.question]


def among(rng: random.Random, rule: str, count: int, right: int, lure: str = "") -> list[str]:
    """Return `count` causal rules with the given one in the place `right`, and with the lure if there is one."""
    lures = [lure] if lure else []
    others = rng.sample([other for other in RULES if other not in (rule, lure)], count - 1 - len(lures)) + lures
    rng.shuffle(others)
    others.insert(right, rule)
    return others


def continuation(rng: random.Random, split: str, number: int) -> Situation:
    """Return a state, half of the times after a deed of its agent, and four consequences."""
    event, right = state(rng, split), number % 4
    before = [deed_of(rng, split, event.agent)] if number // 4 % 2 else []
    choices = (consequence(event._replace(rule=rule)) for rule in among(rng, event.rule, 4, right))
    return Situation((*before, event), None, tuple(choices), right)


def story(rng: random.Random, split: str, number: int) -> Situation:
    """Return the states of two agents, and what the one does next; or what they do, and why the one does.

    One of the wrong choices would be right for the other agent.
    """
    event, right, forward = state(rng, split), number % 4, number // 4 % 2 == 0
    rival = rng.choice([other for other in STATES[split] if other.agent != event.agent and other.rule != event.rule])
    stated = [event, rival]
    choices = [event._replace(rule=rule) for rule in among(rng, event.rule, 4, right, rival.rule)]
    if forward:
        choices = [consequence(choice) for choice in choices]
    else:
        stated = [consequence(one) for one in stated]
    rng.shuffle(stated)
    return Situation(tuple(stated), question(event, forward), tuple(choices), right)


def riddle(rng: random.Random, split: str, number: int) -> Riddle:
    """Return a state and five things that its agent may do next; or what he does, and five reasons."""
    event, right, forward = state(rng, split), number % 5, number // 5 % 2 == 0
    bare = Sentence("state", event.agent)
    choices = [bare._replace(rule=rule) for rule in among(rng, event.rule, 5, right)]
    if forward:
        choices = [consequence(choice) for choice in choices]
    stated = event if forward else consequence(event)
    return Riddle(stated, question(event, forward), tuple(choices), right)


def question(event: Sentence, forward: bool) -> Sentence:
    """Return the question what the agent of a state does next, or why he does what he does."""
    return Sentence("next" if forward else "why", event.agent, place=event.place)
