"""Texts through the real server: one start for all of it, and the examples of docs/serving.md among it."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tritonclient.grpc as client
from tritonclient.utils import InferenceServerException

from harness.artifacts.store import Artifact
from harness.artifacts.workspace import Workspace
from harness.commands import predict
from harness.core.errors import EndpointError
from harness.core.tensors import pad
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.endpoints.triton import TritonEndpoint, open_client
from harness.inference.planner import BatchPlanner
from harness.serving.repository.config import Serving
from harness.serving.repository.layout import with_text
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import declaration, text_model
from harness.serving.server.local import LocalTriton
from harness.text.client import TextEndpoint
from harness.text.forms import Answer
from harness.text.pipeline import TextPipeline
from harness.tokenization.tokenizer import FastTokenizer

pytestmark = pytest.mark.triton

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "serving.md"
FINETUNES = ("mnli", "copa", "udpos", "squad", "encoder", "lareqa")
LONG = "the teacher opened the window. " * 60
#: Texts of every field, short and long; only the long ones of pairs, choices, sentences and questions are cut.
GIVEN: dict[str, list[dict[str, list[str]]]] = {
    "mnli": [
        {"text": ["a man sings"], "text_pair": ["nobody sings at all"]},
        {"text": [LONG], "text_pair": ["Кто-то открыл окно."]},
        {"text": ["x"], "text_pair": ["y"]},
    ],
    "copa": [
        {"text": ["it rained"], "question": ["what was the effect?"], "choices": ["it was wet", "it was dry"]},
        {"text": ["it rained"], "question": [""], "choices": ["a", "bb", "ccc", LONG]},
    ],
    "udpos": [{"text": ["the cat sat on the mat ."]}, {"text": [LONG]}, {"text": ["a" * 200]}],
    "squad": [
        {"question": ["who opened it?"], "context": ["the teacher opened it, nobody else."]},
        {"question": ["who opened it?"], "context": [LONG]},
        {"question": [LONG], "context": ["the teacher opened it, nobody else."]},
    ],
    "encoder": [{"text": ["one"]}, {"text": ["another sentence"]}, {"text": [LONG]}],
    "lareqa": [{"text": ["q" * 120], "side": ["query"]}, {"text": ["q" * 120], "side": ["candidate"]}],
}


class Online(NamedTuple):
    root: Path
    server: LocalTriton
    address: str
    artifacts: dict[str, Artifact]

    def pipeline(self, finetune: str) -> TextPipeline:
        artifact = self.artifacts[finetune]
        return TextPipeline(declaration(artifact), FastTokenizer(artifact.tokenizer))

    def in_process(self, finetune: str, *given: dict[str, list[str]]) -> list[Answer]:
        pipeline = self.pipeline(finetune)
        with OnnxEndpoint.of(self.artifacts[finetune]) as graph:
            return pipeline.ask([pipeline.read(each) for each in given], graph, BatchPlanner())

    def open(self, finetune: str) -> TextEndpoint:
        name = self.artifacts[finetune].name + "_text"
        return TextEndpoint(self.address, name, declaration(self.artifacts[finetune]).form)

    def counts(self, name: str) -> np.ndarray:
        """Requests that were answered so far, and calls of the backend that took."""
        return counts(self.address, name)

    def runs(self, name: str, before: np.ndarray, requests: int) -> int:
        """Calls of the backend since then; waits for the last of the requests, counted after its answer is sent."""
        limit = time.monotonic() + 10
        while (self.counts(name) - before)[0] < requests and time.monotonic() < limit:
            time.sleep(0.02)
        answered, runs = self.counts(name) - before
        assert answered == requests
        return int(runs)


def counts(address: str, name: str) -> np.ndarray:
    with open_client(address) as connection:
        (entry,) = connection.get_inference_statistics(name).model_stats
    return np.array([entry.inference_stats.success.count, entry.execution_count])


@pytest.fixture(scope="module")
def online(
    tmp_path_factory: pytest.TempPathFactory, write_artifact: Callable[..., Artifact], probe: list[int]
) -> Iterator[Online]:
    root = tmp_path_factory.mktemp("online")
    folder = root / "artifacts"
    artifacts = {name: write_artifact(folder, name, model="mixed_ru", seed=len(name)) for name in FINETUNES}
    artifacts["full"] = write_artifact(folder, "mnli", model="full", seed=len("mnli"))
    # A delay, so that requests that are sent together are answered together.
    usual = Serving(threads=1, text_instances=1, queue_delay_us=100_000)
    full = Serving(threads=1, text_instances=1, queue_delay_us=400_000, max_queue_size=3)
    repository = root / "model_repository"
    for key, artifact in artifacts.items():
        publish(artifact, repository, full if key == "full" else usual, probe_ids=probe, text=text_model)
    names = with_text(repository, [artifact.name for artifact in artifacts.values()])
    with LocalTriton(repository, names, profile="online", log=root / "triton.log") as server:
        yield Online(root, server, server.uri.removeprefix("triton://"), artifacts)


def close(given: Any, expected: Any) -> bool:
    """Whether two answers are equal but for the rounding of batches of other sizes."""
    if isinstance(expected, dict):
        return given.keys() == expected.keys() and all(close(given[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(given) == len(expected) and all(map(close, given, expected))
    if isinstance(expected, float):
        return given == pytest.approx(expected, rel=1e-4, abs=1e-4)
    return given == expected


# Answers


@pytest.mark.parametrize("finetune", FINETUNES)
def test_served_answers_are_those_in_process(online: Online, finetune: str) -> None:
    pipeline = online.pipeline(finetune)
    with online.open(finetune) as served, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(served.ask, [pipeline.read(each) for each in GIVEN[finetune]]))
    expected = online.in_process(finetune, *GIVEN[finetune])
    assert close(answers, expected), (answers, expected)
    assert any(answer["truncated"] for answer in answers)
    assert not answers[0]["truncated"] or finetune == "lareqa"


def test_texts_of_unequal_length_are_answered_together(online: Online) -> None:
    given = [{"text": ["a " * count], "text_pair": ["b"]} for count in range(1, 41)]
    name = online.artifacts["mnli"].name
    pipeline = online.pipeline("mnli")
    before, graph_before = online.counts(f"{name}_text"), online.counts(name)
    with online.open("mnli") as served, ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(served.ask, [pipeline.read(each) for each in given]))
    assert close(answers, online.in_process("mnli", *given))
    runs = online.runs(f"{name}_text", before, 40)
    calls, _ = online.counts(name) - graph_before
    # Several texts a call, and several rows in what the graph is asked.
    assert (runs <= 10, runs <= calls <= 30) == (True, True)


def test_token_ids_of_unequal_length_are_answered_together(online: Online) -> None:
    graph = online.artifacts["squad"]
    numbers = np.random.default_rng(0)
    batches = [
        pad([numbers.integers(3, 50, length)] * rows, 1)
        for length, rows in zip(range(5, 29), [1, 2, 3] * 8, strict=True)
    ]
    before = online.counts(graph.name)
    with (
        TritonEndpoint([online.address], graph) as remote,
        OnnxEndpoint.of(graph) as here,
        ThreadPoolExecutor(24) as pool,
    ):
        answers = list(pool.map(remote.infer, batches))
        for inputs, outputs in zip(batches, answers, strict=True):
            for name, value in here.infer(inputs).items():
                np.testing.assert_allclose(outputs[name], value, rtol=1e-5, atol=1e-5)
    assert online.runs(graph.name, before, 24) <= 6


def test_each_model_tells_its_profile(online: Online) -> None:
    for name in online.server.models:
        assert online.server.config(name)["parameters"]["profile"] == {"string_value": "online"}


def test_predict_asks_the_server_and_this_process_alike(online: Online, tmp_path: Path) -> None:
    lines = [{name: texts if name == "choices" else texts[0] for name, texts in each.items()} for each in GIVEN["copa"]]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    request = predict.PredictionRequest(model="mixed_ru", task="xcopa", file=file)
    workspace = Workspace(online.root)
    here = list(predict.run(request, workspace))
    remote = predict.PredictionRequest(model="mixed_ru", task="xcopa", file=file, endpoint=f"triton://{online.address}")
    there = list(predict.run(remote, workspace))
    assert len(here) == len(lines)
    assert close([list(pair) for pair in there], [list(pair) for pair in here])


# Bad input


def tensors(**values: list[str | bytes]) -> list[client.InferInput]:
    inputs = []
    for name, row in values.items():
        value = np.array([[text.encode() if isinstance(text, str) else text for text in row]], dtype=object)
        inputs.append(client.InferInput(name, value.shape, "BYTES"))
        inputs[-1].set_data_from_numpy(value)
    return inputs


@pytest.fixture
def ask(online: Online) -> Iterator[Callable[..., Any]]:
    with open_client(online.address) as connection:
        yield connection.infer


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "input 'text' is empty; give a text"),
        ("a" * 1_000_000, "input 'text' has 1,000,000 bytes; give at most 65,536 bytes"),
        (b"\xff\xfe", "input 'text' is not valid UTF-8 at position 0; encode the text as UTF-8"),
        ("ab\0", "input 'text' has a NUL character at position 2; remove it"),
    ],
    ids=["empty", "1 MB", "UTF-8", "NUL"],
)
def test_bad_text_in_a_batch_of_good_ones_fails_alone(
    online: Online, ask: Callable[..., Any], bad: str | bytes, reason: str
) -> None:
    name = online.artifacts["mnli"].name + "_text"
    texts: list[str | bytes] = ["good", "better", bad, "best"]
    before = online.counts(name)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(ask, name, tensors(text=[text], text_pair=["b"])) for text in texts]
    with pytest.raises(InferenceServerException, match=reason) as caught:
        found.pop(2).result()
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert [set(json.loads(each.result().as_numpy("answer")[0, 0])) for each in found] == [
        {"label", "probabilities", "truncated"}
    ] * 3
    # The statistics count a request that got an error from the backend as answered.
    assert online.runs(name, before, 4) < 4
    online.server.check(name)


def numbers(name: str, dtype: str, *shape: int) -> client.InferInput:
    tensor = client.InferInput(name, shape, dtype)
    tensor.set_data_from_numpy(np.full(shape, 5, dtype=client_dtype(dtype)))
    return tensor


def client_dtype(name: str) -> type[np.generic]:
    return {"INT64": np.int64, "INT32": np.int32, "FP32": np.float32}[name]


@pytest.mark.parametrize(
    ("model", "inputs", "version", "reason"),
    [
        ("_text", lambda: tensors(txt=["a"], text_pair=["b"]), "", "unexpected inference input 'txt'"),
        ("_text", lambda: tensors(text=["a"]), "", r"missing required input\(s\) \['text_pair'\]"),
        (
            "_text",
            lambda: tensors(text=["a", "b"], text_pair=["b"]),
            "",
            r"input 'text'.*Expected \[-1,1\], got \[1,2\]",
        ),
        (
            "_text",
            lambda: [numbers("text", "INT64", 1, 1), *tensors(text_pair=["b"])],
            "",
            "'text' data-type is 'INT64', but .* expects 'BYTES'",
        ),
        ("_text", lambda: tensors(text=["a"], text_pair=["b"]), "7", "mixed_ru-mnli-fp32_text' version 7"),
        ("_words", lambda: tensors(text=["a"], text_pair=["b"]), "", "mixed_ru-mnli-fp32_words"),
        (
            "",
            lambda: [numbers("input_ids", "INT32", 1, 4), numbers("attention_mask", "INT64", 1, 4)],
            "",
            "'input_ids' data-type is 'INT32', but .* expects 'INT64'",
        ),
        (
            "",
            lambda: [numbers("input_ids", "INT64", 1, 4), numbers("attention_mask", "INT64", 1, 5)],
            "",
            r"'input_ids': \(1, 4\).*all must have the same \(rows, tokens\)",
        ),
        (
            "",
            lambda: [numbers("input_ids", "INT64", 4), numbers("attention_mask", "INT64", 4)],
            "",
            r"input '\w+'.*Expected \[-1,-1\], got \[4\]",
        ),
        ("", lambda: [numbers("input_ids", "INT64", 1, 4)], "", r"missing required input\(s\) \['attention_mask'\]"),
    ],
    ids="name missing shape type version model id-type id-shape id-rank id-missing".split(),
)
def test_wrong_tensors_are_named_and_the_next_request_works(
    online: Online, ask: Callable[..., Any], model: str, inputs: Callable[[], Any], version: str, reason: str
) -> None:
    with pytest.raises(InferenceServerException, match=reason):
        ask(f"mixed_ru-mnli-fp32{model}", inputs(), version)
    answer = ask("mixed_ru-mnli-fp32_text", tensors(text=["a"], text_pair=["b"]))
    assert "label" in json.loads(answer.as_numpy("answer")[0, 0])


def test_ids_outside_the_vocabulary_fail_alone(online: Online) -> None:
    graph = online.artifacts["mnli"]
    good, bad = pad([np.array([0, 5, 2])], 1), pad([np.array([0, 50, 6, 2])], 1)
    with TritonEndpoint([online.address], graph) as remote, ThreadPoolExecutor(4) as pool:
        found = [pool.submit(remote.infer, each) for each in (good, bad, good)]
        with pytest.raises(EndpointError, match="input_ids from 0 to 50, its vocabulary has 0 to 49"):
            found.pop(1).result()
        assert [each.result()["logits"].shape for each in found] == [(1, 3)] * 2


def test_full_queue_refuses_and_the_others_are_answered(online: Online, ask: Callable[..., Any]) -> None:
    name = online.artifacts["full"].name + "_text"
    with ThreadPoolExecutor(12) as pool:
        found = [pool.submit(ask, name, tensors(text=["a"], text_pair=["b"])) for _ in range(12)]
    errors = [each.exception() for each in found]
    refused = [error for error in errors if error is not None]
    assert 0 < len(refused) < 12
    assert {error.status() for error in refused} == {"StatusCode.UNAVAILABLE"}
    assert all("maximum queue size" in str(error).lower() for error in refused)
    online.server.check(name)


def test_text_model_without_its_graph_says_so_and_recovers(online: Online, ask: Callable[..., Any]) -> None:
    graph = online.artifacts["full"].name
    config = online.server.config(graph)
    online.server.unload(graph)
    while online.server.states(graph) != {1: "UNAVAILABLE"}:
        time.sleep(0.02)
    with pytest.raises(
        InferenceServerException, match=f"model '{graph}_text': model '{graph}' gave no answer: .*{graph}"
    ):
        ask(f"{graph}_text", tensors(text=["a"], text_pair=["b"]))
    online.server.load(graph, config)
    online.server.check(f"{graph}_text")


def test_text_model_that_is_not_served_is_named(online: Online) -> None:
    form = declaration(online.artifacts["mnli"]).form
    with pytest.raises(EndpointError, match=r"does not serve 'large-mnli-fp32_text' .*`harness serve`"):
        TextEndpoint(online.address, "large-mnli-fp32_text", form)
    with pytest.raises(EndpointError, match="takes text, question, choices and not text, text_pair; publish"):
        TextEndpoint(online.address, "mixed_ru-copa-fp32_text", form)


# The examples of the documentation


def blocks(language: str) -> list[tuple[str, str | None]]:
    """The document's blocks of a language, each with the block of JSON that follows it, its output."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    following = [*fences[1:], ("", "")]
    return [
        (code, output if kind == "json" else None)
        for (name, code), (kind, output) in zip(fences, following, strict=True)
        if name == language
    ]


