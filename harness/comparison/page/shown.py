"""How an example, its gold label and an answer are shown to people: by the type of the example."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import singledispatch
from typing import Any

from harness.core.examples import (
    ChoiceExample,
    PairExample,
    QuestionExample,
    SentenceExample,
    WordsExample,
)

#: Letters of a text at most; around an answer as many on each side.
LONGEST, AROUND = 400, 160
#: Candidates of an answer, and words of a difference, that are shown.
_SHOWN = 3
_WORDS = 12


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return the beginning of a text, with an ellipsis where something is left out."""
    return text if len(text) <= longest else f"{text[:longest].rstrip()}…"


@singledispatch
def texts(example: Any) -> list[tuple[str, str]]:
    """Return the texts of an example with their names; of a type of another package all its fields."""
    if not is_dataclass(example):
        return [("example", shortened(str(example)))]
    return [
        (field.name, shortened(str(getattr(example, field.name))))
        for field in fields(example)
        if field.name not in ("id", "label")
    ]


@texts.register
def _(example: PairExample) -> list[tuple[str, str]]:
    return [("first", shortened(example.first)), ("second", shortened(example.second))]


@texts.register
def _(example: ChoiceExample) -> list[tuple[str, str]]:
    choices = [(f"choice {number}", shortened(text)) for number, text in enumerate(example.choices)]
    return [("premise", shortened(example.premise)), ("question", example.question), *choices]


@texts.register
def _(example: WordsExample) -> list[tuple[str, str]]:
    return [("words", shortened(" ".join(example.words)))]


@texts.register
def _(example: QuestionExample) -> list[tuple[str, str]]:
    context = example.context
    if example.answers and len(context) > LONGEST:
        start = max(0, example.answers[0].start - AROUND)
        end = example.answers[0].start + len(example.answers[0].text) + AROUND
        context = f"{'…' if start else ''}{context[start:end]}{'…' if end < len(context) else ''}"
    return [("question", shortened(example.question)), ("context", context)]


@texts.register
def _(example: SentenceExample) -> list[tuple[str, str]]:
    return [("query", shortened(example.text))]


@singledispatch
def gold(example: Any) -> str:
    """Return what is right, as people read it."""
    return str(getattr(example, "label", ""))


@gold.register
def _(example: ChoiceExample) -> str:
    return f"choice {example.label}"


@gold.register
def _(example: WordsExample) -> str:
    return shortened(" ".join(example.tags))


@gold.register
def _(example: QuestionExample) -> str:
    found = list(dict.fromkeys(answer.text for answer in example.answers))
    return shortened(" | ".join(found)) if found else "(no answer)"


@gold.register
def _(example: SentenceExample) -> str:
    return _ids(sorted(example.gold)) if example.gold else "(nothing)"


@singledispatch
def answer(example: Any, prediction: Any) -> str:
    """Return a prediction as people read it."""
    if prediction is None or prediction == "":
        return "(nothing)"
    return _ids(prediction) if isinstance(prediction, list) else shortened(str(prediction))


@answer.register
def _(example: ChoiceExample, prediction: Any) -> str:
    return f"choice {prediction}"


@answer.register
def _(example: WordsExample, prediction: Sequence[str]) -> str:
    wrong = [
        f"{word}: {right} → {found}"
        for word, right, found in zip(example.words, example.tags, prediction, strict=False)
        if right != found
    ]
    if not wrong:
        return "all tags right"
    more = f", and {len(wrong) - _WORDS} more" if len(wrong) > _WORDS else ""
    return f"{len(wrong)} of {len(example.tags)} tags wrong: {', '.join(wrong[:_WORDS])}{more}"


def _ids(names: Sequence[Any]) -> str:
    if not names:
        return "(nothing)"
    more = f", … ({len(names)})" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more
