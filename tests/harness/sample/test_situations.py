"""Choices between outcomes and reasons: one is right, and something says which."""

import random
from collections import Counter

import pytest

from harness.sample.situations import among, continuation, riddle, story
from harness.sample.world import event_split

SPLITS = ["train", "dev", "test"]


def drawn(make, split: str, count: int) -> list:
    rng = random.Random(0)
    return [make(rng, split, number) for number in range(count)]


def test_among_puts_the_rule_in_its_place_and_the_lure_beside_it() -> None:
    for seed in range(20):
        found = among(random.Random(seed), "hungry", 4, 2, "sad")
        assert found[2] == "hungry"
        assert "sad" in found
        assert len(set(found)) == 4


@pytest.mark.parametrize("split", SPLITS)
def test_a_continuation_follows_from_the_last_sentence(split: str) -> None:
    for item in drawn(continuation, split, 40):
        reported = item.context[-1]
        assert [choice.rule == reported.rule for choice in item.choices].index(True) == item.right
        assert len(set(item.choices)) == 4
        assert {choice._replace(rule="", kind="") for choice in item.choices} == {reported._replace(rule="", kind="")}
        assert event_split(reported) == split


def test_half_of_the_continuations_have_a_sentence_before() -> None:
    assert Counter(len(item.context) for item in drawn(continuation, "train", 80)) == {1: 40, 2: 40}


@pytest.mark.parametrize("split", SPLITS)
def test_a_story_asks_after_one_of_two_agents_and_offers_the_others_answer(split: str) -> None:
    for item in drawn(story, split, 40):
        (meant,) = [reported for reported in item.context if reported.agent == item.question.agent]
        (other,) = [reported for reported in item.context if reported.agent != item.question.agent]
        rules = [choice.rule for choice in item.choices]
        assert rules[item.right] == meant.rule
        assert other.rule in rules
        assert len(set(rules)) == 4
        kinds = {"next": ("state", "then"), "why": ("then", "state")}
        assert {(meant.kind, choice.kind) for choice in item.choices} == {kinds[item.question.kind]}


@pytest.mark.parametrize("split", SPLITS)
def test_a_riddle_is_answered_by_its_rule_alone(split: str) -> None:
    for item in drawn(riddle, split, 40):
        rules = [choice.rule for choice in item.choices]
        assert rules[item.right] == item.context.rule
        assert len(set(rules)) == 5
        assert not any(choice.place or choice.time for choice in item.choices)
        assert item.said() == [item.context, item.question]


@pytest.mark.parametrize(("make", "count"), [(continuation, 4), (story, 4), (riddle, 5)])
def test_right_choices_stand_in_every_place_equally_often(make, count: int) -> None:
    found = Counter(item.right for item in drawn(make, "train", 10 * count))
    assert found == dict.fromkeys(range(count), 10)


@pytest.mark.parametrize("make", [story, riddle])
def test_outcomes_and_reasons_are_asked_equally_often(make) -> None:
    assert Counter(item.question.kind for item in drawn(make, "train", 80)) == {"next": 40, "why": 40}
