"""What holds for the metric of every task, on a few hand-made examples of the kind that its head answers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from harness.benchmark import tasks
from harness.core.examples import Answer, ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
)
from harness.core.task import AnyTask
from harness.statistics.paired import gradient


class Handmade(NamedTuple):
    """Examples with right and with wrong predictions."""

    examples: Sequence[Any]
    right: Sequence[Any]
    wrong: Sequence[Any]


def handmade(head: Head) -> Handmade:
    if isinstance(head, SequenceClassification):
        labels = [*head.labels, *head.labels]
        pairs = [PairExample(str(number), "a", "b", label) for number, label in enumerate(labels)]
        return Handmade(pairs, labels, labels[1:] + labels[:1])
    if isinstance(head, ChoiceScore):
        choices = [ChoiceExample(str(number), "p", "q", ("a", "b"), number % 2) for number in range(4)]
        return Handmade(choices, [0, 1, 0, 1], [1, 0, 1, 0])
    if isinstance(head, SpanExtraction):
        texts = [("red", "the red"), ("1990",), ("Москва",)]
        questions = [
            QuestionExample(str(number), "q", "context", tuple(Answer(text, 0) for text in answers))
            for number, answers in enumerate(texts)
        ]
        return Handmade(questions, [answers[0] for answers in texts], ["green"] * 3)
    if isinstance(head, SentenceEmbedding | DualEncoder):
        sentences = [SentenceExample(f"c{number}", "c", "candidate") for number in range(3)]
        sentences += [SentenceExample(f"q{number}", "q", "query", frozenset({f"c{number}"})) for number in (2, 0, 1)]
        return Handmade(sentences, [(), (), (), ("c2",), ("c0",), ("c1",)], [(), (), (), ("c0",), ("c1",), ("c2",)])
    tags = [head.labels[:3], head.labels[2:6], (head.labels[0],) * 2]
    words = [WordsExample(str(number), ("w",) * len(row), tuple(row)) for number, row in enumerate(tags)]
    return Handmade(words, tags, [(*reversed(row[1:]), head.labels[-1]) for row in tags])


@pytest.fixture(params=tasks.names())
def task(request: pytest.FixtureRequest) -> AnyTask:
    return tasks.load(request.param)


@pytest.fixture
def made(task: AnyTask) -> Handmade:
    return handmade(task.finetune.head)


def test_perfect_predictions_give_100(task: AnyTask, made: Handmade) -> None:
    scores = task.metric.scores(task.metric.counts(made.examples, made.right, "en").sum(axis=0))
    assert {name: scores[name] for name in task.headline} == dict.fromkeys(task.headline, 100.0)


def test_wrong_predictions_give_less(task: AnyTask, made: Handmade) -> None:
    scores = task.metric.scores(task.metric.counts(made.examples, made.wrong, "en").sum(axis=0))
    assert all(0 <= scores[name] < 100 for name in task.headline)


def test_counts_have_one_row_for_each_example(task: AnyTask, made: Handmade) -> None:
    counts = task.metric.counts(made.examples, made.wrong, "en")
    assert counts.shape == (len(made.examples), len(task.metric.columns))


def test_counts_of_two_halves_sum_to_the_totals(task: AnyTask, made: Handmade) -> None:
    whole = task.metric.counts(made.examples, made.wrong, "en").sum(axis=0)
    halves = [
        task.metric.counts(made.examples[part], made.wrong[part], "en").sum(axis=0)
        for part in (slice(None, 2), slice(2, None))
    ]
    np.testing.assert_allclose(sum(halves), whole)


def test_order_does_not_matter(task: AnyTask, made: Handmade) -> None:
    forth = task.metric.counts(made.examples, made.wrong, "en").sum(axis=0)
    back = task.metric.counts(made.examples[::-1], made.wrong[::-1], "en").sum(axis=0)
    np.testing.assert_allclose(back, forth)


def test_scores_near_sums_of_zero_are_numbers(task: AnyTask, made: Handmade) -> None:
    """Statistics ask for the derivative of a score, also where nothing is matched, predicted or right (BUCC, PAN-X)."""
    totals = task.metric.counts(made.examples, made.right, "en").sum(axis=0)
    for kept in range(1, 2 ** len(totals)):
        some = np.array([value * (kept >> place & 1) for place, value in enumerate(totals)])
        # The number of examples is never 0.
        if "total" in task.metric.columns:
            some[task.metric.columns.index("total")] = max(1, totals[task.metric.columns.index("total")])
        slopes = gradient(lambda sums: task.metric.scores(sums)[task.headline[0]], some)
        assert np.isfinite(slopes).all()
