import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from callable_endpoint import CallableEndpoint
from typer.testing import CliRunner

from harness.artifacts.store import Artifact
from harness.artifacts.workspace import Workspace
from harness.cli import app
from harness.commands import predict
from harness.commands.predict import PredictionRequest, readable
from harness.core.errors import DataError, EndpointError, UsageError
from harness.core.tensors import Tensors
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.serving.server.process import free_ports


@pytest.fixture
def workspace(
    tmp_path: Path, graph_of: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Workspace]:
    """A workspace with a graph of each finetune; every graph answers by the number of tokens in a row."""

    def make(*names: str) -> Workspace:
        for name in names:
            graph_of(name)
        return Workspace(tmp_path)

    def of(artifact: Artifact) -> CallableEndpoint:
        def answer(inputs: Tensors) -> Tensors:
            rows, width = inputs["input_ids"].shape
            sizes = {"rows": rows, "tokens": width}
            lengths = inputs["attention_mask"].sum(axis=1)
            found = {}
            for spec in artifact.signature.outputs:
                shape = [sizes[axis] if isinstance(axis, str) else axis for axis in spec.axes]
                values = np.zeros(shape, dtype=np.float32)
                for row, length in enumerate(lengths):
                    values[row].flat[length % values[row].size] = 1
                found[spec.name] = values
            return found

        return CallableEndpoint(artifact.signature, answer)

    monkeypatch.setattr(OnnxEndpoint, "of", of)
    return make


def answers(request: PredictionRequest, workspace: Workspace) -> list[dict]:
    return [answer for _, answer in predict.run(request, workspace)]


def test_texts_are_the_fields_in_order(workspace: Callable[..., Workspace]) -> None:
    request = PredictionRequest(model="tiny", task="xcopa", texts=("ab", "c?", "d", "ef", "g"))
    ((question, answer),) = predict.run(request, workspace("copa"))
    assert question == {"text": "ab", "question": "c?", "choices": ("d", "ef", "g")}
    assert len(answer["probabilities"]) == 3


@pytest.mark.parametrize(
    ("task", "finetune", "texts", "reason"),
    [
        ("xnli", "mnli", ("a",), "'xnli' takes text, text_pair; texts given: 1"),
        ("xnli", "mnli", ("a", "b", "c"), "'xnli' takes text, text_pair; texts given: 3"),
        ("xcopa", "copa", ("a", "b"), r"takes text, question, choices \(two or more\); texts given: 2"),
        ("xnli", "mnli", (), "takes text, text_pair; give these texts, or `--file` with one JSON object a line"),
    ],
)
def test_number_of_texts_is_checked(
    task: str, finetune: str, texts: tuple[str, ...], reason: str, workspace: Callable[..., Workspace]
) -> None:
    with pytest.raises(UsageError, match=reason):
        answers(PredictionRequest(model="tiny", task=task, texts=texts), workspace(finetune))


def test_texts_and_file_exclude_each_other(workspace: Callable[..., Workspace], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give these texts, or `--file`"):
        answers(PredictionRequest(model="tiny", task="xnli", texts=("a", "b"), file=tmp_path), workspace("mnli"))


def test_bad_text_is_named(workspace: Callable[..., Workspace]) -> None:
    with pytest.raises(DataError, match=r"^input 'text_pair' is empty"):
        answers(PredictionRequest(model="tiny", task="xnli", texts=("a", " ")), workspace("mnli"))


def test_file_has_a_question_a_line(workspace: Callable[..., Workspace], tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    count = predict._BLOCK + 3
    file.write_text(
        "".join(json.dumps({"text": "a" * (1 + line % 3), "text_pair": "b"}) + "\n" for line in range(count))
    )
    found = answers(PredictionRequest(model="tiny", task="xnli", file=file), workspace("mnli"))
    assert len(found) == count
    assert [answer["label"] for answer in found[:3]] == [answer["label"] for answer in found[-4:-1]]
    assert len({answer["label"] for answer in found}) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", r"is not JSON \(Expecting property name .* at column \d+\); give one object a line"),
        (b"\xff", "is not JSON"),
        (b"[1]", "is list; give an object with text, text_pair"),
        (b'{"text": "a", "text_pair": 5}', "input 'text_pair' is 5; give a text, or a list of texts"),
        (b'{"text": "a", "text_pair": ["b", null]}', r"input 'text_pair' is \[\"b\", null\]; give a text"),
        (b'{"text": "a", "pair": "b"}', "there is no input 'pair', did you mean 'text_pair'"),
        (b'{"text": "a", "text_pair": ""}', "input 'text_pair' is empty"),
        (b'{"text": "a", "text_pair": "\\ud800"}', "input 'text_pair' is not valid UTF-8"),
    ],
)
def test_bad_line_is_named_after_the_good_ones_are_answered(
    line: bytes, reason: str, workspace: Callable[..., Workspace], tmp_path: Path
) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_bytes(b'{"text": "a", "text_pair": "b"}\n' + line + b'\n{"text": "c", "text_pair": "d"}\n')
    found = []
    with pytest.raises(DataError, match=f"questions.jsonl, line 2:? {reason}"):
        found.extend(predict.run(PredictionRequest(model="tiny", task="xnli", file=file), workspace("mnli")))
    # `extend` keeps what came before the error.
    assert [question["text"] for question, _ in found] == ["a"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read"), ("", "has no question; give one JSON"), ("\n \n", "has no question; give one JSON")],
)
def test_file_that_has_no_question_is_named(
    content: str | None, reason: str, workspace: Callable[..., Workspace], tmp_path: Path
) -> None:
    file = tmp_path / "questions.jsonl"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DataError, match=rf"questions\.jsonl {reason}"):
        answers(PredictionRequest(model="tiny", task="xnli", file=file), workspace("mnli"))


