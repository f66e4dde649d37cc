import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.artifacts.store import Artifact
from harness.core import files
from harness.core.errors import ArtifactError, EndpointError, UsageError
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.serving.repository import store as module
from harness.serving.repository.check import check_version, serves
from harness.serving.repository.config import Serving
from harness.serving.repository.known_answer import read_known_answer
from harness.serving.repository.layout import published, selected, with_text
from harness.serving.repository.store import locked, publish, select
from harness.serving.repository.text_model import text_model

SERVING = Serving(threads=1)
Make = Callable[..., Artifact]
Apart = Callable[[Artifact], Artifact]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_published_files_are_those_triton_looks_for(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    assert publish(graph, tmp_path / "repository", SERVING, probe_ids=probe) == 1
    found = {name.replace(graph.name, "M") for name in snapshot(tmp_path / "repository")}
    warm_up = {name for name in found if name.startswith("M/warmup/probe-")}
    assert found - warm_up == {
        "M/config.pbtxt",
        "M/configs/online.pbtxt",
        "M/1/model.onnx",
        "M/1/known_answer.json",
        "M/1/files.json",
        "M/1/configs/evaluation.pbtxt",
        "M/1/configs/online.pbtxt",
    }
    assert {name.split("-", 2)[-1] for name in warm_up} == {"input_ids", "attention_mask"}
    assert os.listdir(tmp_path / "repository") == [graph.name]


def flip(path: Path) -> None:
    """Change the last byte of a file in place."""
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)[0]
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last ^ 1]))


def test_byte_written_into_artifact_or_repository_never_reaches_the_other(
    artifact: Make, probe: list[int], tmp_path: Path
) -> None:
    graph = artifact()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    copy, content = tmp_path / "repository" / graph.name / "1" / "model.onnx", graph.graph.read_bytes()
    assert not copy.samefile(graph.graph)
    assert copy.read_bytes() == content
    flip(graph.graph)
    assert copy.read_bytes() == content
    flip(graph.graph)
    flip(copy)
    assert graph.graph.read_bytes() == content != copy.read_bytes()


