import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.artifacts.store import Artifact
from harness.core.errors import ArtifactError
from harness.serving.padding import PADDED, USEFUL
from harness.serving.repository.config import Serving
from harness.serving.repository.text_model import text_model

Open = Callable[..., Any]


@pytest.fixture
def opened(
    backend: Callable[[str], ModuleType], graph_of: Callable[..., Artifact], tmp_path: Path
) -> Callable[..., Any]:
    """The backend's model of a finetune, from the very files that are published."""

    def make(finetune: str, version: int = 1, rows: int = 64) -> Any:
        folder = tmp_path / "repository" / finetune
        published = text_model(graph_of(finetune), version, Serving(threads=1))
        (folder / str(version)).mkdir(parents=True)
        for name, value in published.files.items():
            (folder / str(version) / name).write_bytes(value)
        model = backend("text").TritonPythonModel()
        model.initialize(
            {
                "model_config": json.dumps({"parameters": {"graph_batch_size": {"string_value": str(rows)}}}),
                "model_name": published.name,
                "model_repository": str(folder),
                "model_version": str(version),
            }
        )
        return model

    return make


def texts(*rows: list[str | bytes]) -> np.ndarray:
    return np.array([[text.encode() if isinstance(text, str) else text for text in row] for row in rows], dtype=object)


def pair(request_of: type, first: str | bytes, second: str | bytes) -> Any:
    return request_of({"text": texts([first]), "text_pair": texts([second])}, ["answer"])


