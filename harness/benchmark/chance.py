"""The level of chance of a task: what answering without looking at the text scores, computed from the data.

A postprocessor declares what may be answered, and so how it is guessed: its class attribute `chance`. A level is the
task's headline in percent. Guessed answers are drawn with a seed that names task and language, so that a level does
not depend on what else is scored.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import chain
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.metrics.hits import FirstHit
from harness.benchmark.metrics.pairs import PairF1
from harness.benchmark.metrics.ranking import AveragePrecision
from harness.core.errors import UsageError
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample, scored
from harness.core.languages import language as language_row
from harness.core.layout import Layout
from harness.core.task import AnyTask

#: Answers of the random predictors are drawn so many times, and their scores averaged.
DRAWS = 5
SEED = 0
#: Scripts that put no spaces between words: there, each character is a word.
SPACELESS = frozenset({"Hani", "Jpan", "Thai"})

#: Answer -> how often it was given.
Answers: TypeAlias = Mapping[Hashable, int]


class Chance(Protocol):
    """How answers of one form are guessed, and what of them can be counted."""

    @property
    def text(self) -> str:
        """What the level is: ``1 of 3 classes``."""
        ...

    @property
    def without_english(self) -> str:
        """Why a task of this kind has no English score."""
        ...

    def trained(self, task: AnyTask, layout: Layout) -> Self:
        """Return the rule that knows the training set, where guesses depend on one."""
        ...

    def level(
        self,
        task: AnyTask,
        examples: Sequence[Any],
        language: str,
        *,
        candidates: int | None = None,
        most: int | None = None,
    ) -> float | None:
        """Return what guessing scores in one language, in percent; None where it is not known.

        Args:
            task: gives metric and headline.
            examples: of the language.
            language: its code.
            candidates: how many there are, where the examples do not hold them.
            most: examples at most that answers are drawn for; all where None.
        """
        ...

    def constant(self, task: AnyTask, examples: Sequence[Any]) -> float | None:
        """Return what the most frequent gold answer scores if it is always given; None where there is no such."""
        ...

    def whole(self, gold: Sequence[Any], predictions: Sequence[Any]) -> tuple[Answers, Answers]:
        """Return how often each gold answer and each given answer occurs, one for each example."""
        ...

    def parts(self, gold: Sequence[Any], predictions: Sequence[Any]) -> tuple[Answers, Answers] | None:
        """Return the same for what is right or wrong by itself, as each tag; None where labels are not a few."""
        ...


def chance_of(task: AnyTask) -> Chance | None:
    """Return how a task's answers are guessed; None where its postprocessor does not declare it."""
    found: Chance | None = getattr(task.postprocess, "chance", None)
    return found


