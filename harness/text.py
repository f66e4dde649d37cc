"""Text in, answer out: plain fields become a graph's rows, its outputs become an answer as JSON has it.

Between them stand the featurizer and the postprocessor of the graph's own finetune, so that a long
text is cut, or read in windows, as in evaluation. Which fields a graph takes follows from its
featurizer (`FORMS`). The package needs numpy and tokenizers here and nothing else: the `text`
backend imports this module inside Triton.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from harness.endpoints import Endpoint
from harness.errors import ArtifactError, DataError, EndpointError, nearest
from harness.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.features import Feature, Featurizer, Tokenizer
from harness.featurizers.choice import ChoiceFeaturizer
from harness.featurizers.dual import DualFeaturizer
from harness.featurizers.pair import PairFeaturizer
from harness.featurizers.sentence import SentenceFeaturizer
from harness.featurizers.window import WindowFeaturizer
from harness.featurizers.words import WordsFeaturizer
from harness.planner import Batch, BatchPlanner
from harness.postprocessors.label import BestChoice, BestLabel
from harness.postprocessors.span import BestSpan
from harness.postprocessors.tags import FirstPieceTags
from harness.task import Outputs, Postprocessor
from harness.tensors import GraphSignature, Tensors, pad

#: Bytes of UTF-8 in one text. As a context that is some 16,000 subwords, or 130 windows of 384 tokens:
#: a minute of a base model on two cores, in which everybody else waits.
MAX_BYTES = 65_536
#: Bytes of UTF-8 in all texts of one request: a question and its context at their limits, or 64 rows of 512
#: subwords with four bytes each. Without it, 64 contexts of 64 KiB were an hour in which everybody else waits.
MAX_REQUEST_BYTES = 2 * MAX_BYTES
#: Choices of one question; the data sets of multiple choice have two to five.
MAX_CHOICES = 64
#: A featurizer with this limit cuts nothing.
_UNLIMITED = 2**40
#: Decimals of probabilities and scores: float32 has no more.
_DECIMALS = 6

#: What a user sends for one answer: the texts of each field.
Given: TypeAlias = Mapping[str, Sequence[str | bytes]]
#: The same once it is read: a text, or the texts of a field that holds several.
Question: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input that a user fills."""

    name: str
    #: Whether it holds several texts, two at least.
    several: bool = False
    may_be_empty: bool = False
    #: The only values, where not every text is one.
    allowed: tuple[str, ...] = ()

    def read(self, values: Sequence[str | bytes]) -> str | tuple[str, ...]:
        """Return the text, or the texts.

        Raises:
            DataError: names the field, what is wrong and what would be right.
        """
        if not self.several:
            if len(values) != 1:
                message = f"input {self.name!r} holds {len(values)} texts; give one"
                raise DataError(message)
            return self._text(values[0], f"input {self.name!r}")
        if not 2 <= len(values) <= MAX_CHOICES:
            message = f"input {self.name!r} holds {len(values)} texts; give two to {MAX_CHOICES}"
            raise DataError(message)
        return tuple(self._text(value, f"input {self.name!r}, text {n},") for n, value in enumerate(values, start=1))

    def _text(self, value: str | bytes, place: str) -> str:
        text = _decoded(value, place)
        if "\0" in text:
            message = f"{place} has a NUL character at position {text.index(chr(0))}; remove it"
            raise DataError(message)
        if not self.may_be_empty and not text.strip():
            message = f"{place} is empty; give a text with more than white space in it"
            raise DataError(message)
        if self.allowed and text not in self.allowed:
            message = f"{place} is {text[:40]!r}{nearest(text[:40], self.allowed)}; give {' or '.join(self.allowed)}"
            raise DataError(message)
        return text


def _decoded(value: str | bytes, place: str) -> str:
    try:
        data = value.encode("utf-8") if isinstance(value, str) else bytes(value)
        if len(data) > MAX_BYTES:
            message = f"{place} has {len(data):,} bytes; give at most {MAX_BYTES:,} bytes of UTF-8"
            raise DataError(message)
        return data.decode("utf-8")
    except UnicodeError as error:
        # Lone surrogates are what Python makes of an argument or a JSON escape that is no text.
        at = cast("UnicodeEncodeError | UnicodeDecodeError", error).start
        message = f"{place} is not valid UTF-8 at position {at}; encode the text as UTF-8"
        raise DataError(message) from error


# One form for each featurizer