def ids_as_logits(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Answer each pair by its own second token, so that a mixed-up row shows."""
    return {"logits": np.stack([-abs(row[1] - np.array([4.0, 5.0, 6.0])) for row in inputs["input_ids"]]).astype("f4")}


def answers_of(response: Any) -> list[dict[str, Any]]:
    assert not response.has_error(), response.error()
    return [json.loads(text) for text in response.outputs["answer"][:, 0]]


def execute(model: Any, requests: list[Any]) -> list[Any]:
    return asyncio.run(model.execute(requests))


LABELS = dict(zip("abc", ("contradiction", "entailment", "neutral"), strict=True))


def test_all_requests_share_the_batches_and_keep_their_answers(opened: Open, stub: Any, request_of: type) -> None:
    stub.answer = ids_as_logits
    model = opened("mnli", version=3)
    letters = ["a" * 1, "c" * 30, "b" * 2, "a" * 29, "c" * 3]
    answers = execute(model, [pair(request_of, letter, "d") for letter in letters])
    assert [answers_of(answer)[0]["label"] for answer in answers] == [LABELS[letter[0]] for letter in letters]
    assert [(call.model_name, call.model_version) for call in stub.calls] == [("tiny-mnli-fp32", 3)] * 2
    widths = [{tensor.name: tensor.value.shape for tensor in call.inputs} for call in stub.calls]
    assert widths == [
        {"input_ids": (2, 35), "attention_mask": (2, 35)},
        {"input_ids": (3, 8), "attention_mask": (3, 8)},
    ]
    # A letter is a token, and so are the other text and the four of the frame.
    tokens = {name: [(metric.labels, metric.value) for metric in made] for name, made in stub.metrics.items()}
    labels = {"model": "tiny-mnli-fp32_text", "version": "3"}
    useful = sum(len(letter) + 5 for letter in letters)
    assert tokens == {USEFUL: [(labels, useful)], PADDED: [(labels, 2 * 35 + 3 * 8)]}


def test_rows_of_one_request_come_back_together(opened: Open, stub: Any, request_of: type) -> None:
    stub.answer = ids_as_logits
    request = request_of({"text": texts(["a"], ["c"]), "text_pair": texts(["d"], ["d"])}, ["answer"])
    answers = answers_of(execute(opened("mnli"), [request])[0])
    assert [answer["label"] for answer in answers] == [LABELS["a"], LABELS["c"]]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [("", "'text' is empty"), (b"\xff", "'text' is not valid UTF-8"), ("a\0", "NUL"), ("a" * 70_000, "70,000 bytes")],
    ids=["empty", "bytes", "nul", "long"],
)
def test_bad_text_fails_alone(opened: Open, stub: Any, request_of: type, bad: str | bytes, reason: str) -> None:
    stub.answer = ids_as_logits
    good, failed, other = execute(opened("mnli"), [pair(request_of, text, "d") for text in ("a", bad, "c")])
    assert (answers_of(good)[0]["label"], answers_of(other)[0]["label"]) == (LABELS["a"], LABELS["c"])
    assert failed.error().code() == "INVALID_ARG"
    assert "model 'tiny-mnli-fp32_text': input " in str(failed.error())
    assert reason in str(failed.error())


def test_bad_row_is_numbered_only_by_the_graphs_errors(
    opened: Open, stub: Any, request_of: type, refusal: type
) -> None:
    stub.answer = lambda _: refusal("Exceeds maximum queue size", refusal.UNAVAILABLE)
    (answer,) = execute(opened("mnli"), [pair(request_of, "a", "b")])
    assert answer.error().code() == "UNAVAILABLE"
    assert str(answer.error()) == (
        "model 'tiny-mnli-fp32_text': model 'tiny-mnli-fp32' gave no answer: Exceeds maximum queue size"
    )


def test_failed_batch_fails_only_what_was_in_it(opened: Open, stub: Any, request_of: type, refusal: type) -> None:
    stub.answer = lambda inputs: refusal("no memory") if inputs["input_ids"].shape[1] > 20 else ids_as_logits(inputs)
    answers = execute(opened("mnli"), [pair(request_of, text, "d") for text in ("a", "b" * 40, "c")])
    assert [answer.has_error() for answer in answers] == [False, True, False]


def test_question_that_breaks_the_featurizer_fails_alone(
    opened: Open, stub: Any, request_of: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answer = ids_as_logits
    model = opened("mnli")
    prepare = model._pipeline.prepare

    def breaking(questions: list[Any]) -> Any:
        if any(question["text"] == "b" for question in questions):
            message = "a bug"
            raise RuntimeError(message)
        return prepare(questions)

    monkeypatch.setattr(model._pipeline, "prepare", breaking)
    answers = execute(model, [pair(request_of, text, "d") for text in ("a", "b", "c")])
    assert [answer.has_error() for answer in answers] == [False, True, False]
    assert (answers[1].error().code(), str(answers[1].error())[-19:]) == ("INTERNAL", "RuntimeError: a bug")


def test_nan_fails_alone(opened: Open, stub: Any, request_of: type) -> None:
    def answer(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        logits = ids_as_logits(inputs)["logits"]
        logits[inputs["input_ids"][:, 1] == 5] = np.nan
        return {"logits": logits}

    stub.answer = answer
    answers = execute(opened("mnli"), [pair(request_of, text, "d") for text in "abc"])
    assert [each.has_error() for each in answers] == [False, True, False]


def test_batch_that_the_graph_fails_on_fails_only_the_rows_at_fault(
    opened: Open, stub: Any, request_of: type, refusal: type
) -> None:
    stub.answer = lambda inputs: (
        refusal("answers with NaN") if (inputs["input_ids"][:, 1] == 5).any() else ids_as_logits(inputs)
    )
    answers = execute(opened("mnli"), [pair(request_of, text, "d") for text in "acbca"])
    assert [each.has_error() for each in answers] == [False, False, True, False, False]
    assert answers_of(answers[3])[0]["label"] == LABELS["c"]
    assert "answers with NaN" in str(answers[2].error())


def test_refused_batch_is_not_asked_again(opened: Open, stub: Any, request_of: type, refusal: type) -> None:
    stub.answer = lambda _: refusal("Exceeds maximum queue size", refusal.UNAVAILABLE)
    answers = execute(opened("mnli"), [pair(request_of, text, "d") for text in "abc"])
    assert [each.has_error() for each in answers] == [True] * 3
    assert len(stub.calls) == 1


def test_request_with_too_many_bytes_together_fails_alone(opened: Open, stub: Any, request_of: type) -> None:
    stub.answer = ids_as_logits
    large = request_of({"text": texts(*[["a" * 60_000]] * 3), "text_pair": texts(*[["d"]] * 3)}, ["answer"])
    good, failed = execute(opened("mnli"), [pair(request_of, "a", "d"), large])
    assert answers_of(good)[0]["label"] == LABELS["a"]
    assert failed.error().code() == "INVALID_ARG"
    assert "the texts of the request have 180,003 bytes or more together; give at most 131,072" in str(failed.error())


def test_few_batches_are_in_flight(opened: Open, stub: Any, request_of: type) -> None:
    stub.answer = ids_as_logits
    execute(opened("mnli", rows=1), [pair(request_of, "a" * count, "d") for count in range(1, 30)])
    assert (len(stub.calls), stub.most) == (29, 4)


def test_choices_of_unequal_number_share_an_execute(opened: Open, stub: Any, request_of: type) -> None:
    stub.answer = lambda inputs: {"logits": (inputs["input_ids"] == 4).sum(axis=1, keepdims=True).astype("f4")}
    requests = [
        request_of({"text": texts(["b"]), "question": texts([""]), "choices": texts(list(each))}, ["answer"])
        for each in (["b", "a"], ["ab", "b", "aaa", "a"])
    ]
    answers = [answers_of(answer)[0] for answer in execute(opened("copa"), requests)]
    assert [(answer["choice"], len(answer["probabilities"])) for answer in answers] == [(1, 2), (2, 4)]


@pytest.mark.parametrize("wanted", [["embedding", "truncated"], ["truncated"]])
def test_vectors_are_tensors(opened: Open, stub: Any, request_of: type, wanted: list[str]) -> None:
    stub.answer = lambda inputs: {"embedding": inputs["input_ids"][:, 1:2].repeat(4, axis=1).astype("f4")}
    model = opened("encoder")
    (answer,) = execute(model, [request_of({"text": texts(["c"], ["a" * 600])}, wanted)])
    expected = {"embedding": [[6.0] * 4, [4.0] * 4], "truncated": [[False], [True]]}
    assert {name: value.tolist() for name, value in answer.outputs.items()} == {name: expected[name] for name in wanted}
    assert {str(value.dtype) for value in answer.outputs.values()} <= {"float32", "bool"}


def test_missing_output_of_the_graph_is_told(opened: Open, stub: Any, request_of: type) -> None:
    stub.answer = lambda _: {}
    (answer,) = execute(opened("mnli"), [pair(request_of, "a", "b")])
    assert answer.has_error()
    assert "KeyError: 'logits'" in str(answer.error())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"graph": "tiny-mnli-fp32"}', r"a text model's declaration is damaged .*publish it again"),
        ("[]", "a text model's declaration is damaged .*publish it again"),
        ('{"graph": ', r"cannot be read \(Expecting value.*\); publish the model again"),
        ("[" * 120_000, "cannot be read .*recursion.*; publish the model again"),
        (None, r"cannot be read \(No such file or directory\); publish the model again"),
    ],
    ids=["half", "no object", "cut", "nested", "none"],
)
def test_damaged_declaration_does_not_load(
    content: str | None, reason: str, opened: Open, backend: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    opened("mnli")
    folder = tmp_path / "repository" / "mnli"
    (folder / "1" / "text.json").unlink()
    if content is not None:
        (folder / "1" / "text.json").write_text(content)
    arguments = SimpleNamespace(config=json.dumps({"parameters": {"graph_batch_size": {"string_value": "1"}}}))
    with pytest.raises(ArtifactError, match=rf"{folder}/1/text\.json:? {reason} with `harness export`") as failed:
        backend("text").TritonPythonModel().initialize(
            {
                "model_config": arguments.config,
                "model_name": "x",
                "model_repository": str(folder),
                "model_version": "1",
            }
        )
    # Triton would log a chain of causes as a stack of calls.
    assert (failed.value.__cause__, failed.value.__context__) == (None, None)
