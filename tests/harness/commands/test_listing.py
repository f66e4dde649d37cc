"""The tree of checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.artifacts.checkpoint import Checkpoint
from harness.artifacts.workspace import Workspace
from harness.commands.listing import model_table


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def write(workspace: Workspace, place: str, **account: Any) -> str:
    """Write an account, and return the digest that its children name."""
    directory = workspace.checkpoints / place
    directory.mkdir(parents=True)
    whole = {"files": {}, "parents": {}, "seen": {}, "seed": 1, "steps": 5, "leak_allowed": None, **account}
    (directory / "phase.json").write_text(json.dumps(whole), encoding="utf-8")
    return Checkpoint.of(directory, whole).digest


def start(workspace: Workspace, name: str = "pretrained-1", **more: Any) -> str:
    return write(workspace, name, phase="pretrained", model=name, **more)


def model(workspace: Workspace, name: str, parent: str, **more: Any) -> str:
    return write(
        workspace, f"{name}/intermediate", phase="intermediate", model=name, parents={"pretrained": parent}, **more
    )


def graph(workspace: Workspace, name: str, finetune: str, parents: dict[str, str], **more: Any) -> str:
    return write(
        workspace, f"{name}/target/{finetune}", phase="target", model=name, finetune=finetune, parents=parents, **more
    )


def tree(workspace: Workspace) -> list[str]:
    """Return the first column, indented."""
    return [str(row[0]) for row in model_table(workspace).table.rows]


def row(workspace: Workspace, label: str) -> list[str]:
    (found,) = [list(row) for row in model_table(workspace).table.rows if row[0].strip() == label]
    return found


def test_shared_start_stands_once_above_its_models(workspace: Workspace) -> None:
    parent = start(workspace)
    for name in ("english", "mixed"):
        graph(workspace, name, "mnli", {"intermediate": model(workspace, name, parent)})
    assert tree(workspace) == ["pretrained-1", "  english", "    mnli", "  mixed", "    mnli"]


def test_model_without_phase_2_hangs_on_its_start(workspace: Workspace) -> None:
    parent = start(workspace)
    for finetune in ("mnli", "squad"):
        graph(workspace, "none", finetune, {"pretrained": parent})
    assert tree(workspace) == ["pretrained-1", "  none (no phase 2)", "    mnli", "    squad"]


def test_graph_that_goes_on_with_another_says_so(workspace: Workspace) -> None:
    parent = start(workspace)
    graph(workspace, "none", "copa", {"pretrained": parent}, body={"finetune": "siqa", "digest": "1"})
    assert tree(workspace)[-1] == "    copa (after siqa)"


def test_public_start_is_named(workspace: Workspace) -> None:
    start(workspace, source="a-lab/an-encoder")
    assert tree(workspace) == ["pretrained-1 (a-lab/an-encoder)"]


def test_start_that_is_gone_keeps_its_children_in_the_tree(workspace: Workspace) -> None:
    model(workspace, "english", "0123456789abcdef")
    assert tree(workspace) == ["pretrained 0123456789ab (not here)", "  english"]


def test_retrained_phase_2_is_not_taken_for_the_one_a_graph_came_from(workspace: Workspace) -> None:
    parent = start(workspace)
    model(workspace, "english", parent)
    graph(workspace, "english", "mnli", {"intermediate": "fedcba9876543210"})
    assert tree(workspace) == [
        "pretrained-1",
        "  english",
        "intermediate fedcba987654 (not here)",
        "  english (phase 2 is not here)",
        "    mnli",
    ]


def test_row_tells_seed_steps_score_and_what_is_served(workspace: Workspace) -> None:
    parent = start(workspace, seed=7, steps=1500)
    graph(workspace, "none", "mnli", {"pretrained": parent}, seed=7, steps=375,
          development={"en": {"accuracy": 71.25, "examples": 90, "origin": "dev"}})  # fmt: skip
    for variant in ("fp32", "int8"):
        folder = workspace.root / "artifacts/none/mnli" / variant
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}", encoding="utf-8")
    for version in (1, 2):
        (workspace.model_repository / f"none-mnli-fp32/{version}").mkdir(parents=True)
    assert row(workspace, "pretrained-1")[1:4] == ["7", "1,500", "-"]
    assert row(workspace, "mnli")[1:6] == ["7", "375", "en accuracy 71.2", "fp32 int8", "fp32:1,2"]


def test_leak_is_marked_with_its_reason(workspace: Workspace) -> None:
    parent = start(workspace)
    model(workspace, "leaky", parent, leak_allowed="to see what it does")
    assert (row(workspace, "leaky")[-1], row(workspace, "pretrained-1")[-1]) == ("LEAK: to see what it does", "-")


DAMAGED = {
    "torn": '{"phase": "target", "mod',
    "list": "[]",
    "no files": '{"phase": "target", "model": "a", "parents": {}}',
    "no model": '{"phase": "target", "files": {}, "parents": {}}',
    "parents of another form": '{"phase": "target", "model": "a", "files": {}, "parents": ["b"]}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_damaged_account_is_told_in_one_sentence_and_the_rest_is_shown(workspace: Workspace, text: str) -> None:
    parent = start(workspace)
    graph(workspace, "none", "mnli", {"pretrained": parent})
    broken = workspace.checkpoints / "none/target/squad"
    broken.mkdir()
    (broken / "phase.json").write_text(text, encoding="utf-8")
    listed = model_table(workspace)
    (problem,) = listed.problems
    assert problem.startswith(f"{broken / 'phase.json'} is damaged")
    assert problem.endswith(f"delete {broken} and run `harness train` again")
    assert tree(workspace) == ["pretrained-1", "  none (no phase 2)", "    mnli"]
    assert listed.text().splitlines()[-1] == problem


def test_bytes_that_are_no_text_are_told(workspace: Workspace) -> None:
    start(workspace)
    (workspace.checkpoints / "pretrained-1/phase.json").write_bytes(b"\xff\xfe{")
    assert "pretrained-1/phase.json is damaged" in model_table(workspace).text()


def test_folder_in_the_place_of_an_account_is_told(workspace: Workspace) -> None:
    (workspace.checkpoints / "odd/phase.json").mkdir(parents=True)
    assert "odd/phase.json cannot be read" in model_table(workspace).text()


def test_graphs_without_a_checkpoint_are_shown_and_a_damaged_manifest_is_told(workspace: Workspace) -> None:
    broken = workspace.root / "artifacts/lost/squad/fp32"
    whole = workspace.root / "artifacts/lost/mnli/fp32"
    for folder, manifest in ((broken, "{"), (whole, json.dumps(MANIFEST))):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(manifest, encoding="utf-8")
    listed = model_table(workspace)
    assert tree(workspace) == ["lost (graphs only, no checkpoint here)", "  mnli"]
    assert [f"{broken / 'manifest.json'} is damaged" in problem for problem in listed.problems] == [True]


MANIFEST = {
    "model": "lost",
    "finetune": "mnli",
    "variant": "fp32",
    "signature": {"inputs": [], "outputs": []},
    "graph_sha256": "0",
    "tokenizer_sha256": "0",
    "hidden": 8,
    "pad_id": 1,
    "checkpoint": {"digest": "0", "account": {"phase": "target", "model": "lost", "seen": {}}},
}


def test_empty_workspace_says_how_a_model_is_made(workspace: Workspace) -> None:
    assert "harness train RECIPE" in model_table(workspace).text()