def test_blank_lines_are_skipped_and_counted(workspace: Callable[..., Workspace], tmp_path: Path) -> None:
    file, good = tmp_path / "questions.jsonl", b'{"text": "a", "text_pair": "b"}\n'
    file.write_bytes(good + b"\n \t\r\n" + good + b"[]\n")
    found = []
    with pytest.raises(DataError, match=r"questions\.jsonl, line 5 is list"):
        found.extend(predict.run(PredictionRequest(model="tiny", task="xnli", file=file), workspace("mnli")))
    assert len(found) == 2


def test_standard_input_is_a_file(workspace: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"text": "a b"}\n')))
    (answer,) = answers(PredictionRequest(model="tiny", task="udpos", file=Path("-")), workspace("udpos"))
    assert answer["words"] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"task": "xnly"}, UsageError, "no task named 'xnly', did you mean 'xnli'"),
        ({"model": "tyny"}, UsageError, "no exported model 'tyny'.*did you mean 'tiny'"),
        ({"variant": "int9"}, UsageError, "no variant 'int9'"),
        ({"endpoint": "onxx"}, UsageError, "no endpoint 'onxx', did you mean 'onnx'"),
        ({"endpoint": "triton://a:1,b:2"}, UsageError, "names 2 hosts; `harness predict` takes one"),
    ],
)
def test_wrong_names_are_refused(
    change: dict[str, str], kind: type[Exception], reason: str, workspace: Callable[..., Workspace]
) -> None:
    with pytest.raises(kind, match=reason):
        answers(
            PredictionRequest(**{"model": "tiny", "task": "xnli", "texts": ("a", "b"), **change}), workspace("mnli")
        )


def test_server_that_is_down_is_named(tmp_path: Path) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    request = PredictionRequest(model="tiny", task="xnli", texts=("a", "b"), endpoint=f"triton://127.0.0.1:{port}")
    with pytest.raises(
        EndpointError,
        match=rf"127\.0\.0\.1:{port} cannot be reached \(.*\); .*`harness serve`",
    ):
        answers(request, Workspace(tmp_path))


@pytest.mark.parametrize("model", ["../tiny", "tiny/1", "a b"])
def test_name_that_no_served_model_has_is_not_sent(model: str, tmp_path: Path) -> None:
    request = PredictionRequest(model=model, task="xnli", texts=("a", "b"), endpoint="triton://127.0.0.1:1")
    with pytest.raises(UsageError, match="cannot name a served model"):
        answers(request, Workspace(tmp_path))


RETRIEVAL = PredictionRequest(model="tiny", task="tatoeba", texts=("a",), variant="int8")


@pytest.mark.parametrize("endpoint", [None, "triton://127.0.0.1:1"])
def test_variant_that_was_never_exported_is_refused(endpoint: str | None, workspace: Callable[..., Workspace]) -> None:
    with pytest.raises(UsageError, match="model 'tiny' has no variant 'int8'"):
        answers(replace(RETRIEVAL, endpoint=endpoint), workspace("encoder"))


