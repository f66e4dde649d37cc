"""`harness gc`: what nothing refers to is listed and removed, and nothing else."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import api
from harness.artifacts.known_runs import named_graphs, note_run
from harness.artifacts.store import Artifact
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes
from harness.commands import clean
from harness.core.errors import ArtifactError
from harness.core.files import disk_bytes, freed_bytes, size_text


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def version(workspace: Workspace, artifact: Artifact, number: int, graph: str | None = None) -> Path:
    """Write what a version's folder has of an artifact, by another digest where one is given."""
    folder = workspace.model_repository / artifact.name / str(number)
    folder.mkdir(parents=True)
    manifest = json.loads((artifact.directory / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "graph_sha256": graph or artifact.graph_sha256}))
    (folder / "model.onnx").write_bytes(b"graph")
    return folder


def serve(workspace: Workspace, artifact: Artifact, number: int) -> None:
    model = workspace.model_repository / artifact.name
    (model / "configs").mkdir(exist_ok=True)
    for path in (model / "config.pbtxt", model / "configs/online.pbtxt"):
        path.write_text(f"version_policy {{ specific {{ versions: [ {number} ] }} }}")


def run_of(workspace: Workspace, name: str, graph: str) -> None:
    record = {
        "model": "tiny", "variant": "fp32", "endpoint": "onnx", "tasks": {},
        "request": {"tasks": ["xnli"], "data": "data", "limit": None, "protocols": []},
        "provenance": {"data_sha256": {}, "graph_sha256": {"mnli": graph}, "tokenizer_sha256": "0",
                       "checkpoint_sha256": {}},
    }  # fmt: skip
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text(json.dumps(record), encoding="utf-8")


def test_only_what_nothing_refers_to_is_removed(workspace: Workspace, graph_of: Callable[..., Artifact]) -> None:
    artifact = graph_of("mnli")
    old, named, rolled_back, own = (
        version(workspace, artifact, number, graph)
        for number, graph in enumerate(("a" * 64, "b" * 64, "c" * 64, None), start=1)
    )
    text = workspace.model_repository / f"{artifact.name}_text/1"
    text.mkdir(parents=True)
    (text / "text.json").write_text("{}")
    serve(workspace, artifact, 3)
    run_of(workspace, "out", "b" * 64)
    states = workspace.checkpoints / ".states/0123"
    states.mkdir(parents=True)
    (states / "state").write_bytes(b"0" * 1000)
    refused = workspace.artifacts.root / "tiny/mnli/int8.refused"
    refused.mkdir()
    (refused / "gate.json").write_text("{}")
    found = clean.unused(workspace)
    assert {each.path for each in found} == {states, refused, old, text}
    lines = list(clean.lines(found, workspace))
    assert (
        lines[0]
        == "    1 KB  checkpoints/.states/0123: states of a training that was stopped; without them it begins again"
    )
    assert "superseded by version 3" in "\n".join(lines)
    clean.remove(found, workspace)
    assert not any(path.exists() for path in (states, refused, old, text))
    assert all(path.is_dir() for path in (named, rolled_back, own, artifact.directory))
    assert clean.unused(workspace) == []


def test_what_is_served_meanwhile_stays(workspace: Workspace, graph_of: Callable[..., Artifact]) -> None:
    artifact = graph_of("mnli")
    old = version(workspace, artifact, 1, "a" * 64)
    version(workspace, artifact, 2)
    serve(workspace, artifact, 2)
    found = clean.unused(workspace)
    assert [each.path for each in found] == [old]
    serve(workspace, artifact, 1)
    assert clean.remove(found, workspace) == 0
    assert old.is_dir()


def test_a_linked_file_counts_once_and_is_free_with_its_last_link(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/model").write_bytes(b"0" * 100)
    (tmp_path / "b/model").hardlink_to(tmp_path / "a/model")
    assert disk_bytes([tmp_path / "a", tmp_path / "b"]) == 100
    assert freed_bytes([tmp_path / "a"]) == 0
    assert freed_bytes([tmp_path / "a", tmp_path / "b"]) == 100


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (470_000_000, "470 MB"), (2_400_000_000, "2.4 GB")]
)
def test_sizes_are_said_as_people_say_them(count: int, text: str) -> None:
    assert size_text(count) == text


def superseded(workspace: Workspace, graph_of: Callable[..., Artifact]) -> Path:
    """A version that nothing but a run may name."""
    artifact = graph_of("mnli")
    old = version(workspace, artifact, 1, "a" * 64)
    version(workspace, artifact, 2)
    serve(workspace, artifact, 2)
    assert [each.path for each in clean.unused(workspace)] == [old]
    return old


def test_what_a_run_elsewhere_names_stays_until_that_run_is_deleted(
    workspace: Workspace, graph_of: Callable[..., Artifact], tmp_path: Path
) -> None:
    """`harness eval --output DIR`: the run is not under runs/, and may not be finished."""
    old = superseded(workspace, graph_of)
    folder = tmp_path / "disk/results/run"
    folder.mkdir(parents=True)
    note_run(workspace, folder, ["a" * 64])
    assert clean.unused(workspace) == []
    (note,) = (tmp_path / ".runs").iterdir()
    os.utime(note, (0, 0))
    assert clean.unused(workspace) == []
    # The disk is not mounted: nobody deleted the run.
    (tmp_path / "disk").rename(tmp_path / "away")
    assert clean.unused(workspace) == []
    (tmp_path / "away").rename(tmp_path / "disk")
    folder.rmdir()
    assert [each.path for each in clean.unused(workspace)] == [old]


def test_what_a_run_that_has_just_started_names_stays(workspace: Workspace, graph_of: Callable[..., Artifact]) -> None:
    superseded(workspace, graph_of)
    note_run(workspace, workspace.root / "not/there/yet", ["a" * 64])
    (workspace.root / "not/there").mkdir(parents=True)
    assert clean.unused(workspace) == []


def test_damaged_note_of_a_run_stops_the_removal(workspace: Workspace, graph_of: Callable[..., Artifact]) -> None:
    superseded(workspace, graph_of)
    note_run(workspace, workspace.root, [])
    (note,) = (workspace.root / ".runs").iterdir()
    note.write_text("{")
    with pytest.raises(ArtifactError, match=rf"{note.name} is damaged .*evaluate again with `harness eval`, or delete"):
        clean.unused(workspace)


def test_evaluation_notes_its_run(
    tmp_path: Path, graph_of: Callable[..., Artifact], tiny_graph: Callable[..., bytes], write: Callable[..., Path]
) -> None:
    artifact = graph_of("mnli", hidden=8, graph=tiny_graph(finetunes.load("mnli").head.signature(8)))
    write("xnli/test-ru.tsv", "a b\tc d\tneutral\n")
    output = tmp_path / "far/away"
    api.evaluate(
        "tiny", "xnli", languages=["ru"], endpoint="onnx", data=tmp_path / "data", output=output, home=tmp_path
    )  # fmt: skip
    assert named_graphs(Workspace(tmp_path)) == {artifact.graph_sha256}
    (note,) = (tmp_path / ".runs").iterdir()
    assert json.loads(note.read_text(encoding="utf-8"))["folder"] == str(output)
