"""The level of chance of a task, by the head of its graph: computed from the data, never typed in."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from harness.core.errors import UsageError
from harness.core.examples import QuestionExample, scored
from harness.core.heads import (
    ChoiceScore,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
)
from harness.core.languages import language as language_row
from harness.core.layout import Layout
from harness.core.task import AnyTask

#: Answers of the random predictors are drawn so many times, and their scores averaged.
DRAWS = 5
SEED = 0
#: Scripts that put no spaces between words: there, each character is a word.
SPACELESS = frozenset({"Hani", "Jpan", "Thai"})


@dataclass(frozen=True, slots=True)
class ChanceRule:
    """How the level of chance of one task is found."""

    text: str
    #: The level in percent on the examples of one language.
    level: Callable[[Sequence[Any], str], float]
    #: Why a task of this kind has no English score.
    without_english: str = "the task has no English test set"


@singledispatch
def rule(head: object, task: AnyTask, layout: Layout) -> ChanceRule:
    """Return how chance is found for a task whose graph ends in such a head.

    Raises:
        UsageError: nobody has said what chance is for the task.
    """
    message = f"no level of chance is known for task {task.name!r}; write a rule for {type(head).__name__} here"
    raise UsageError(message)


def _only_accuracy(task: AnyTask) -> None:
    if task.headline != ("accuracy",):
        message = f"task {task.name!r} is scored by {' and '.join(task.headline)}, chance is known for accuracy only"
        raise UsageError(message)


@rule.register
def _(head: SequenceClassification, task: AnyTask, layout: Layout) -> ChanceRule:
    _only_accuracy(task)
    classes = len(head.labels)
    return ChanceRule(f"1 of {classes} classes", lambda examples, language: 100 / classes)


@rule.register
def _(head: ChoiceScore, task: AnyTask, layout: Layout) -> ChanceRule:
    _only_accuracy(task)
    return ChanceRule(
        "1 of an example's choices",
        lambda examples, language: 100 * float(np.mean([1 / len(example.choices) for example in examples])),
    )


@rule.register
def _(head: SentenceEmbedding, task: AnyTask, layout: Layout) -> ChanceRule:
    _only_accuracy(task)

    def level(examples: Sequence[Any], language: str) -> float:
        queries = scored(examples)
        candidates = len(examples) - len(queries)
        return 100 * float(np.mean([len(query.gold) / candidates for query in queries]))

    return ChanceRule("1 of a language's candidates", level, "English is the query side")


@rule.register
def _(head: TokenClassification, task: AnyTask, layout: Layout) -> ChanceRule:
    source, training = task.finetune.train, task.finetune.languages[0]
    if source is None:
        message = f"task {task.name!r} has no training set whose tags could be drawn"
        raise UsageError(message)
    tags = [tag for example in source.read(layout, training, "train") for tag in example.tags]
    counts = np.array([tags.count(label) for label in head.labels], dtype=np.float64)
    shares = counts / counts.sum()

    def draw(examples: Sequence[Any], language: str, rng: np.random.Generator) -> list[list[str]]:
        return [[str(tag) for tag in rng.choice(head.labels, size=len(row.tags), p=shares)] for row in examples]

    return ChanceRule(f"tags drawn as often as the {training} training set has them", _drawn(task, draw))


@rule.register
def _(head: SpanExtraction, task: AnyTask, layout: Layout) -> ChanceRule:
    def draw(examples: Sequence[QuestionExample], language: str, rng: np.random.Generator) -> list[str]:
        return [random_span(example.context, language, rng) for example in examples]

    return ChanceRule("a span of 1 to 3 words of the context", _drawn(task, draw))


def random_span(context: str, language: str, rng: np.random.Generator) -> str:
    """Return 1 to 3 neighbouring words of a text, as they stand in it."""
    spaceless = language_row(language).script in SPACELESS
    words = list(re.finditer(r"\S" if spaceless else r"\S+", context))
    length = min(int(rng.integers(1, 4)), len(words))
    start = int(rng.integers(0, len(words) - length + 1))
    return context[words[start].start() : words[start + length - 1].end()]


def _drawn(
    task: AnyTask, draw: Callable[[Sequence[Any], str, np.random.Generator], Sequence[Any]]
) -> Callable[[Sequence[Any], str], float]:
    """Return a level that is the mean headline of several random predictions."""

    def level(examples: Sequence[Any], language: str) -> float:
        # The seed names task and language, so that a level does not depend on what else a run has.
        rng = np.random.default_rng([SEED, *f"{task.name}/{language}".encode()])
        headlines = []
        for _ in range(DRAWS):
            counts = task.metric.counts(examples, draw(examples, language, rng), language)
            scores = task.metric.scores(counts.sum(axis=0))
            headlines.append(np.mean([scores[name] for name in task.headline]))
        return float(np.mean(headlines))

    return level