def lossy(root: Path) -> None:
    """Let the model have a variant int8, of another finetune than the encoder."""
    folder = root / "artifacts" / "tiny" / "mnli"
    shutil.copytree(folder / "fp32", folder / "int8")


def test_retrieval_that_a_lossy_variant_left_out_is_answered_in_fp32_and_says_so(
    workspace: Callable[..., Workspace], caplog: pytest.LogCaptureFixture
) -> None:
    home = workspace("encoder", "mnli")
    (exact,) = answers(replace(RETRIEVAL, variant="fp32"), home)
    assert caplog.text == ""
    lossy(home.root)
    assert answers(RETRIEVAL, home) == [exact]
    assert "tiny has no int8 graph for task tatoeba: answered in fp32" in caplog.text


@pytest.mark.parametrize(("exported", "variant"), [(True, "fp32"), (False, "int8")])
def test_server_is_asked_for_the_graph_that_evaluation_would_choose(
    exported: bool, variant: str, workspace: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Workspace(tmp_path / "elsewhere")  # a machine that only asks knows nothing of the model
    if exported:
        home = workspace("encoder", "mnli")
        lossy(home.root)
    asked: list[str] = []

    @contextmanager
    def served(_uri: str, name: str, _form: object) -> Iterator[Callable[[list], list]]:
        asked.append(name)
        yield lambda questions: [{"embedding": []} for _ in questions]

    monkeypatch.setattr(predict, "_served", served)
    answers(replace(RETRIEVAL, endpoint="triton://127.0.0.1:1"), home)
    assert asked == [f"tiny-encoder-{variant}_text"]


@pytest.mark.parametrize(
    ("question", "answer", "lines"),
    [
        (
            {},
            {"label": "b", "probabilities": {"a": 0.25, "b": 0.75}, "truncated": True},
            ["b 0.750 (a 0.250)", "cut: the text is longer than the model reads, and its answer is about a part of it"],
        ),
        (
            {"choices": ("x", "y")},
            {"choice": 1, "probabilities": [0.25, 0.75], "truncated": False},
            ["  0 0.250 x", "* 1 0.750 y"],
        ),
        (
            {},
            {"words": ["a", "bcd"], "tags": ["NOUN", "X"], "probabilities": [0.5, 1.0], "truncated": False},
            ["a   NOUN   0.500", "bcd X      1.000"],
        ),
        (
            {},
            {"answer": "a b", "start": 3, "end": 6, "score": 1.5, "truncated": False},
            ["a b (characters 3 to 6, score 1.500)"],
        ),
        (
            {},
            {"answer": "", "start": None, "end": None, "score": None, "truncated": False},
            ["(no answer in the context)"],
        ),
        (
            {},
            {"embedding": [0.5] * 9, "truncated": False},
            ["0.5000 " * 8 + "... (9 numbers; `--json` prints all)"],
        ),
    ],
)
def test_answers_are_readable(question: dict, answer: dict, lines: list[str]) -> None:
    assert readable(question, answer) == lines


def test_command_prints_lines_or_json(workspace: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(workspace("mnli").root))
    command = ["predict", "--model", "tiny", "--task", "xnli", "a", "b"]
    plain, as_json = (CliRunner().invoke(app, [*command, *more], catch_exceptions=False) for more in ([], ["--json"]))
    answer = json.loads(as_json.stdout)
    assert list(answer) == ["label", "probabilities", "truncated"]
    assert plain.stdout.startswith(answer["label"])


def test_faults_nan_names_the_question_and_those_before_it_are_answered(
    workspace: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One text of a file makes the graph overflow: the lines before it have their answers."""

    def of(artifact: Artifact) -> CallableEndpoint:
        def answer(inputs: Tensors) -> Tensors:
            logits = np.zeros((len(inputs["input_ids"]), 3), dtype=np.float32)
            logits[inputs["attention_mask"].sum(axis=1) > 20] = np.nan
            return {"logits": logits}

        return CallableEndpoint(artifact.signature, answer)

    home = workspace("mnli")
    monkeypatch.setattr(OnnxEndpoint, "of", of)
    lines = [{"text": "a", "text_pair": "b" * length} for length in (1, 2, 40, 3)]
    (tmp_path / "questions").write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = predict.run(PredictionRequest(model="tiny", task="xnli", file=tmp_path / "questions"), home)
    assert [next(asked)[0]["text_pair"] for _ in range(2)] == ["b", "bb"]
    with pytest.raises(EndpointError, match=r"^question 3: the graph answers this text with NaN or infinity"):
        next(asked)
