import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.artifacts import Artifact
from harness.endpoints.onnx import OnnxEndpoint
from harness.errors import EndpointError, UsageError
from harness.serving import repository as module
from harness.serving.config import Serving
from harness.serving.known_answer import read_known_answer
from harness.serving.repository import publish

SERVING = Serving(threads=1)
Make = Callable[..., Artifact]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_published_files_are_those_triton_looks_for(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    assert publish(graph, tmp_path / "repository", SERVING, probe_ids=probe) == 1
    files = {name.replace(graph.name, "M") for name in snapshot(tmp_path / "repository")}
    warm_up = {name for name in files if name.startswith("M/warmup/probe-")}
    assert files - warm_up == {"M/config.pbtxt", "M/1/model.onnx", "M/1/known_answer.json"}
    assert {name.split("-", 2)[-1] for name in warm_up} == {"input_ids", "attention_mask"}
    assert os.listdir(tmp_path / "repository") == [graph.name]


def test_graph_is_a_hard_link(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    assert (tmp_path / "repository" / graph.name / "1" / "model.onnx").samefile(graph.graph)


def test_graph_is_copied_where_links_are_not_possible(
    artifact: Make, probe: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(module.os, "link", refuse)
    graph = artifact()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    copy = tmp_path / "repository" / graph.name / "1" / "model.onnx"
    assert not copy.samefile(graph.graph)
    assert copy.read_bytes() == graph.graph.read_bytes()


def test_warm_up_files_hold_the_probe_as_raw_int64(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    publish(graph, tmp_path, SERVING, probe_ids=probe)
    (path,) = (tmp_path / graph.name / "warmup").glob("*-input_ids")
    assert np.frombuffer(path.read_bytes(), dtype="<i8").tolist() == probe


def test_known_answer_is_what_the_graph_gives_in_process(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact("span")
    publish(graph, tmp_path, SERVING, probe_ids=probe)
    answer = read_known_answer(tmp_path / graph.name / "1" / "known_answer.json")
    with OnnxEndpoint.of(graph) as endpoint:
        expected = endpoint.infer({name: np.array(value) for name, value in answer.inputs.items()})
    assert answer.difference({name: value.tolist() for name, value in expected.items()}) == ""
    assert "differs by" in answer.difference({name: (value + 1).tolist() for name, value in expected.items()})


def test_publishing_the_same_again_writes_nothing(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    before = snapshot(tmp_path / "repository")
    assert publish(graph, tmp_path / "repository", SERVING, probe_ids=probe) == 1
    assert snapshot(tmp_path / "repository") == before


def test_changed_graph_is_a_new_version_beside_the_old(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    old = artifact(seed=0)
    publish(old, tmp_path / "repository", SERVING, probe_ids=probe)
    model = tmp_path / "repository" / old.name
    first = (model / "1" / "model.onnx").read_bytes()
    new = artifact(seed=1)
    assert publish(new, tmp_path / "repository", SERVING, probe_ids=probe) == 2
    assert (model / "1" / "model.onnx").read_bytes() == first
    assert (model / "2" / "model.onnx").samefile(new.graph)
    config = (model / "config.pbtxt").read_text()
    assert "versions: [ 2 ]" in config
    assert new.graph_sha256 in config


def test_changed_settings_replace_the_config_only(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    assert publish(graph, tmp_path / "repository", Serving(threads=2), probe_ids=probe) == 1
    config = (tmp_path / "repository" / graph.name / "config.pbtxt").read_text()
    assert 'key: "intra_op_thread_count" value: { string_value: "2" }' in config
    assert sorted(path.name for path in (tmp_path / "repository").iterdir()) == [graph.name]


def test_another_probe_replaces_the_warm_up(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    publish(graph, tmp_path, SERVING, probe_ids=probe)
    assert publish(graph, tmp_path, SERVING, probe_ids=[0, 9, 2]) == 1
    assert len(list((tmp_path / graph.name / "warmup").iterdir())) == 2


def test_lost_files_are_written_again(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    publish(graph, tmp_path, SERVING, probe_ids=probe)
    lost = tmp_path / graph.name / "1" / "known_answer.json"
    lost.unlink()
    assert publish(graph, tmp_path, SERVING, probe_ids=probe) == 1
    assert lost.is_file()


def test_graph_that_cannot_answer_its_probe_publishes_nothing(artifact: Make, tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="failed on inputs"):
        publish(artifact(), tmp_path / "repository", SERVING, probe_ids=[0, 10_000, 2])
    assert list((tmp_path / "repository").iterdir()) == []


def test_name_with_a_path_in_it_is_refused(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    bad = Artifact("../tiny", *(getattr(graph, field) for field in list(graph.__dataclass_fields__)[1:]))
    with pytest.raises(UsageError, match="cannot name a served model"):
        publish(bad, tmp_path / "repository", SERVING, probe_ids=probe)
    assert not (tmp_path / "repository").exists()
