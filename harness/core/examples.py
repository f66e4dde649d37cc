"""The shapes of an example: one gold-labelled item of a dataset.

`cluster` says which examples of a file are not independent of each other, as statistics need it (`cluster_of`).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


class Example(Protocol):
    """What every example has."""

    @property
    def id(self) -> str:
        """The id, unique within its file."""
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


@dataclass(frozen=True, slots=True)
class WordsExample:
    """A sentence as words, with one tag for each word (UDPOS, PAN-X)."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class MatchExample:
    """Two texts that belong together, for training a dual encoder (LAReQA, Mewsli-X)."""

    id: str
    query: str
    candidate: str

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


def first(examples: Sequence[Any], count: int) -> list[Any]:
    """Return the first `count` scored examples in order, and every other one they need."""
    kept = {id(example) for example in scored(examples)[:count]}
    return [example for example in examples if id(example) in kept or not is_scored(example)]
