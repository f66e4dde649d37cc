"""A Python-based Triton backend that reads texts, sends rows to a graph of the same server and returns answers.

Triton runs this file in a stub process for each instance. `harness.text` reads texts and makes answers; here are
requests, batches over all of them, and errors that fail their own request only.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils

from harness.core.errors import ArtifactError, HarnessError
from harness.core.task import Outputs
from harness.inference.planner import Batch, BatchPlanner
from harness.serving.padding import PaddingCounters
from harness.text.declaration import TextDeclaration
from harness.text.fields import Question
from harness.text.forms import Answer
from harness.text.pipeline import Prepared, QuestionRows, TextPipeline
from harness.tokenization.tokenizer import FastTokenizer

#: Batches that are sent to the graph at a time: one to compute and some to merge with those of other instances. All
#: at once could fill its queue: a context of 64 KiB gives a hundred rows.
_IN_FLIGHT = 4


class _RequestQuestions(NamedTuple):
    """One request and the question of each of its rows."""

    request: Any
    questions: list[Question]


class GraphError(Exception):
    """The error of the graph's own model, with its code."""

    def __init__(self, message: str, code: Any) -> None:
        super().__init__(message)
        self.code = code


def _declaration(path: Path) -> TextDeclaration:
    """Return what a version's text.json declares.

    Raises:
        ArtifactError: one sentence with the file and the command, since Triton logs this as the reason.
    """
    try:
        return TextDeclaration.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"{path} cannot be read ({reason}); publish the model again with `harness export`"
    except ArtifactError as error:
        message = f"{path}: {error}"
    # Outside of the handlers: the chain of causes would be logged too, as a stack of calls.
    raise ArtifactError(message)


class TritonPythonModel:
    """One instance of one text model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the version's folder; what this raises, Triton reports as the reason why the model did not load."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        declaration = _declaration(folder / "text.json")
        self._name = args["model_name"]
        # Version N of the text model calls version N of the graph, so that a switch changes both or neither.
        self._version = int(args["model_version"])
        self._graph = declaration.graph
        self._outputs = [spec.name for spec in declaration.signature.outputs]
        self._pipeline = TextPipeline(declaration, FastTokenizer(folder / "tokenizer.json"))
        rows = int(config["parameters"]["graph_batch_size"]["string_value"])
        self._planner = BatchPlanner(max_rows=rows)
        self._padding = PaddingCounters(pb_utils, self._name, args["model_version"])

    async def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request for itself: an exception that left here would fail all of them."""
        answers: list[Any] = [None] * len(requests)
        read: dict[int, _RequestQuestions] = {}
        for index, request in enumerate(requests):
            try:
                read[index] = _RequestQuestions(request, self._read(request))
            except Exception as error:  # whatever it is, the other requests must not fail by it
                answers[index] = self._failure(error)
        found = iter(await self._ask([question for each in read.values() for question in each.questions]))
        for index, each in read.items():
            answers[index] = self._response(each.request, [next(found) for _ in each.questions])
        return answers

    def _read(self, request: Any) -> list[Question]:
        """Return the question of each row of a request."""
        tensors = {
            field.name: pb_utils.get_input_tensor_by_name(request, field.name).as_numpy()
            for field in self._pipeline.form.fields
        }
        rows = len(next(iter(tensors.values())))
        return self._pipeline.read_rows({name: value[row] for name, value in tensors.items()} for row in range(rows))

    async def _ask(self, questions: list[Question]) -> list[Answer | Exception]:
        """Return the answer to each question, or why there is none."""
        prepared = self._prepare(questions)
        whole = [each for each in prepared if isinstance(each, Prepared)]
        rows = self._pipeline.pack(whole, self._planner)
        gate = asyncio.Semaphore(_IN_FLIGHT)
        await asyncio.gather(*(self._infer(rows, batch, gate) for batch in rows.batches))
        outputs = iter(rows.outputs())
        return [each if isinstance(each, Exception) else self._answer(each, next(outputs)) for each in prepared]

    def _answer(self, prepared: Prepared, outputs: list[Outputs] | Exception) -> Answer | Exception:
        try:
            return outputs if isinstance(outputs, Exception) else self._pipeline.answer(prepared, outputs)
        except Exception as error:
            return error

    def _prepare(self, questions: list[Question]) -> list[Prepared | Exception]:
        """Return the rows of each question; all at once, or one by one where one of them makes that fail."""
        try:
            return list(self._pipeline.prepare(questions))
        except Exception as error:
            if len(questions) == 1:
                return [error]
            return [self._prepare([question])[0] for question in questions]

    async def _infer(self, rows: QuestionRows, batch: Batch, gate: asyncio.Semaphore) -> None:
        """Run the graph on one batch; where it fails on several rows, on the halves of it.

        A graph model that answers with NaN or infinity fails its whole batch, in which other requests have
        rows as well. A refusal (a full queue, a wrong version) is the same for every half.
        """
        error = await self._exec(rows, batch, gate)
        if isinstance(error, GraphError) and error.code == pb_utils.TritonError.INTERNAL and len(batch.rows) > 1:
            middle = len(batch.rows) // 2
            halves = (batch.rows[:middle], batch.rows[middle:])
            await asyncio.gather(*(self._infer(rows, Batch(half, batch.width), gate) for half in halves))
        elif error is not None:
            rows.fail(batch, error)

    async def _exec(self, rows: QuestionRows, batch: Batch, gate: asyncio.Semaphore) -> Exception | None:
        """Fill in what the graph gives for one batch; return why it gives nothing."""
        async with gate:
            try:
                inputs = rows.inputs(batch)
                request = pb_utils.InferenceRequest(
                    model_name=self._graph,
                    model_version=self._version,
                    requested_output_names=self._outputs,
                    inputs=[pb_utils.Tensor(name, value) for name, value in inputs.items()],
                )
                response = await request.async_exec()
                if response.has_error():
                    error = response.error()
                    raise GraphError(error.message(), error.code())
                tensors = {
                    name: pb_utils.get_output_tensor_by_name(response, name).as_numpy() for name in self._outputs
                }
                rows.fill(batch, tensors)
                self._padding.count(inputs)
            except Exception as error:
                return error
        return None

    def _response(self, request: Any, answers: list[Answer | Exception]) -> Any:
        """Return the response to one request: it fails with its first row that does."""
        whole: list[Answer] = []
        for row, answer in enumerate(answers):
            if isinstance(answer, Exception):
                return self._failure(answer, f"row {row + 1} of {len(answers)}: " if len(answers) > 1 else "")
            whole.append(answer)
        try:
            if self._pipeline.form.vector:
                values = {
                    "embedding": np.asarray([answer["embedding"] for answer in whole], dtype=np.float32),
                    "truncated": np.asarray([[answer["truncated"]] for answer in whole], dtype=np.bool_),
                }
            else:
                texts = [[json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()] for answer in whole]
                values = {"answer": np.asarray(texts, dtype=np.object_)}
            wanted = request.requested_output_names()
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, values[name]) for name in wanted])
        except Exception as error:
            return self._failure(error)

    def _failure(self, error: Exception, prefix: str = "") -> Any:
        if isinstance(error, GraphError):
            message, code = f"model {self._graph!r} gave no answer: {error}", error.code
        elif isinstance(error, HarnessError):
            message, code = str(error), pb_utils.TritonError.INVALID_ARG
        else:
            message, code = f"{type(error).__name__}: {error}", pb_utils.TritonError.INTERNAL
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"model {self._name!r}: {prefix}{message}", code))
