"""`harness predict`: a model's answers to a user's own texts, in this process or from a running server."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from harness.artifacts.workspace import Workspace
from harness.benchmark import tasks
from harness.core.errors import DataError, EndpointError, UsageError, nearest
from harness.core.task import AnyTask
from harness.evaluation.workload import Job, answering_variant, group
from harness.inference.planner import BatchPlanner
from harness.serving.repository.config import check_name
from harness.serving.repository.layout import SUFFIX
from harness.serving.repository.proof import check_answer
from harness.serving.repository.text_model import declaration
from harness.text.fields import Field, Question, read_fields
from harness.text.forms import FORMS, Answer, Form
from harness.text.pipeline import TextPipeline
from harness.tokenization.tokenizer import FastTokenizer

_LOGGER = logging.getLogger(__name__)
#: Questions that are read, answered and printed together.
_BLOCK = 256
#: Requests in flight; less than the queue of a text model holds.
_CONCURRENCY = 16

Asked: TypeAlias = tuple[Question, Answer]
_Ask: TypeAlias = Callable[[Sequence[Question]], Iterable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """What is answered, by which graph, and where."""

    model: str
    task: str
    #: The texts of one question, in the order of the fields.
    texts: tuple[str, ...] = ()
    #: One question a line, each an object of fields; ``-`` is the standard input.
    file: Path | None = None
    #: Questions as mappings from field to text, or to texts where a field takes several.
    questions: tuple[Mapping[str, str | Sequence[str]], ...] = ()
    variant: str = "fp32"
    #: None and ``onnx`` answer in this process.
    endpoint: str | None = None


def run(request: PredictionRequest, workspace: Workspace) -> Iterator[Asked]:
    """Yield each question with its answer, in order.

    Raises:
        UsageError: an unknown name, or not the texts that the task takes.
        DataError: a text or a line of the file is wrong; the lines before it were answered.
        ArtifactError, EndpointError: the model cannot be asked.
    """
    task = tasks.load(request.task)
    finetune = task.finetune
    form: Form = FORMS[type(finetune.featurizer)](finetune.featurizer, finetune.postprocess)
    questions = _questions(request, form.fields)
    before = 0
    with _asker(request, task, form, workspace) as ask:
        for block in _blocks(questions):
            yield from zip(block, _answers(ask, block, before), strict=True)
            before += len(block)


def _answers(ask: _Ask, block: Sequence[Question], before: int) -> Iterator[Answer]:
    """Yield the answers to a block of questions; where one fails, those before it come first.

    Args:
        ask: gives the answers to questions, all of them or none.
        block: the questions.
        before: how many questions came before these.

    Raises:
        EndpointError: names the question by its number, where there are several.
    """
    try:
        found = list(ask(block))
    except EndpointError:
        if before + len(block) == 1:
            raise
        for number, question in enumerate(block, start=before + 1):
            try:
                (answer,) = ask([question])
            except EndpointError as error:
                message = f"question {number}: {error}"
                raise EndpointError(message) from error
            yield answer
        return
    yield from found


def _blocks(questions: Iterator[Question]) -> Iterator[list[Question]]:
    """Yield the questions in blocks; what stands before a bad one comes before its error."""
    block: list[Question] = []
    try:
        for question in questions:
            block.append(question)
            if len(block) == _BLOCK:
                yield block
                block = []
    except DataError:
        if block:
            yield block
        raise
    if block:
        yield block


def _questions(request: PredictionRequest, fields: Sequence[Field]) -> Iterator[Question]:
    names = ", ".join(f"{field.name} (two or more)" if field.several else field.name for field in fields)
    if [request.file is not None, bool(request.texts), bool(request.questions)].count(True) != 1:
        message = f"task {request.task!r} takes {names}; give these texts, or `--file` with one JSON object a line"
        raise UsageError(message)
    if request.file is not None:
        return _lines(request.file, fields)
    if request.questions:
        return (_of_fields(value, f"question {number}", fields) for number, value in enumerate(request.questions, 1))
    return iter([_of_arguments(request.task, request.texts, fields, names)])


def _of_arguments(task: str, texts: Sequence[str], fields: Sequence[Field], names: str) -> Question:
    last = fields[-1]
    if len(texts) < len(fields) or (len(texts) > len(fields) and not last.several):
        message = f"task {task!r} takes {names}; texts given: {len(texts)}"
        raise UsageError(message)
    given = {field.name: [text] for field, text in zip(fields, texts, strict=False)}
    if last.several:
        given[last.name] = list(texts[len(fields) - 1 :])
    return read_fields(fields, given)


def _lines(path: Path, fields: Sequence[Field]) -> Iterator[Question]:
    """Yield the question of each line.

    Raises:
        DataError: the file cannot be read or is empty, or a line is no question; names file and line.
    """
    name, number = ("standard input" if path == Path("-") else str(path)), 0
    try:
        with _opened(path) as stream:
            for current, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                number = current
                yield _of_line(line, f"{name}, line {current}", fields)
    except OSError as error:
        message = f"{name} cannot be read ({error.strerror}); give a file with one JSON object a line"
        raise DataError(message) from error
    if not number:
        message = (
            f"{name} has no question; give one JSON object with {', '.join(field.name for field in fields)} a line"
        )
        raise DataError(message)


@contextmanager
def _opened(path: Path) -> Iterator[Iterable[bytes]]:
    if path == Path("-"):
        yield sys.stdin.buffer
        return
    with path.open("rb") as stream:
        yield stream


def _of_line(line: bytes, where: str, fields: Sequence[Field]) -> Question:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        # Python's own sentence counts lines too, and always says 1.
        reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        message = f"{where} is not JSON ({reason}); give one object a line, in UTF-8"
        raise DataError(message) from error
    if not isinstance(value, dict):
        message = f"{where} is {type(value).__name__}; give an object with {', '.join(field.name for field in fields)}"
        raise DataError(message)
    return _of_fields(value, where, fields)


def _of_fields(value: Mapping[str, Any], where: str, fields: Sequence[Field]) -> Question:
    given = {}
    for name, entry in value.items():
        texts = list(entry) if isinstance(entry, list | tuple) else [entry]
        if not all(isinstance(text, str) for text in texts):
            message = f"{where}: input {name!r} is {json.dumps(entry)[:40]}; give a text, or a list of texts"
            raise DataError(message)
        given[name] = texts
    try:
        return read_fields(fields, given)
    except DataError as error:
        message = f"{where}: {error}"
        raise DataError(message) from error


@contextmanager
def _asker(request: PredictionRequest, task: AnyTask, form: Form, workspace: Workspace) -> Iterator[_Ask]:
    endpoint = request.endpoint
    if endpoint in (None, "onnx"):
        with _in_process(request, task, workspace) as ask:
            yield ask
    elif str(endpoint).startswith(("triton://", "tritons://")):
        variant = _answering(request, task, workspace) if _is_exported(request, workspace) else request.variant
        name = f"{request.model}-{task.finetune.name}-{variant}{SUFFIX}"
        check_name(name)
        with _served(str(endpoint), name, form) as ask:
            yield ask
    else:
        hint = nearest(str(endpoint), ("onnx", "triton://localhost:8001"))
        message = f"no endpoint {endpoint!r}{hint}; it is `onnx`, `triton[s]://host:port`, or left out"
        raise UsageError(message)


def _is_exported(request: PredictionRequest, workspace: Workspace) -> bool:
    """Return whether this machine has the model; where a server answers, it need not."""
    return request.model in workspace.artifacts.models()


def _answering(request: PredictionRequest, task: AnyTask, workspace: Workspace) -> str:
    """Return the variant whose graph answers, as evaluation chooses it: retrieval may be left out of a lossy one.

    Raises:
        UsageError: no such model or variant; names the nearest.
    """
    store = workspace.artifacts
    store.check_names(request.model, request.variant)
    variant = answering_variant(store, request.model, request.variant, task.finetune)
    if variant != request.variant:
        _LOGGER.warning(
            "%s has no %s graph for task %s: answered in %s", request.model, request.variant, task.name, variant
        )
    return variant


@contextmanager
def _in_process(request: PredictionRequest, task: AnyTask, workspace: Workspace) -> Iterator[_Ask]:
    from harness.inference.endpoints.onnx import OnnxEndpoint

    # The graph that evaluation would choose; language and split do not matter for that.
    variant = _answering(request, task, workspace)
    (workload,) = group([Job(task, "", "test")], workspace.artifacts, request.model, variant)
    artifact = workload.artifact
    pipeline = TextPipeline(declaration(artifact), FastTokenizer(artifact.tokenizer))
    with OnnxEndpoint.of(artifact) as graph:
        check_answer(graph, artifact, workspace.model_repository)
        yield lambda questions: pipeline.ask(questions, graph, BatchPlanner())


@contextmanager
def _served(uri: str, name: str, form: Form) -> Iterator[_Ask]:
    from harness.inference.endpoints.triton import parse_hosts, parse_tls
    from harness.text.client import TextEndpoint

    hosts = parse_hosts(uri)
    if len(hosts) > 1:
        message = f"{uri!r} names {len(hosts)} hosts; `harness predict` takes one"
        raise UsageError(message)
    with (
        TextEndpoint(hosts[0], name, form, tls=parse_tls(uri, os.environ)) as server,
        ThreadPoolExecutor(_CONCURRENCY) as pool,
    ):
        yield lambda questions: pool.map(server.ask, questions)


# For people


def readable(question: Question, answer: Answer) -> list[str]:
    """Return an answer as lines for people; what was cut is said in the last one."""
    lines = _READABLE[next(iter(answer))](question, answer)
    cut = ["cut: the text is longer than the model reads, and its answer is about a part of it"]
    return lines + (cut if answer["truncated"] else [])


def _label(_: Question, answer: Answer) -> list[str]:
    ranked = sorted(answer["probabilities"].items(), key=lambda entry: -entry[1])
    others = ", ".join(f"{label} {chance:.3f}" for label, chance in ranked if label != answer["label"])
    return [f"{answer['label']} {answer['probabilities'][answer['label']]:.3f} ({others})"]


def _choice(question: Question, answer: Answer) -> list[str]:
    marks = {answer["choice"]: "*"}
    rows = enumerate(zip(question["choices"], answer["probabilities"], strict=True))
    return [f"{marks.get(number, ' ')} {number} {chance:.3f} {text}" for number, (text, chance) in rows]


def _words(_: Question, answer: Answer) -> list[str]:
    width = max(map(len, answer["words"]))
    rows = zip(answer["words"], answer["tags"], answer["probabilities"], strict=True)
    return [f"{word:{width}} {tag:6} {chance:.3f}" for word, tag, chance in rows]


def _span(_: Question, answer: Answer) -> list[str]:
    if not answer["answer"]:
        return ["(no answer in the context)"]
    return [f"{answer['answer']} (characters {answer['start']} to {answer['end']}, score {answer['score']:.3f})"]


def _embedding(_: Question, answer: Answer) -> list[str]:
    values = answer["embedding"]
    shown = " ".join(f"{value:.4f}" for value in values[:8])
    return [f"{shown}{' ...' if len(values) > 8 else ''} ({len(values)} numbers; `--json` prints all)"]


#: First key of an answer -> its lines.
_READABLE: Mapping[str, Callable[[Question, Answer], list[str]]] = {
    "label": _label,
    "choice": _choice,
    "words": _words,
    "answer": _span,
    "embedding": _embedding,
}


def as_json(answer: Mapping[str, Any]) -> str:
    """Return an answer as one line of JSON."""
    return json.dumps(answer, ensure_ascii=False)