class Form(Protocol):
    """How the texts of one kind of graph are read, and how its answers are told."""

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
        # Any label will do: the featurizer makes the row's target of it, which nobody reads here.
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
        # Any tag will do, see `PairForm.example`.
        return WordsExample("", words, (self.featurizer.tags[0],) * len(words))

    def is_cut(self, example: WordsExample, features: Sequence[Feature], tokenizer: Tokenizer) -> bool:
        """See `Form.is_cut`: only a word that is longer than a row, which becomes the unknown token."""
        if not any((feature.input_ids == tokenizer.unknown_id).any() for feature in features):
            return False
        whole = replace(self.featurizer, max_tokens=_UNLIMITED)([example], tokenizer)
        # The frame of a row: what a single sequence has, and one more separator.
        frame = len(tokenizer.single([])) + 1
        return _tokens(features) - frame * len(features) < _tokens(whole) - frame * len(whole)

    def answer(self, example: WordsExample, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """See `Form.answer`."""
        (tags,) = self.postprocess([example], features, outputs)
        chances = [
            _softmax(output["logits"][cast("NDArray[np.int64]", feature.alignment)[:, 1]]).max(axis=-1)
            for feature, output in zip(features, outputs, strict=True)
        ]
        return {
            "words": list(example.words),
            "tags": list(tags),
            "probabilities": _rounded(np.concatenate(chances)),
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
        asked = replace(example, context="")
        wide = replace(self.featurizer, max_tokens=_UNLIMITED, max_question=_UNLIMITED)
        return _tokens(self.featurizer([asked], tokenizer)) < _tokens(wide([asked], tokenizer))

    def answer(self, example: QuestionExample, features: Sequence[Feature], outputs: Sequence[Outputs]) -> Answer:
        """See `Form.answer`."""
        (span,) = self.postprocess.spans(1, features, outputs)
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

# What a served model's text.json declares

#: The only classes that a declaration can name.
_KINDS: Mapping[str, Any] = {kind.__name__: kind for kind in (*FORMS, BestLabel, BestChoice, FirstPieceTags, BestSpan)}


def _described(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    assert is_dataclass(value)
    assert not isinstance(value, type)
    return {"kind": type(value).__name__, **asdict(value)}


def _built(value: Mapping[str, Any] | None) -> Any:
    if value is None:
        return None
    kind = _KINDS[value["kind"]]
    given = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items() if name != "kind"}
    if given.keys() != {entry.name for entry in fields(kind)}:
        message = f"{value['kind']} has {', '.join(given)}"
        raise ValueError(message)
    return kind(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDeclaration:
    """Everything beside the tokenizer that turns texts into a graph's rows and its outputs into answers.

    It holds the featurizer with its limits as they were when the graph was scored, so that a later
    change of the finetune's declaration does not change a version that is served.
    """

    #: The served graph's name.
    graph: str
    finetune: str
    #: The head as `harness.heads.describe` puts it.
    head: Mapping[str, Any]
    signature: GraphSignature
    featurizer: Featurizer[Any]
    #: None where the answer is the vector itself.
    postprocess: Postprocessor[Any, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the form that text.json holds."""
        return {
            "graph": self.graph,
            "finetune": self.finetune,
            "head": dict(self.head),
            "signature": self.signature.to_json(),
            "featurizer": _described(self.featurizer),
            "postprocess": _described(self.postprocess),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "TextDeclaration":
        """Return the declaration that `to_json` wrote.

        Raises:
            ArtifactError: something is missing, or of a kind that this version of the harness lacks.
        """
        try:
            return TextDeclaration(
                graph=value["graph"],
                finetune=value["finetune"],
                head=value["head"],
                signature=GraphSignature.from_json(value["signature"]),
                featurizer=_built(value["featurizer"]),
                postprocess=_built(value["postprocess"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            message = f"a text model's declaration is damaged ({error!r}); publish it again with `harness export`"
            raise ArtifactError(message) from error

    @property
    def form(self) -> Form:
        """Return how texts are read and answers are told."""
        form: Form = FORMS[type(self.featurizer)](self.featurizer, self.postprocess)
        return form


# From questions to answers


@dataclass(frozen=True, slots=True)
class Prepared:
    """One question as its graph's rows."""

    example: Any
    #: Numbered as the rows of the example 0.
    features: Sequence[Feature]
    truncated: bool


@dataclass(slots=True)
class Rows:
    """The rows of several questions, packed into batches; filled with the graph's outputs batch by batch."""

    prepared: Sequence[Prepared]
    pad_id: int
    signature: GraphSignature
    batches: Sequence[Batch]
    _ids: list[NDArray[np.int64]] = field(default_factory=list)
    _outputs: list[Outputs | Exception | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = [feature.input_ids for each in self.prepared for feature in each.features]
        self._outputs = [None] * len(self._ids)

    def inputs(self, batch: Batch) -> Tensors:
        """Return what the graph takes for one batch."""
        return pad([self._ids[row] for row in batch.rows], self.pad_id, batch.width)

    def fill(self, batch: Batch, tensors: Tensors) -> None:
        """Take what the graph gave for one batch; values that are not finite are an error of their rows."""
        for place, row in enumerate(batch.rows):
            tokens = len(self._ids[row])
            outputs = {
                spec.name: tensors[spec.name][place][:tokens] if spec.per_token else tensors[spec.name][place]
                for spec in self.signature.outputs
            }
            if all(np.isfinite(value).all() for value in outputs.values()):
                self._outputs[row] = outputs
            else:
                self._outputs[row] = EndpointError("the graph answers this text with NaN or infinity; export it again")

    def fail(self, batch: Batch, error: Exception) -> None:
        """Take the reason why the graph gave nothing for one batch."""
        for row in batch.rows:
            self._outputs[row] = error

    def outputs(self) -> list[list[Outputs] | Exception]:
        """Return for each question what the graph gave for its rows, or why it gave nothing for one of them."""
        found: list[list[Outputs] | Exception] = []
        start = 0
        for each in self.prepared:
            own = self._outputs[start : start + len(each.features)]
            start += len(each.features)
            failed = next((output for output in own if isinstance(output, Exception)), None)
            found.append(failed or cast("list[Outputs]", own))
        return found


class TextPipeline:
    """A graph as its users see it: it reads fields, and tells answers."""

    def __init__(self, declaration: TextDeclaration, tokenizer: Tokenizer) -> None:
        self.declaration = declaration
        self.form = declaration.form
        self._tokenizer = tokenizer

    def read(self, given: Given) -> Question:
        """Return the question that the texts of all fields make.

        Raises:
            DataError: names the first field that is wrong, what is wrong and what would be right.
        """
        return read_fields(self.form.fields, given)

    def read_rows(self, rows: Iterable[Given]) -> list[Question]:
        """Return the questions of one request.

        Raises:
            DataError: see `read`; or the request has more than `MAX_REQUEST_BYTES`.
        """
        questions: list[Question] = []
        size = 0
        for given in rows:
            questions.append(self.read(given))
            # Row by row, so that a huge request is not read to its end.
            size += _size(questions[-1])
            _check_size(size)
        return questions

    def prepare(self, questions: Sequence[Question]) -> list[Prepared]:
        """Return the rows of each question."""
        examples = [self.form.example(question) for question in questions]
        rows: list[list[Feature]] = [[] for _ in examples]
        for feature in self.declaration.featurizer(examples, self._tokenizer):
            rows[feature.example].append(replace(feature, example=0))
        return [
            Prepared(example, features, self.form.is_cut(example, features, self._tokenizer))
            for example, features in zip(examples, rows, strict=True)
        ]

    def pack(self, prepared: Sequence[Prepared], planner: BatchPlanner) -> Rows:
        """Return the rows of all questions in batches."""
        lengths = [len(feature.input_ids) for each in prepared for feature in each.features]
        return Rows(prepared, self._tokenizer.pad_id, self.declaration.signature, planner.plan(lengths))

    def answer(self, prepared: Prepared, outputs: Sequence[Outputs]) -> Answer:
        """Return the answer to one question; ``truncated`` says whether a part of it was cut and seen nowhere."""
        return {**self.form.answer(prepared.example, prepared.features, outputs), "truncated": prepared.truncated}

    def ask(self, questions: Sequence[Question], endpoint: Endpoint, planner: BatchPlanner) -> list[Answer]:
        """Return the answers of the graph behind an endpoint, in the order of the questions.

        Raises:
            EndpointError: the graph did not answer.
        """
        rows = self.pack(self.prepare(questions), planner)
        for batch in rows.batches:
            rows.fill(batch, endpoint.infer(rows.inputs(batch)))
        answers = []
        for prepared, outputs in zip(rows.prepared, rows.outputs(), strict=True):
            if isinstance(outputs, Exception):
                raise outputs
            answers.append(self.answer(prepared, outputs))
        return answers


def read_fields(wanted: Sequence[Field], given: Given) -> Question:
    """Return the question that the texts of all fields make.

    Raises:
        DataError: a field is unknown, missing or wrong, or all texts are too long together; says what would
            be right.
    """
    names = [entry.name for entry in wanted]
    for name in given:
        if name not in names:
            message = f"there is no input {name!r}{nearest(name, names)}; the inputs are {', '.join(names)}"
            raise DataError(message)
    question = {}
    for entry in wanted:
        if entry.name not in given and not entry.may_be_empty:
            message = f"input {entry.name!r} is missing; the inputs are {', '.join(names)}"
            raise DataError(message)
        question[entry.name] = entry.read(given.get(entry.name, [""]))
    _check_size(_size(question))
    return question


def _size(question: Question) -> int:
    """Return the bytes of all texts of a question."""
    values = (value if isinstance(value, tuple) else (value,) for value in question.values())
    return sum(len(text.encode()) for texts in values for text in texts)


def _check_size(size: int) -> None:
    if size > MAX_REQUEST_BYTES:
        message = (
            f"the texts of the request have {size:,} bytes or more together; give at most {MAX_REQUEST_BYTES:,} "
            "bytes of UTF-8 in one request"
        )
        raise DataError(message)
