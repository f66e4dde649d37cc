"""Which fields of text each kind of graph takes and what its answer holds: one form for each featurizer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.featurizers.dual import DualFeaturizer
from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.featurizers.words import LONG, WITHOUT, WordsFeaturizer
from harness.benchmark.postprocessors.span import BestSpan
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.core.features import Feature, Featurizer, Tokenizer
from harness.core.task import Outputs, Postprocessor
from harness.text.fields import Field, Question

#: A featurizer with this limit cuts nothing.
_UNLIMITED = 2**40
#: Decimals of probabilities and scores: float32 has no more.
_DECIMALS = 6

Answer: TypeAlias = dict[str, Any]


class Form(Protocol):
    """How the texts of one kind of graph are read, and how its answers are made."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a user fills, in the order of the command line."""
        ...

    @property
    def known(self) -> Mapping[str, list[str]]:
        """A question that every graph of the kind can answer, for health checks."""
        ...

    @property
    def vector(self) -> bool:
        """Whether the answer is one vector, which a server sends as numbers rather than as JSON."""
        ...

    def example(self, question: Question) -> Any:
        """Return the example that the featurizer takes."""
        ...

    def is_cut(self, example: Any, features: Sequence[Feature], tokenizer: Tokenizer) -> bool:
        """Return whether the example has a part that is in none of its rows."""
        ...

    def answer(self, example: Any, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """Return the answer to one example; `features` are numbered as those of the example 0."""
        ...


def _alignment(feature: Feature) -> NDArray[np.signedinteger[Any]]:
    return cast("NDArray[np.signedinteger[Any]]", feature.alignment)


def _tokens(features: Iterable[Feature]) -> int:
    return sum(len(feature.input_ids) for feature in features)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return probabilities along the last axis."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return cast("NDArray[np.float64]", powers / powers.sum(axis=-1, keepdims=True))


def _rounded(values: NDArray[Any]) -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]