def _accuracy_only(task: AnyTask) -> bool:
    return task.headline == ("accuracy",)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the rules share."""

    without_english: str = "the task has no English test set"

    def trained(self, task: AnyTask, layout: Layout) -> Self:
        """See `Chance`."""
        return self

    def constant(self, task: AnyTask, examples: Sequence[Any]) -> float | None:
        """See `Chance`."""
        return None

    def parts(self, gold: Sequence[Any], predictions: Sequence[Any]) -> tuple[Answers, Answers] | None:
        """See `Chance`."""
        return None


@dataclass(frozen=True, slots=True)
class _LabelRule(_Rule):
    """Answers that are one of a few labels, right or wrong."""

    def constant(self, task: AnyTask, examples: Sequence[Any]) -> float | None:
        """See `Chance`."""
        if not examples or not _accuracy_only(task):
            return None
        return 100 * max(Counter(example.label for example in examples).values()) / len(examples)

    def whole(self, gold: Sequence[PairExample | ChoiceExample], predictions: Sequence[Any]) -> tuple[Answers, Answers]:
        """See `Chance`."""
        return Counter(example.label for example in gold), Counter(predictions)

    def parts(
        self, gold: Sequence[PairExample | ChoiceExample], predictions: Sequence[Any]
    ) -> tuple[Answers, Answers] | None:
        """See `Chance`."""
        return self.whole(gold, predictions)


@dataclass(frozen=True, slots=True)
class EqualLabels(_LabelRule):
    """Each label of the graph is as likely."""

    text: str = "1 of the classes"

    def level(
        self,
        task: AnyTask,
        examples: Sequence[Any],
        language: str,
        *,
        candidates: int | None = None,
        most: int | None = None,
    ) -> float | None:
        """See `Chance`."""
        labels = getattr(task.finetune.head, "labels", ())
        return 100 / len(labels) if labels and _accuracy_only(task) else None

    def trained(self, task: AnyTask, layout: Layout) -> Self:
        """See `Chance`."""
        return replace(self, text=f"1 of {len(getattr(task.finetune.head, 'labels', ()))} classes")


@dataclass(frozen=True, slots=True)
class EqualChoices(_LabelRule):
    """Each choice of an example is as likely."""

    text: str = "1 of an example's choices"

    def level(
        self,
        task: AnyTask,
        examples: Sequence[ChoiceExample],
        language: str,
        *,
        candidates: int | None = None,
        most: int | None = None,
    ) -> float | None:
        """See `Chance`."""
        if not examples or not _accuracy_only(task):
            return None
        return 100 * float(np.mean([1 / len(example.choices) for example in examples]))


@dataclass(frozen=True, slots=True)
class EqualCandidates(_Rule):
    """Each candidate is as likely; the metric says what a random order of them scores."""

    without_english: str = "English is the query side"
    text: str = "1 of a language's candidates"

    def level(
        self,
        task: AnyTask,
        examples: Sequence[SentenceExample],
        language: str,
        *,
        candidates: int | None = None,
        most: int | None = None,
    ) -> float | None:
        """See `Chance`."""
        queries = scored(examples)
        if candidates is None:
            candidates = sum(example.side == "candidate" and not example.tuning for example in examples)
        if not queries or not candidates:
            return None
        sizes = np.array([len(query.gold) for query in queries], dtype=np.float64)
        return expected(task.metric, sizes, candidates)

    def whole(self, gold: Sequence[SentenceExample], predictions: Sequence[Any]) -> tuple[Answers, Answers]:
        """See `Chance`."""
        return (
            Counter(chain.from_iterable(query.gold for query in gold)),
            Counter(found[0] for found in predictions if found),
        )


@singledispatch
def expected(metric: object, gold: NDArray[np.float64], candidates: int) -> float | None:
    """Return what a random order of the candidates scores, in percent; None for a metric that is not known here.

    Args:
        metric: of the task.
        gold: right candidates of each query (queries,).
        candidates: how many there are.
    """
    return None


@expected.register
def _(metric: FirstHit, gold: NDArray[np.float64], candidates: int) -> float:
    return 100 * float(np.mean(gold / candidates))


@expected.register
def _(metric: AveragePrecision, gold: NDArray[np.float64], candidates: int) -> float:
    # At rank r a right one lies with probability G / N, and (r - 1) (G - 1) / (N - 1) of the others before it.
    ranks = np.arange(1, min(metric.depth, candidates) + 1)
    sizes = gold[:, None]
    hits = sizes / candidates * (1 + (ranks - 1) * (sizes - 1) / max(1, candidates - 1)) / ranks
    return 100 * float(np.mean(hits.sum(axis=1) / np.minimum(np.maximum(gold, 1), metric.depth)))


@expected.register
def _(metric: PairF1, gold: NDArray[np.float64], candidates: int) -> float:
    # As many pairs as there are right ones, drawn at random: of them G / (Q N) are right, and F1 is that share.
    return 100 * float(gold.sum() / (len(gold) * candidates))


@dataclass(frozen=True, slots=True)
class DrawnTags(_Rule):
    """Tags drawn as often as the gold of the language has them, or as a training set has them."""

    text: str = "tags drawn as often as the gold has them"
    #: The probability of each of the head's labels, in their order; those of the gold where None.
    shares: tuple[float, ...] | None = None

    def trained(self, task: AnyTask, layout: Layout) -> Self:
        """See `Chance`.

        Raises:
            UsageError: the task has no training set.
            DataError: its file is missing or malformed.
        """
        source, training = task.finetune.train, task.finetune.languages[0]
        if source is None:
            message = f"task {task.name!r} has no training set whose tags could be drawn"
            raise UsageError(message)
        tags = Counter(chain.from_iterable(example.tags for example in source.read(layout, training, "train")))
        text = f"tags drawn as often as the {training} training set has them"
        return replace(self, text=text, shares=_shares(tags, task.finetune.head))

    def level(
        self,
        task: AnyTask,
        examples: Sequence[WordsExample],
        language: str,
        *,
        candidates: int | None = None,
        most: int | None = None,
    ) -> float | None:
        """See `Chance`."""
        shares, head, chosen = self.shares, task.finetune.head, some(examples, most)
        if shares is None:
            shares = _shares(Counter(chain.from_iterable(example.tags for example in chosen)), head)
        if not sum(shares):
            return None
        labels = np.asarray(getattr(head, "labels", ()))
        ends = np.cumsum([len(row.tags) for row in chosen]).tolist()
        starts = [0, *ends[:-1]]
        # As `Generator.choice` draws with probabilities, for all words at once.
        cumulated = np.cumsum(shares)
        cumulated /= cumulated[-1]

        def draw(rng: np.random.Generator) -> list[list[str]]:
            tags = labels[cumulated.searchsorted(rng.random(ends[-1]), side="right")].tolist()
            return [tags[start:end] for start, end in zip(starts, ends, strict=True)]

        rng = _rng(task, language)
        return _mean(task, chosen, language, (draw(rng) for _ in range(DRAWS)))

    def whole(self, gold: Sequence[WordsExample], predictions: Sequence[Sequence[str]]) -> tuple[Answers, Answers]:
        """See `Chance`; a sentence whose tags are all equal counts as that tag."""
        return Counter(_single(example.tags) for example in gold), Counter(map(_single, predictions))

    def parts(
        self, gold: Sequence[WordsExample], predictions: Sequence[Sequence[str]]
    ) -> tuple[Answers, Answers] | None:
        """See `Chance`."""
        return (
            Counter(chain.from_iterable(example.tags for example in gold)),
            Counter(chain.from_iterable(predictions)),
        )


def _shares(tags: Mapping[str, int], head: object) -> tuple[float, ...]:
    counts = np.array([tags.get(label, 0) for label in getattr(head, "labels", ())], dtype=np.float64)
    total = counts.sum()
    return tuple((counts / total).tolist()) if total else ()


def _single(tags: Sequence[str]) -> Hashable:
    return tags[0] if tags and tags.count(tags[0]) == len(tags) else tuple(tags)


@dataclass(frozen=True, slots=True)
class DrawnSpans(_Rule):
    """A span of 1 to 3 words of the context."""

    text: str = "a span of 1 to 3 words of the context"

    def level(
        self,
        task: AnyTask,
        examples: Sequence[QuestionExample],
        language: str,
        *,
        candidates: int | None = None,
        most: int | None = None,
    ) -> float | None:
        """See `Chance`."""
        chosen = [example for example in some(examples, most) if example.answers]
        if not chosen:
            return None
        words = {text: context_words(text, language) for text in {example.context for example in chosen}}
        if not all(words.values()):
            return None
        rng = _rng(task, language)

        def draw() -> list[str]:
            return [_span(example.context, words[example.context], rng) for example in chosen]

        return _mean(task, chosen, language, (draw() for _ in range(DRAWS)))

    def whole(self, gold: Sequence[QuestionExample], predictions: Sequence[Any]) -> tuple[Answers, Answers]:
        """See `Chance`."""
        return (
            Counter(example.answers[0].text if example.answers else "" for example in gold),
            Counter(predictions),
        )


def context_words(context: str, language: str) -> list[tuple[int, int]]:
    """Return where the words of a context start and end; each character is one where no spaces are written."""
    spaceless = language_row(language).script in SPACELESS
    return [match.span() for match in re.finditer(r"\S" if spaceless else r"\S+", context)]


def random_span(context: str, language: str, rng: np.random.Generator) -> str:
    """Return 1 to 3 neighbouring words of a text, as they stand in it."""
    return _span(context, context_words(context, language), rng)


def _span(context: str, words: Sequence[tuple[int, int]], rng: np.random.Generator) -> str:
    length = min(int(rng.integers(1, 4)), len(words))
    start = int(rng.integers(0, len(words) - length + 1))
    return context[words[start][0] : words[start + length - 1][1]]


def some(examples: Sequence[Any], most: int | None) -> Sequence[Any]:
    """Return at most so many examples, spread evenly."""
    if most is None or len(examples) <= most:
        return examples
    return [examples[number] for number in np.linspace(0, len(examples) - 1, most).astype(int).tolist()]


def _rng(task: AnyTask, language: str) -> np.random.Generator:
    return np.random.default_rng([SEED, *f"{task.name}/{language}".encode()])


def _mean(task: AnyTask, examples: Sequence[Any], language: str, drawn: Iterable[Sequence[Any]]) -> float:
    """Return the mean headline of several random predictions."""
    headlines = []
    for predictions in drawn:
        scores = task.metric.scores(task.metric.counts(examples, predictions, language).sum(axis=0))
        headlines.append(np.mean([scores[name] for name in task.headline]))
    return float(np.mean(headlines))
