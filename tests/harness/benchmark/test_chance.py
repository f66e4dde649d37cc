"""Levels of chance that a run needs, with what `harness bench chance` does not ask for."""

import itertools

import numpy as np
import pytest

from harness.benchmark import tasks
from harness.benchmark.chance import chance_of, expected
from harness.benchmark.metrics.pairs import PairF1
from harness.benchmark.metrics.ranking import AveragePrecision, average_precision
from harness.core.examples import Answer, QuestionExample, WordsExample


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_declares_how_its_answers_are_guessed(name: str) -> None:
    assert chance_of(tasks.load(name)) is not None


@pytest.mark.parametrize(("gold", "candidates", "depth"), [(1, 4, 20), (2, 5, 3), (3, 4, 4)])
def test_average_precision_of_a_random_order_is_the_mean_over_all_orders(
    gold: int, candidates: int, depth: int
) -> None:
    right = frozenset(map(str, range(gold)))
    orders = itertools.permutations(map(str, range(candidates)))
    mean = np.mean([average_precision(right, order, depth) for order in orders])
    found = expected(AveragePrecision(depth), np.array([float(gold)]), candidates)
    assert found == pytest.approx(100 * mean)


def test_random_pairs_are_rarely_right() -> None:
    assert expected(PairF1(), np.array([1.0, 0.0, 1.0, 0.0]), 10) == pytest.approx(5.0)


def test_a_metric_that_is_not_known_has_no_level() -> None:
    assert expected(object(), np.array([1.0]), 10) is None


def test_tags_are_drawn_as_often_as_the_gold_has_them() -> None:
    task = tasks.load("udpos")
    rule = chance_of(task)
    examples = [WordsExample(str(number), ("a", "b"), ("NOUN", "NOUN")) for number in range(4)]
    assert rule.level(task, examples, "ru") == 100.0


def test_fewer_examples_are_drawn_for_than_there_are() -> None:
    task, rng = tasks.load("xquad"), np.random.default_rng(0)
    words = [" ".join(f"w{number}" for number in rng.integers(0, 50, 40)) for _ in range(2_000)]
    examples = [QuestionExample(str(n), "q", text, (Answer(text.split()[0], 0),)) for n, text in enumerate(words)]
    rule = chance_of(task)
    few, all_of_them = (rule.level(task, examples, "ru", most=most) for most in (500, None))
    assert few != all_of_them
    assert few == pytest.approx(all_of_them, abs=1.5)


@pytest.mark.parametrize(
    "examples",
    [[], [QuestionExample("1", "q", "", (Answer("a", 0),))], [QuestionExample("1", "q", "a", ())]],
    ids=["none", "empty context", "no answer"],
)
def test_nothing_to_guess_has_no_level(examples) -> None:
    task = tasks.load("xquad")
    assert chance_of(task).level(task, examples, "ru") is None