@dataclass(frozen=True, slots=True)
class PairForm:
    """Two texts, one label."""

    featurizer: PairFeaturizer
    postprocess: Postprocessor[Any, str]
    fields: ClassVar[tuple[Field, ...]] = (Field(name="text"), Field(name="text_pair"))
    known: ClassVar[Mapping[str, list[str]]] = {
        "text": ["The teacher opened the window."],
        "text_pair": ["Somebody opened the window."],
    }
    vector: ClassVar[bool] = False

    def example(self, question: Question) -> PairExample:
        """See `Form.example`."""
        # Any label: the featurizer makes the row's target of it, which is not used here.
        return PairExample("", question["text"], question["text_pair"], self.featurizer.labels[0])

    def is_cut(self, example: PairExample, features: Sequence[Feature], tokenizer: Tokenizer) -> bool:
        """See `Form.is_cut`."""
        wide = replace(self.featurizer, max_tokens=_UNLIMITED)
        return _is_shorter(features, self.featurizer.max_tokens, wide, example, tokenizer)

    def answer(self, example: PairExample, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """See `Form.answer`."""
        (label,) = self.postprocess([example], features, outputs)
        chances = _rounded(_softmax(outputs[0]["logits"]))
        return {"label": label, "probabilities": dict(zip(self.featurizer.labels, chances, strict=True))}


@dataclass(frozen=True, slots=True)
class ChoiceForm:
    """A text, a question about it where the data set has one, and choices; the answer is a choice's number."""

    featurizer: ChoiceFeaturizer
    postprocess: Postprocessor[Any, int]
    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="text"),
        Field(name="question", may_be_empty=True),
        Field(name="choices", several=True),
    )
    known: ClassVar[Mapping[str, list[str]]] = {
        "text": ["The window was open."],
        "question": ["What was the effect?"],
        "choices": ["The room became cold.", "The teacher bought a book."],
    }
    vector: ClassVar[bool] = False

    def example(self, question: Question) -> ChoiceExample:
        """See `Form.example`."""
        return ChoiceExample("", question["text"], question["question"], question["choices"], 0)

    def is_cut(self, example: ChoiceExample, features: Sequence[Feature], tokenizer: Tokenizer) -> bool:
        """See `Form.is_cut`."""
        wide = replace(self.featurizer, max_tokens=_UNLIMITED)
        return _is_shorter(features, self.featurizer.max_tokens, wide, example, tokenizer)

    def answer(self, example: ChoiceExample, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """See `Form.answer`."""
        (choice,) = self.postprocess([example], features, outputs)
        scores = np.concatenate([output["logits"] for output in outputs])
        return {"choice": choice, "probabilities": _rounded(_softmax(scores))}


@dataclass(frozen=True, slots=True)
class WordsForm:
    """A text of words between white space; a tag for each word."""

    featurizer: WordsFeaturizer
    postprocess: Postprocessor[Any, tuple[str, ...]]
    fields: ClassVar[tuple[Field, ...]] = (Field(name="text"),)
    known: ClassVar[Mapping[str, list[str]]] = {"text": ["The teacher opened the window ."]}
    vector: ClassVar[bool] = False

    def example(self, question: Question) -> WordsExample:
        """See `Form.example`."""
        words = tuple(question["text"].split())
        # Any tag, see `PairForm.example`.
        return WordsExample("", words, (self.featurizer.tags[0],) * len(words))

    def is_cut(self, example: WordsExample, features: Sequence[Feature], tokenizer: Tokenizer) -> bool:
        """See `Form.is_cut`: only a word that is longer than a row, which becomes the unknown token."""
        return any(bool((_alignment(feature)[:, 2] == LONG).any()) for feature in features)

    def answer(self, example: WordsExample, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """See `Form.answer`."""
        (tags,) = self.postprocess([example], features, outputs)
        chances = [
            _softmax(output["logits"][_alignment(feature)[:, 1]]).max(axis=-1)
            for feature, output in zip(features, outputs, strict=True)
        ]
        unread = np.concatenate([_alignment(feature)[:, 2] == WITHOUT for feature in features])
        return {
            "words": list(example.words),
            "tags": list(tags),
            "probabilities": _rounded(np.concatenate(chances)),
            # Where there are any: the tag of a word that the tokenizer deletes says nothing of it.
            **({"without_subwords": np.flatnonzero(unread).tolist()} if unread.any() else {}),
        }


@dataclass(frozen=True, slots=True)
class QuestionForm:
    """A question and the context that holds its answer."""

    featurizer: WindowFeaturizer
    postprocess: BestSpan
    fields: ClassVar[tuple[Field, ...]] = (Field(name="question"), Field(name="context"))
    known: ClassVar[Mapping[str, list[str]]] = {
        "question": ["Who opened the window?"],
        "context": ["The teacher opened the window. Then the room became cold."],
    }
    vector: ClassVar[bool] = False

    def example(self, question: Question) -> QuestionExample:
        """See `Form.example`."""
        return QuestionExample("", question["question"], question["context"], ())

    def is_cut(self, example: QuestionExample, features: Sequence[Feature], tokenizer: Tokenizer) -> bool:
        """See `Form.is_cut`: windows see the whole context, so only the question can lose something."""
        alone = replace(example, context="")
        wide = replace(self.featurizer, max_tokens=_UNLIMITED, max_question=_UNLIMITED)
        return _tokens(self.featurizer([alone], tokenizer)) < _tokens(wide([alone], tokenizer))

    def answer(self, example: QuestionExample, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """See `Form.answer`."""
        (span,) = self.postprocess.spans([example], features, outputs)
        if span is None:
            return {"answer": "", "start": None, "end": None, "score": None}
        text = example.context[span.start : span.end]
        start = span.start + len(text) - len(text.lstrip())
        return {
            "answer": text.strip(),
            "start": start,
            "end": start + len(text.strip()),
            "score": round(span.score, _DECIMALS),
        }


@dataclass(frozen=True, slots=True)
class SentenceForm:
    """A text; its vector."""

    featurizer: SentenceFeaturizer
    postprocess: None = None
    fields: ClassVar[tuple[Field, ...]] = (Field(name="text"),)
    known: ClassVar[Mapping[str, list[str]]] = {"text": ["The teacher opened the window."]}
    vector: ClassVar[bool] = True

    def example(self, question: Question) -> SentenceExample:
        """See `Form.example`."""
        return SentenceExample("", question["text"], "query")

    def is_cut(self, example: SentenceExample, features: Sequence[Feature], tokenizer: Tokenizer) -> bool:
        """See `Form.is_cut`."""
        wide = replace(self.featurizer, max_tokens=_UNLIMITED)
        return _is_shorter(features, self.featurizer.max_tokens, wide, example, tokenizer)

    def answer(self, example: SentenceExample, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """See `Form.answer`."""
        return {"embedding": outputs[0]["embedding"].tolist()}


@dataclass(frozen=True, slots=True)
class DualForm:
    """A text and its side, for each side has its own longest row; its vector."""

    featurizer: DualFeaturizer
    postprocess: None = None
    fields: ClassVar[tuple[Field, ...]] = (Field(name="text"), Field(name="side", allowed=("query", "candidate")))
    known: ClassVar[Mapping[str, list[str]]] = {"text": ["Who opened the window?"], "side": ["query"]}
    vector: ClassVar[bool] = True

    def example(self, question: Question) -> SentenceExample:
        """See `Form.example`."""
        return SentenceExample("", question["text"], cast(Literal["query", "candidate"], question["side"]))

    def is_cut(self, example: SentenceExample, features: Sequence[Feature], tokenizer: Tokenizer) -> bool:
        """See `Form.is_cut`."""
        least = min(self.featurizer.query_tokens, self.featurizer.candidate_tokens)
        wide = replace(self.featurizer, query_tokens=_UNLIMITED, candidate_tokens=_UNLIMITED)
        return _is_shorter(features, least, wide, example, tokenizer)

    def answer(self, example: SentenceExample, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """See `Form.answer`."""
        return {"embedding": outputs[0]["embedding"].tolist()}


def _is_shorter(
    features: Sequence[Feature], full: int, wide: Featurizer[Any], example: Any, tokenizer: Tokenizer
) -> bool:
    """Return whether rows are shorter than a featurizer without limits makes them; rows below `full` are not."""
    if max(len(feature.input_ids) for feature in features) < full:
        return False
    return _tokens(features) < _tokens(wide([example], tokenizer))


#: Featurizer -> the form of its texts.
FORMS: Mapping[type, Any] = {
    PairFeaturizer: PairForm,
    ChoiceFeaturizer: ChoiceForm,
    WordsFeaturizer: WordsForm,
    WindowFeaturizer: QuestionForm,
    SentenceFeaturizer: SentenceForm,
    DualFeaturizer: DualForm,
}
