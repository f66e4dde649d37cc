"""The shapes of an example: one gold-labelled item of a dataset.

`cluster` says which examples of a file are not independent of each other, as statistics need it (`cluster_of`).
"""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, Protocol

import numpy as np


class Example(Protocol):
    """What every example has."""

    @property
    def id(self) -> str:
        """The id, unique within its file."""
        ...

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield each text of the example with the name of its field."""
        ...

    def asked(self) -> Hashable:
        """Return everything that a model is shown; two examples that show the same are duplicates."""
        ...

    def right(self) -> Hashable:
        """Return the gold; duplicates of different gold contradict each other."""
        ...


@dataclass(frozen=True, slots=True)
class PairExample:
    """Two sentences and the label of the pair (XNLI, PAWS-X)."""

    id: str
    first: str
    second: str
    label: str

    @property
    def cluster(self) -> Hashable:
        """Pairs with one first sentence: XNLI has three hypotheses for each premise."""
        return self.first

    def texts(self) -> Iterator[tuple[str, str]]:
        """See `Example`."""
        yield "sentence 1", self.first
        yield "sentence 2", self.second

    def asked(self) -> Hashable:
        """See `Example`."""
        return self.first, self.second

    def right(self) -> Hashable:
        """See `Example`."""
        return self.label


@dataclass(frozen=True, slots=True)
class ChoiceExample:
    """A premise, a question and the choices, of which `label` is the right one's index."""

    id: str
    premise: str
    question: str
    choices: tuple[str, ...]
    label: int

    @property
    def cluster(self) -> Hashable:
        """Questions about one premise."""
        return self.premise

    def texts(self) -> Iterator[tuple[str, str]]:
        """See `Example`; a data set without questions has empty ones, which are no text."""
        yield "premise", self.premise
        if self.question:
            yield "question", self.question
        for number, choice in enumerate(self.choices, start=1):
            yield f"choice {number}", choice

    def asked(self) -> Hashable:
        """See `Example`; the order of the choices says nothing."""
        return self.premise, self.question, tuple(sorted(self.choices))

    def right(self) -> Hashable:
        """See `Example`."""
        return self.choices[self.label]


@dataclass(frozen=True, slots=True)
class WordsExample:
    """A sentence as words, with one tag for each word (UDPOS, PAN-X)."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]

    def texts(self) -> Iterator[tuple[str, str]]:
        """See `Example`."""
        for word in self.words:
            yield "word", word

    def asked(self) -> Hashable:
        """See `Example`."""
        return self.words

    def right(self) -> Hashable:
        """See `Example`."""
        return self.tags


@dataclass(frozen=True, slots=True)
class Answer:
    """A reference answer; `start` counts characters (code points) of the context."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """A question whose answers are spans of the context (XQuAD, MLQA, TyDi QA, SQuAD)."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]

    @property
    def cluster(self) -> Hashable:
        """Questions about one paragraph."""
        return self.context

    def texts(self) -> Iterator[tuple[str, str]]:
        """See `Example`; answers are slices of the context."""
        yield "question", self.question
        yield "context", self.context

    def asked(self) -> Hashable:
        """See `Example`."""
        return self.question, self.context

    def right(self) -> Hashable:
        """See `Example`."""
        return tuple(sorted({answer.text for answer in self.answers}))


@dataclass(frozen=True, slots=True)
class SentenceExample:
    """A sentence of a retrieval task; `gold` holds the candidate ids that a query should find."""

    id: str
    text: str
    side: Literal["query", "candidate"]
    gold: frozenset[str] = frozenset()
    #: Only chooses a threshold for the others (BUCC's dev split), and is never scored itself.
    tuning: bool = False

    @property
    def cluster(self) -> Hashable | None:
        """Queries with the same answers: mentions of one entity, questions that one sentence answers."""
        return self.gold or None

    def texts(self) -> Iterator[tuple[str, str]]:
        """See `Example`."""
        yield self.side, self.text

    def asked(self) -> Hashable:
        """See `Example`."""
        return self.side, self.text

    def right(self) -> Hashable:
        """See `Example`."""
        return tuple(sorted(self.gold))


@dataclass(frozen=True, slots=True)
class MatchExample:
    """Two texts that belong together, for training a dual encoder (LAReQA, Mewsli-X)."""

    id: str
    query: str
    candidate: str

    def texts(self) -> Iterator[tuple[str, str]]:
        """See `Example`."""
        yield "query", self.query
        yield "candidate", self.candidate

    def asked(self) -> Hashable:
        """See `Example`; a match shows a model both of its texts."""
        return self.query, self.candidate

    def right(self) -> Hashable:
        """See `Example`; that both belong together is all there is to know."""
        return True

    @property
    def label(self) -> str:
        """The candidate that the query should find among others: its own."""
        return self.id


def cluster_of(example: Any) -> Hashable | None:
    """Return what an example shares with those that it is not independent of; None where it is independent.

    A type without `cluster`, such as that of another package, has independent examples.
    """
    return getattr(example, "cluster", None)


def is_scored(example: Any) -> bool:
    """Return whether an example counts: neither a candidate of a retrieval task nor there for tuning."""
    return getattr(example, "side", None) != "candidate" and not getattr(example, "tuning", False)


def scored(examples: Sequence[Any]) -> list[Any]:
    """Return the examples that are scored."""
    return [example for example in examples if is_scored(example)]


def holding(examples: Sequence[Any], texts: Collection[str]) -> int:
    """Return how many examples have one of some texts in a field."""
    return sum(any(text in texts for _, text in example.texts()) for example in examples) if texts else 0


@dataclass(frozen=True, slots=True)
class Sample:
    """Examples of each language that are drawn at random, without replacement."""

    count: int
    seed: int = 1

    def of(self, examples: Sequence[Any]) -> list[Any]:
        """Return the drawn scored examples in order, and every other one they need, such as candidates.

        Positions depend on the seed and the number of scored examples alone, so files of one length, such as
        translations, give the same positions.
        """
        asked = scored(examples)
        if len(asked) <= self.count:
            return list(examples)
        places = np.random.default_rng([self.seed, len(asked)]).choice(len(asked), self.count, replace=False)
        kept = {id(asked[place]) for place in places}
        return [example for example in examples if id(example) in kept or not is_scored(example)]


def ids_sha256(ids: Sequence[str]) -> str:
    """Return the SHA-256 of ids, one a line: which examples were asked."""
    return sha256("\n".join(ids).encode()).hexdigest()


def first(examples: Sequence[Any], count: int) -> list[Any]:
    """Return the first `count` scored examples in order, and every other one they need."""
    kept = {id(example) for example in scored(examples)[:count]}
    return [example for example in examples if id(example) in kept or not is_scored(example)]