def test_documentation_has_its_examples() -> None:
    assert (len(blocks("python")), len(blocks("bash"))) == (2, 3)
    assert "tritonclient" in blocks("python")[0][0]
    assert len(blocks("python")[0][0].strip().splitlines()) <= 11
    assert all(tool in "".join(code for code, _ in blocks("bash")) for tool in ("curl", "harness predict"))


def run(online: Online, command: list[str], code: str) -> str:
    """Run an example as a reader would, with this server's ports and nothing of the proxy."""
    code = code.replace("localhost:8001", online.address)
    code = code.replace("localhost:8000", f"{online.server.http_host}:{online.server.http_port}")
    variables = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    variables |= {
        "HARNESS_HOME": str(online.root),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run([*command, code], env=variables, cwd=online.root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: keys(entry) for name, entry in value.items()}
    return [keys(entry) for entry in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("number", [0, 1])
def test_python_examples_run(online: Online, number: int) -> None:
    code, documented = blocks("python")[number]
    printed = run(online, [sys.executable, "-c"], code)
    if documented is not None:
        assert keys(json.loads(printed)) == keys(json.loads(documented))
    else:
        assert keys(ast.literal_eval(printed)) == {"cosine": "float", "truncated": ["bool", "bool"]}


@pytest.mark.parametrize("number", [0, 1])
def test_curl_examples_run(online: Online, number: int) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    code, documented = blocks("bash")[number]
    reply = json.loads(run(online, ["bash", "-euo", "pipefail", "-c"], code))
    wanted = json.loads(documented) if documented is not None else None
    if wanted is not None:
        assert keys(reply) == keys(wanted)
        assert reply["model_name"] == wanted["model_name"]
    answer = json.loads(reply["outputs"][0]["data"][0])
    assert answer.keys() == {["label", "choice"][number], "probabilities", "truncated"}


def test_predict_examples_run(online: Online) -> None:
    code, _ = blocks("bash")[2]
    lines = run(online, ["bash", "-euo", "pipefail", "-c"], code).splitlines()
    assert re.fullmatch(r"(contradiction|entailment|neutral) \d\.\d{3} \(.*\)", lines[0])
    span, tags = (json.loads(line) for line in lines if line.startswith("{"))
    assert span.keys() == {"answer", "start", "end", "score", "truncated"}
    assert tags["words"] == ["The", "teacher", "opened", "the", "window", "."]
    assert sum(line.startswith("*") for line in lines) == 1
