"""The files of `harness serve --write-perf-input`, and that a real server answers what they hold."""

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.artifacts.store import Artifact
from harness.core.errors import UsageError
from harness.serving.perf_input import write_perf_inputs
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import text_model
from harness.serving.server.local import LocalTriton

GRAPH, TEXT = "tiny-mnli-fp32", "tiny-mnli-fp32_text"


@pytest.fixture
def repository(exported: Callable[..., Artifact], probe: list[int], tmp_path: Path) -> Path:
    publish(exported(), tmp_path / "repository", Serving(threads=1), probe_ids=probe, text=text_model)
    return tmp_path / "repository"


def test_each_served_model_has_a_file_and_a_command(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "perf"
    lines = list(write_perf_inputs(repository, [], "online", folder))
    assert lines == [
        f"perf_analyzer -m {name} -i grpc -u localhost:8001 --input-data {folder / name}.json" for name in (GRAPH, TEXT)
    ]
    ((request,),) = json.loads((folder / f"{GRAPH}.json").read_text(encoding="utf-8")).values()
    assert set(request) == {"input_ids", "attention_mask"}
    assert all(len(tensor["content"]) == tensor["shape"][0] for tensor in request.values())
    ((texts,),) = json.loads((folder / f"{TEXT}.json").read_text(encoding="utf-8")).values()
    assert all(isinstance(tensor["content"][0], str) for tensor in texts.values())


def test_profile_evaluation_has_no_text_models(repository: Path, tmp_path: Path) -> None:
    list(write_perf_inputs(repository, ["tiny"], "evaluation", tmp_path / "perf"))
    assert [path.name for path in (tmp_path / "perf").iterdir()] == [f"{GRAPH}.json"]


def test_unknown_model_writes_nothing(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        list(write_perf_inputs(repository, ["tinny"], "online", tmp_path / "perf"))
    assert not (tmp_path / "perf").exists()


def infer(server: LocalTriton, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Send what perf_analyzer would send: one row of each tensor."""
    body = {
        "inputs": [
            {
                "name": tensor,
                "datatype": "BYTES" if isinstance(value["content"][0], str) else "INT64",
                "shape": [1, *value["shape"]],
                "data": value["content"],
            }
            for tensor, value in request.items()
        ]
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    connection.request("POST", f"/v2/models/{name}/infer", json.dumps(body))
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    return json.loads(answer.read())


@pytest.mark.triton
def test_server_answers_what_the_files_hold(repository: Path, tmp_path: Path) -> None:
    list(write_perf_inputs(repository, [], "online", tmp_path / "perf"))
    with LocalTriton(repository, [GRAPH, TEXT], profile="online", log=tmp_path / "log") as server:
        for name in (GRAPH, TEXT):
            document = json.loads((tmp_path / "perf" / f"{name}.json").read_text(encoding="utf-8"))
            assert infer(server, name, document["data"][0])["outputs"]
