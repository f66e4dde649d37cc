"""Code-switching: words of English examples in another language, by a bilingual lexicon.

The examples keep their shape: tags stay with their words, and answers are found again where the words
before them grew or shrank. Which words are replaced is a function of the seed and the example's index.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from harness.benchmark.sources.lines import malformed, read_lines
from harness.core.errors import DataError
from harness.core.examples import Answer, ChoiceExample, MatchExample, PairExample, QuestionExample, WordsExample

_WORD = re.compile(r"\w+")

#: Gives a word's translation, or None where it stays.
Translate = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """English words, in small letters, with their translations."""

    entries: Mapping[str, Sequence[str]]

    @staticmethod
    def read(path: Path) -> "Lexicon":
        """Return the lexicon in a file of `English TAB target` lines; pairs of equal words are left out.

        Three quarters of some public lists are names copied unchanged, which would switch nothing.

        Raises:
            DataError: the file is missing or malformed, or holds no pair of different words.
        """
        entries: dict[str, list[str]] = {}
        for number, line in enumerate(read_lines(path), start=1):
            english, tab, target = line.partition("\t")
            if not tab or not english or not target:
                raise malformed(path, number, "`English TAB target` is expected")
            if english.casefold() != target.casefold():
                entries.setdefault(english.casefold(), []).append(target)
        if not entries:
            message = f"{path} holds no pair of different words; nothing can be switched with it"
            raise DataError(message)
        return Lexicon(entries)

    def translator(self, generator: np.random.Generator, rate: float) -> Translate:
        """Return what replaces a word: one of its translations at the given rate, in capitals as it was."""

        def translate(word: str) -> str | None:
            options = self.entries.get(word.casefold())
            if options is None or generator.random() >= rate:
                return None
            chosen = options[int(generator.integers(len(options)))]
            return chosen[:1].upper() + chosen[1:] if word[:1].isupper() else chosen

        return translate


def switched(examples: Sequence[Any], lexicon: Lexicon, rate: float, seed: int) -> list[Any]:
    """Return the examples with words replaced."""
    return [
        switch(example, lexicon.translator(np.random.default_rng([seed, number]), rate))
        for number, example in enumerate(examples)
    ]


@singledispatch
def switch(example: Any, translate: Translate) -> Any:
    """Return an example with words replaced."""
    message = f"examples of type {type(example).__name__} cannot be code-switched"
    raise TypeError(message)


def _text(text: str, translate: Translate) -> str:
    return _WORD.sub(lambda match: translate(match.group()) or match.group(), text)


@switch.register
def _(example: PairExample, translate: Translate) -> PairExample:
    return replace(example, first=_text(example.first, translate), second=_text(example.second, translate))


@switch.register
def _(example: ChoiceExample, translate: Translate) -> ChoiceExample:
    # The question of COPA is a fixed phrase of the prompt and stays; what is said is switched.
    choices = tuple(_text(choice, translate) for choice in example.choices)
    return replace(example, premise=_text(example.premise, translate), choices=choices)


@switch.register
def _(example: MatchExample, translate: Translate) -> MatchExample:
    return replace(example, query=_text(example.query, translate), candidate=_text(example.candidate, translate))


@switch.register
def _(example: WordsExample, translate: Translate) -> WordsExample:
    return replace(example, words=tuple(translate(word) or word for word in example.words))


@switch.register
def _(example: QuestionExample, translate: Translate) -> QuestionExample:
    edges = {edge: edge for answer in example.answers for edge in (answer.start, answer.start + len(answer.text))}
    pieces: list[str] = []
    end = shift = 0
    for match in _WORD.finditer(example.context):
        # A word that an answer cuts through stays, so that each edge has one new position.
        cut = any(match.start() < edge < match.end() for edge in edges)
        found = match.group() if cut else translate(match.group()) or match.group()
        edges |= {edge: edge + shift for edge in edges if end <= edge < match.end()}
        pieces += [example.context[end : match.start()], found]
        shift += len(found) - len(match.group())
        end = match.end()
    edges |= {edge: edge + shift for edge in edges if edge >= end}
    context = "".join([*pieces, example.context[end:]])
    answers = tuple(
        Answer(context[edges[answer.start] : edges[answer.start + len(answer.text)]], edges[answer.start])
        for answer in example.answers
    )
    return replace(example, question=_text(example.question, translate), context=context, answers=answers)
