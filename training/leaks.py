"""Evaluation sentences among what a recipe trains on: found by the hash of the normalised sentence, and refused.

A model that has read its test set scores well and shows nothing. Every training, text and parallel
file of a recipe is compared with every evaluation file of the data folder, in every language.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import singledispatch
from hashlib import blake2b
from typing import Any

from harness.benchmark import tasks
from harness.benchmark.sources.sentences import sentence_breaks
from harness.core.errors import LeakError
from harness.core.examples import (
    ChoiceExample,
    MatchExample,
    PairExample,
    QuestionExample,
    SentenceExample,
    WordsExample,
)
from harness.core.layout import Layout, Split
from harness.core.task import AnyTask, Source

#: Letters and digits below which a sentence may be anybody's ("Thank you very much"). Those of scripts
#: that write a word with one or two count double.
SHORTEST = 24
#: Part of an evaluation file's sentences that may occur in training by chance, and how many at least. Both
#: SQuAD and BUCC are taken from Wikipedia, and share 1.2 % of BUCC's dev sentences; a copied file shares all.
#: What is below is written into the checkpoint and reported, and stops nothing.
INCIDENTAL, FEW = 0.02, 3
#: What is neither a letter nor a digit.
_BETWEEN = re.compile(r"[\W_]+")
#: Overlaps that one message names.
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Overlap:
    """Evaluation sentences in one training file."""

    trained: str
    evaluated: str
    sentences: int
    #: Sentences of the evaluation file that are long enough to be compared.
    of: int
    #: One of them.
    example: str

    @property
    def is_leak(self) -> bool:
        """Return whether there are more than may be there by chance."""
        return self.sentences >= FEW and self.sentences > INCIDENTAL * self.of

    def describe(self) -> str:
        """Return it as people read it."""
        shown = self.example if len(self.example) <= 60 else self.example[:57] + "..."
        return (
            f"{self.trained} holds {self.sentences:,} of {self.of:,} sentences of {self.evaluated}, such as {shown!r}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the form of checkpoints."""
        return {
            "trained": self.trained,
            "evaluated": self.evaluated,
            "sentences": self.sentences,
            "of": self.of,
            "leak": self.is_leak,
            "example": self.example,
        }


def normalise(text: str) -> str:
    """Return the letters and digits of a text, in compatibility form and small."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", text).casefold())


def fingerprint(text: str) -> bytes | None:
    """Return the hash of a sentence, or None if it is too short to belong to anybody."""
    plain = normalise(text)
    if len(plain) < SHORTEST:
        dense = sum(unicodedata.east_asian_width(character) in "WF" for character in plain)
        if len(plain) + dense < SHORTEST:
            return None
    return blake2b(plain.encode(), digest_size=8).digest()


def sentences(text: str) -> Iterator[str]:
    """Yield a text, and its sentences where it has several."""
    yield text
    breaks = sentence_breaks(text)
    if len(breaks) > 1:
        for start, end in breaks:
            yield text[start:end]


@singledispatch
def texts(example: Any) -> Iterator[str]:
    """Yield the texts of an example that evaluation would show to a model."""
    message = f"examples of type {type(example).__name__} have no texts to compare"
    raise TypeError(message)


@texts.register
def _(example: PairExample) -> Iterator[str]:
    yield from (example.first, example.second)


@texts.register
def _(example: ChoiceExample) -> Iterator[str]:
    yield from (example.premise, *example.choices)


@texts.register
def _(example: WordsExample) -> Iterator[str]:
    yield " ".join(example.words)


@texts.register
def _(example: QuestionExample) -> Iterator[str]:
    yield from (example.question, example.context)


@texts.register
def _(example: SentenceExample) -> Iterator[str]:
    yield example.text


@texts.register
def _(example: MatchExample) -> Iterator[str]:
    yield from (example.query, example.candidate)


class EvaluationTexts:
    """The evaluation sentences of a data folder."""

    def __init__(self, layout: Layout) -> None:
        """Read every evaluation file there is."""
        #: Fingerprint -> where the sentence is evaluated.
        self._known: dict[bytes, str] = {}
        #: "task language split" -> number of its sentences.
        self._sizes: dict[str, int] = {}
        for name in tasks.names():
            task = tasks.load(name)
            for source, language, split in evaluations(task):
                if all(path.is_file() for path in source.paths(layout, language, split)):
                    where = f"{name} {language} {split}"
                    marks: set[bytes] = set()
                    for example in source.read(layout, language, split):
                        for text in texts(example):
                            mark = fingerprint(text)
                            if mark is not None and self._known.setdefault(mark, where) == where:
                                marks.add(mark)
                    self._sizes[where] = len(marks)

    def overlaps(self, trained: Mapping[str, Iterable[str]], own: Mapping[str, frozenset[str]]) -> list[Overlap]:
        """Return what training texts share with evaluation.

        Args:
            trained: file -> its texts.
            own: file -> the tasks whose official training set it is; what those share is theirs.
        """
        found: dict[tuple[str, str], list[str]] = {}
        for file, lines in trained.items():
            seen: set[bytes] = set()
            for line in lines:
                for text in sentences(line):
                    mark = fingerprint(text)
                    where = self._known.get(mark) if mark is not None and mark not in seen else None
                    if mark is not None and where is not None:
                        seen.add(mark)
                        if where.partition(" ")[0] not in own.get(file, ()):
                            found.setdefault((file, where), []).append(text)
        return [
            Overlap(file, where, len(shared), self._sizes[where], shared[0])
            for (file, where), shared in sorted(found.items())
        ]


def evaluations(task: AnyTask) -> Iterator[tuple[Source[Any], str, Split]]:
    """Yield each source, language and split that a task is evaluated on, and what those are translations of."""
    for language in task.all_languages(None):
        for split in task.source.splits:
            if split != "train":
                yield task.source, language, split
    yield from task.originals


def check(overlaps: list[Overlap], allowed: str | None) -> None:
    """Refuse overlaps unless they are allowed.

    Raises:
        LeakError: names them.
    """
    leaks = [overlap for overlap in overlaps if overlap.is_leak]
    if not leaks or allowed is not None:
        return
    listed = "\n  ".join(overlap.describe() for overlap in leaks[:SHOWN])
    more = f"\n  and {len(leaks) - SHOWN} more" if len(leaks) > SHOWN else ""
    message = (
        f"the recipe trains on evaluation sentences; take the files out, or continue with `--allow-leak REASON`, which "
        f"marks the model and every score of it:\n  {listed}{more}"
    )
    raise LeakError(message)