def test_graph_is_cloned_where_the_file_system_does_it(
    artifact: Make, probe: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def clone(written: int, request: int, read: int) -> int:
        asked.append(request)
        return os.sendfile(written, read, 0, os.fstat(read).st_size)

    monkeypatch.setattr(files.fcntl, "ioctl", clone)
    graph = artifact()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    assert asked == [0x40049409]
    copy = tmp_path / "repository" / graph.name / "1" / "model.onnx"
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
    assert (model / "2" / "model.onnx").read_bytes() == new.graph.read_bytes()
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


def test_another_probe_is_another_warm_up_and_the_older_one_stays(
    artifact: Make, probe: list[int], tmp_path: Path
) -> None:
    """A server that runs may be asked to load the version again with the configuration that it knows."""
    graph = artifact()
    publish(graph, tmp_path, SERVING, probe_ids=probe)
    older = {path.name for path in (tmp_path / graph.name / "warmup").iterdir()}
    assert publish(graph, tmp_path, SERVING, probe_ids=[0, 9, 2]) == 1
    there = {path.name for path in (tmp_path / graph.name / "warmup").iterdir()}
    assert older < there
    config = (tmp_path / graph.name / "config.pbtxt").read_text()
    assert all((name in config) == (name not in older) for name in there)
    assert read_known_answer(tmp_path / graph.name / "1" / "known_answer.json").inputs["input_ids"] == [[0, 9, 2]]


def test_lost_files_are_written_again(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    publish(graph, tmp_path, SERVING, probe_ids=probe)
    lost = tmp_path / graph.name / "1" / "known_answer.json"
    lost.unlink()
    assert publish(graph, tmp_path, SERVING, probe_ids=probe) == 1
    assert lost.is_file()


@pytest.mark.parametrize("file", ["known_answer.json", "files.json"])
def test_damaged_files_are_written_again(exported: Make, probe: list[int], tmp_path: Path, file: str) -> None:
    graph = exported()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    path = tmp_path / "repository" / graph.name / "1" / file
    before = json.loads(path.read_text())
    path.write_text("{}")
    assert publish(graph, tmp_path / "repository", SERVING, probe_ids=probe) == 1
    assert json.loads(path.read_text()).keys() == before.keys()
    check_version(tmp_path / "repository", graph.name, 1)


def test_graph_that_cannot_answer_its_probe_publishes_nothing(artifact: Make, tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="failed on inputs"):
        publish(artifact(), tmp_path / "repository", SERVING, probe_ids=[0, 10_000, 2])
    assert list((tmp_path / "repository").iterdir()) == []


def test_name_with_a_path_in_it_is_refused(artifact: Make, probe: list[int], tmp_path: Path) -> None:
    graph = artifact()
    bad = dataclasses.replace(graph, manifest=msgspec.structs.replace(graph.manifest, model="../tiny"))
    with pytest.raises(UsageError, match="cannot name a served model"):
        publish(bad, tmp_path / "repository", SERVING, probe_ids=probe)
    assert not (tmp_path / "repository").exists()


def test_graph_of_an_older_version_is_selected_and_not_published_twice(
    exported: Make, probe: list[int], tmp_path: Path
) -> None:
    first, second, repository = exported(seed=0), exported(seed=1), tmp_path / "repository"
    for graph, version in ((first, 1), (second, 2), (first, 1)):
        assert publish(graph, repository, SERVING, probe_ids=probe) == version
        assert selected(repository / graph.name / "config.pbtxt") == version
        assert serves(graph, repository)
    assert not serves(second, repository)
    assert first.graph_sha256 in (repository / first.name / "configs/online.pbtxt").read_text()


def test_same_graph_with_another_tokenizer_is_another_version(exported: Make, probe: list[int], tmp_path: Path) -> None:
    first, second = exported(seed=0), exported(seed=0, pieces=1)
    assert (first.graph_sha256, first.tokenizer_sha256 == second.tokenizer_sha256) == (second.graph_sha256, False)
    assert publish(first, tmp_path / "repository", SERVING, probe_ids=probe) == 1
    assert publish(second, tmp_path / "repository", SERVING, probe_ids=probe) == 2


def test_damaged_version_is_not_taken_for_the_graph(exported: Make, probe: list[int], tmp_path: Path) -> None:
    graph = exported()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    replace(tmp_path / "repository" / graph.name / "1" / "model.onnx", b"damaged")
    assert publish(graph, tmp_path / "repository", SERVING, probe_ids=probe) == 2


def replace(path: Path, content: bytes) -> None:
    """Change a published file, never the artifact's."""
    path.unlink()
    path.write_bytes(content)


def test_weights_beside_a_graph_are_copied_with_it(
    exported: Make, apart: Apart, probe: list[int], tmp_path: Path
) -> None:
    graph, repository = apart(exported()), tmp_path / "repository"
    publish(graph, repository, SERVING, probe_ids=probe)
    folder = repository / graph.name / "1"
    copy, own = folder / "model.onnx.data", graph.directory / "model.onnx.data"
    assert not copy.samefile(own)
    assert copy.read_bytes() == own.read_bytes()
    assert {"model.onnx", "model.onnx.data"} < json.loads((folder / "files.json").read_text()).keys()
    check_version(repository, graph.name, 1)
    before = snapshot(repository)
    assert publish(graph, repository, SERVING, probe_ids=probe) == 1
    assert snapshot(repository) == before


def test_other_weights_under_the_same_graph_are_another_version(
    exported: Make, apart: Apart, probe: list[int], tmp_path: Path
) -> None:
    first, second, repository = apart(exported(seed=0)), apart(exported(seed=1)), tmp_path / "repository"
    assert first.graph.read_bytes() == second.graph.read_bytes()
    for graph, version in ((first, 1), (second, 2), (first, 1)):
        assert publish(graph, repository, SERVING, probe_ids=probe) == version
        assert serves(graph, repository)
        assert graph.graph_sha256 in (repository / graph.name / "config.pbtxt").read_text()
    assert not serves(second, repository)
    assert [check_version(repository, first.name, number).graph_sha256 for number in (1, 2)] == [
        first.graph_sha256,
        second.graph_sha256,
    ]


def test_copy_of_a_graph_in_two_files_is_not_published_twice(
    exported: Make, apart: Apart, probe: list[int], tmp_path: Path
) -> None:
    graph = apart(exported())
    copy = dataclasses.replace(graph, directory=shutil.copytree(graph.directory, tmp_path / "copy"))
    for each in (graph, copy):
        assert publish(each, tmp_path / "repository", SERVING, probe_ids=probe) == 1
    (tmp_path / "repository" / graph.name / "1" / "model.onnx.data").unlink()
    assert not serves(graph, tmp_path / "repository")
    assert publish(graph, tmp_path / "repository", SERVING, probe_ids=probe) == 2


@pytest.mark.parametrize("damage", ["missing", "shortened", "changed", "of another graph"])
def test_damaged_weights_of_a_version_are_named(
    exported: Make, apart: Apart, probe: list[int], tmp_path: Path, damage: str
) -> None:
    graph, repository = apart(exported()), tmp_path / "repository"
    publish(graph, repository, SERVING, probe_ids=probe)
    path = repository / graph.name / "1" / "model.onnx.data"
    content = path.read_bytes()
    if damage == "of another graph":
        # As whole as it looks from files.json; the manifest knows better.
        content = b"\1" * len(content)
        files = path.with_name("files.json")
        digests = json.loads(files.read_text()) | {path.name: hashlib.sha256(content).hexdigest()}
        files.write_text(json.dumps(digests))
    replace(path, {"shortened": content[:-4], "changed": content[:-4] + b"\1\2\3\4"}.get(damage, content))
    if damage == "missing":
        path.unlink()
    reason = "is missing" if damage == "missing" else "is not the file that was published"
    with pytest.raises(ArtifactError, match=rf"1/model\.onnx\.data {reason}; publish the model again"):
        check_version(repository, graph.name, 1)


def test_version_tells_where_it_came_from(exported: Make, probe: list[int], tmp_path: Path) -> None:
    graph = exported()
    (graph.directory / "gate.json").write_text('{"passed": true}')
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    for name in ("manifest.json", "gate.json"):
        assert (tmp_path / "repository" / graph.name / "1" / name).read_bytes() == (graph.directory / name).read_bytes()
    assert check_version(tmp_path / "repository", graph.name, 1).graph_sha256 == graph.graph_sha256


def test_text_model_is_published_with_its_graph(exported: Make, probe: list[int], tmp_path: Path) -> None:
    graph, repository = exported(), tmp_path / "repository"
    publish(graph, repository, SERVING, probe_ids=probe, text=text_model)
    folder = repository / f"{graph.name}_text"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "config.pbtxt",
        "1/tokenizer.json",
        "1/text.json",
        "1/known_answer.json",
        "1/files.json",
        "1/configs/online.pbtxt",
    }
    assert published(repository, []) == [graph.name]
    assert with_text(repository, [graph.name]) == [graph.name, f"{graph.name}_text"]
    before = snapshot(repository)
    assert publish(graph, repository, SERVING, probe_ids=probe, text=text_model) == 1
    assert snapshot(repository) == before


def test_known_answer_of_a_text_is_what_the_graph_gives_in_process(
    exported: Make, probe: list[int], tmp_path: Path
) -> None:
    answers = []
    for seed in (0, 1):
        graph = exported(seed=seed)
        version = publish(graph, tmp_path / "repository", SERVING, probe_ids=probe, text=text_model)
        path = tmp_path / "repository" / f"{graph.name}_text" / str(version) / "known_answer.json"
        answers.append(read_known_answer(path))
    first, second = answers
    answer = json.loads(first.outputs["answer"][0][0])
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert first.inputs == second.inputs
    assert first.difference(first.outputs) == ""
    assert "output 'answer'" in first.difference(second.outputs)
    assert first.gap(second.outputs) == ""


def test_interrupted_selection_changes_nothing(
    exported: Make, probe: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    for seed in (0, 1):
        name = exported(seed=seed).name
        publish(exported(seed=seed), repository, SERVING, probe_ids=probe, text=text_model)
    configs = [
        path for path in sorted(repository.rglob("*.pbtxt")) if "/1/" not in str(path) and "/2/" not in str(path)
    ]
    before = {path: path.read_bytes() for path in configs}
    assert len(configs) == 3
    move, moved = os.replace, []

    def fail_at_the_third(source: Path, target: Path) -> None:
        moved.append(target)
        if len(moved) == 3:
            raise OSError(28, "No space left on device")
        move(source, target)

    monkeypatch.setattr(module.os, "replace", fail_at_the_third)
    with pytest.raises(OSError, match="No space"), locked(repository):
        select(repository, {name: 1})
    assert {path: path.read_bytes() for path in configs} == before
    assert sorted(path.name for path in repository.iterdir()) == [name, f"{name}_text"]


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("{name}/1/model.onnx", "is not the file that was published"),
        ("{name}/1/manifest.json", "is missing or damaged"),
        ("{name}_text/1/tokenizer.json", "is not the file that was published"),
        ("{name}/1/known_answer.json", "is missing"),
        ("{name}/1/known_answer.json", "is not the file that was published"),
        ("{name}_text/1/text.json", "is not the file that was published"),
        ("{name}/1/configs/online.pbtxt", "is not the file that was published"),
        ("{name}/1/files.json", "is missing or damaged"),
        ("{name}_text/1/files.json", "is missing or damaged"),
        ("{name}_text/1/known_answer.json", "is missing"),
        ("{name}/1/configs/online.pbtxt", "is missing"),
    ],
)
def test_damaged_version_is_named_by_its_file(
    exported: Make, probe: list[int], tmp_path: Path, file: str, reason: str
) -> None:
    graph, repository = exported(), tmp_path / "repository"
    publish(graph, repository, SERVING, probe_ids=probe, text=text_model)
    check_version(repository, graph.name, 1)
    path = repository / file.format(name=graph.name)
    if reason == "is missing":
        path.unlink()
    else:
        replace(path, b"damaged")
    with pytest.raises(ArtifactError, match=f"{path.name} {reason}; publish the model again with `harness export`"):
        check_version(repository, graph.name, 1)


def test_unknown_version_is_refused_with_those_there_are(exported: Make, probe: list[int], tmp_path: Path) -> None:
    graph = exported()
    publish(graph, tmp_path / "repository", SERVING, probe_ids=probe)
    with pytest.raises(UsageError, match=f"{graph.name} has no version 7 in .*; it has 1"):
        check_version(tmp_path / "repository", graph.name, 7)
