"""From questions to answers: rows, batches and outputs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from harness.core.errors import EndpointError
from harness.core.features import Feature, Tokenizer, pad_features
from harness.core.task import Outputs
from harness.core.tensors import GraphSignature, Tensors
from harness.inference.endpoints import Endpoint
from harness.inference.planner import Batch, BatchPlanner
from harness.text.declaration import TextDeclaration
from harness.text.fields import Given, Question, check_size, read_fields, size
from harness.text.forms import Answer


@dataclass(frozen=True, slots=True)
class Prepared:
    """One question as its graph's rows."""

    example: Any
    #: Numbered as the rows of the example 0.
    features: Sequence[Feature]
    truncated: bool


@dataclass(slots=True)
class QuestionRows:
    """The rows of several questions, packed into batches; filled with the graph's outputs batch by batch."""

    prepared: Sequence[Prepared]
    pad_id: int
    signature: GraphSignature
    batches: Sequence[Batch]
    _features: list[Feature] = field(default_factory=list)
    _outputs: list[Outputs | Exception | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._features = [feature for each in self.prepared for feature in each.features]
        self._outputs = [None] * len(self._features)

    def inputs(self, batch: Batch) -> Tensors:
        """Return what the graph takes for one batch."""
        features = [self._features[row] for row in batch.rows]
        return pad_features(features, self.pad_id, self.signature.inputs, batch.width)

    def fill(self, batch: Batch, tensors: Tensors) -> None:
        """Take what the graph gave for one batch; values that are not finite are an error of their rows."""
        for index, row in enumerate(batch.rows):
            tokens = len(self._features[row].input_ids)
            outputs = {
                spec.name: tensors[spec.name][index][:tokens] if spec.per_token else tensors[spec.name][index]
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
    """A graph with its tokenizer and its form: from fields of text to answers."""

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
        count = 0
        for given in rows:
            questions.append(self.read(given))
            # Row by row, so that a huge request is not read to its end.
            count += size(questions[-1])
            check_size(count)
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

    def pack(self, prepared: Sequence[Prepared], planner: BatchPlanner) -> QuestionRows:
        """Return the rows of all questions in batches."""
        lengths = [len(feature.input_ids) for each in prepared for feature in each.features]
        return QuestionRows(prepared, self._tokenizer.pad_id, self.declaration.signature, planner.plan(lengths))

    def answer(self, prepared: Prepared, outputs: Sequence[Outputs]) -> Answer:
        """Return the answer to one question; ``truncated`` is true where a part of it is in none of its rows."""
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
