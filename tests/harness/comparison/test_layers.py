"""Retrieval by layer on the page of `harness report`, from what `harness sweep-layers` wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outside_tools import need_module

from harness.artifacts.workspace import Workspace
from harness.commands import comparison
from harness.comparison.page.layers import Layers, layers
from harness.comparison.runs import find
from harness.core.errors import UsageError
from harness.core.progress import Silent

need_module("jinja2")
need_module("matplotlib")

CHECKPOINT = "e" * 64
FIX = r"write it again with `harness sweep-layers --model english --task tatoeba --split test`, or delete it"


def hidden_state(de: float, ru: float) -> dict[str, Any]:
    row = {"examples": 1000, "split": "test", "official": False, "exposure": None}
    return {
        "score": (de + ru) / 2,
        "languages": {"de": {**row, "accuracy": de}, "ru": {**row, "accuracy": ru}},
        "scripts": {"Latn": de, "Cyrl": ru},
    }


def sweep(model: str = "english", **changed: Any) -> dict[str, Any]:
    """What `harness sweep-layers` writes of a network of three layers."""
    states = [hidden_state(30, 10), hidden_state(80, 70), hidden_state(90, 85), hidden_state(60, 40)]
    document = {
        "model": model, "task": "tatoeba", "checkpoint": CHECKPOINT, "selected_on": "test", "warning": "selected",
        "hidden_states": states,
    }  # fmt: skip
    return {**document, **changed}


@pytest.fixture
def write_sweep(workspace: Workspace) -> Callable[..., Path]:
    def make(document: Any, name: str = "sweep-english-tatoeba-test.json") -> Path:
        path = workspace.runs / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return path

    return make


@pytest.fixture
def run(make_run) -> Callable[..., Path]:
    """Write a run of Tatoeba that compared hidden state 2 of 3."""

    def make(model: str = "english", checkpoint: str = CHECKPOINT, **options: Any) -> Path:
        folder: Path = make_run(model, {"xnli": {"ru": ["neutral"]}}, **options)
        path = folder / "scores.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        document["provenance"]["checkpoint_sha256"] = {"encoder": checkpoint, "mnli": "c" * 64}
        document["tasks"]["tatoeba"] = {
            "score": 87.5, "languages": {}, "representation": "the encoder's own vectors, hidden state 2 of 3",
        }  # fmt: skip
        path.write_text(json.dumps(document), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def found(workspace: Workspace) -> Callable[..., Layers]:
    def read(*folders: Path) -> Layers:
        runs = find(list(map(str, folders)), workspace)[0]
        return layers([run.name for run in runs], runs, workspace, Silent())

    return read


@pytest.fixture(autouse=True)
def data(write) -> None:
    write("xnli/test-ru.tsv", "a\tb\tneutral\n")


def test_every_hidden_state_is_shown_by_script_and_the_used_one_is_marked(run, write_sweep, found) -> None:
    write_sweep(sweep())
    (task,) = found(run()).tasks
    assert task.name == "tatoeba (test)"
    assert task.columns == ["model", "hidden state", "n", "mean", "Latn", "Cyrl"]
    assert task.rows == [
        ["english@fp32", "0 of 3", "2,000", "20.0", "30.0", "10.0"],
        ["english@fp32", "1 of 3", "2,000", "75.0", "80.0", "70.0"],
        ["english@fp32", "2 of 3 (used)", "2,000", "87.5", "90.0", "85.0"],
        ["english@fp32", "3 of 3", "2,000", "50.0", "60.0", "40.0"],
    ]
    assert [group for group, _ in task.charts] == ["mean", "Latn", "Cyrl"]
    assert all(svg.startswith("<svg") for _, svg in task.charts)


def test_ring_is_drawn_where_a_layer_is_used_only(run, write_sweep, found, workspace: Workspace) -> None:
    write_sweep(sweep())
    folder = run()
    with_ring = found(folder).tasks[0].charts[0][1]
    path = folder / "scores.json"
    path.write_text(path.read_text(encoding="utf-8").replace("hidden state 2 of 3", ""), encoding="utf-8")
    without = found(folder).tasks[0]
    assert not any("used" in row[1] for row in without.rows)
    assert with_ring.count("<use") == without.charts[0][1].count("<use") + 1


def test_models_share_the_charts_of_a_task(run, write_sweep, found) -> None:
    write_sweep(sweep())
    write_sweep(sweep("mixed", checkpoint="d" * 64), "sweep-mixed-tatoeba-test.json")
    (task,) = found(run(), run("mixed", "d" * 64)).tasks
    assert [row[0] for row in task.rows] == ["english@fp32"] * 4 + ["mixed@fp32"] * 4
    assert "var(--series-0)" in task.charts[0][1]
    assert "var(--series-1)" in task.charts[0][1]


def test_variants_of_a_model_share_its_sweep(run, write_sweep, found) -> None:
    write_sweep(sweep())
    (task,) = found(run(), run(variant="int8")).tasks
    assert {row[0] for row in task.rows} == {"english@fp32"}


def test_other_languages_are_said(run, write_sweep, found) -> None:
    write_sweep(sweep())
    states = [
        {**hidden_state(1, 2), "languages": {"de": hidden_state(1, 2)["languages"]["de"]}, "scripts": {"Latn": 1}}
    ]
    write_sweep(sweep("mixed", hidden_states=states), "sweep-mixed-tatoeba-test.json")
    shown = found(run(), run("mixed"))
    assert shown.remarks == ["tatoeba: the sweeps have different languages, so the models do not compare"]
    assert shown.tasks[0].rows[-1] == ["mixed@fp32", "0 of 0", "1,000", "1.5", "1.0", "-"]


def test_sweep_of_another_training_is_named_and_not_drawn(run, write_sweep, found) -> None:
    path = write_sweep(sweep(checkpoint="b" * 64))
    shown = found(run())
    assert shown.tasks == []
    assert shown.remarks == [
        f"english@fp32: {path} is not shown, it is of another checkpoint than the run; "
        "`harness sweep-layers --model english --task tatoeba --split test` writes it again"
    ]


def test_sweep_of_a_graph_that_the_run_did_not_score_is_named(make_run, write_sweep, found) -> None:
    path = write_sweep(sweep())
    shown = found(make_run("english", {"xnli": {"ru": ["neutral"]}}))
    assert shown.tasks == []
    assert shown.remarks[0].startswith(f"english@fp32: {path} is not shown, the run scored no task of the graph")


def test_sweeps_of_other_models_are_not_read(run, write_sweep, found) -> None:
    """Also not of one whose name starts with the name of a model on the page."""
    write_sweep("{", "sweep-english-2-tatoeba-test.json")
    assert found(run()) == Layers(tasks=[], remarks=[])


STATES = sweep()["hidden_states"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("{", r"is damaged \(not JSON: .*\); " + FIX),
        ("[]", r"is damaged \(.*\); " + FIX),
        ({**sweep(), "format": 2}, "has format 2, this version reads 1 to 1"),
        (sweep(hidden_states=None), r"is damaged \(hidden_states: "),
        (sweep(hidden_states=[]), r"is damaged \(hidden_states is empty"),
        (sweep(checkpoint=1), r"is damaged \(checkpoint: "),
        (sweep("mixed"), r"holds the sweep of mixed tatoeba test, english tatoeba test is expected"),
        (sweep(hidden_states=[{"score": 1}]), r"is damaged \(.*languages"),
        (sweep(hidden_states=[{**STATES[0], "score": 187}]), r"is damaged \(hidden_states\[0\]: mean is 187, percent"),
        (sweep(hidden_states=[STATES[0], {**STATES[1], "languages": {}}]), r"hidden_states\[1\]\.languages are none"),
        (sweep(hidden_states=[{**STATES[0], "scripts": {"<b>": 1}}]), r"hidden_states\[0\]\.scripts has '<b>'"),
        (sweep(hidden_states=[STATES[0], {**STATES[1], "scripts": {}}]), r"hidden_states\[1\]\.scripts are not those"),
    ],
)
def test_damaged_sweep_is_one_sentence_with_its_file(run, write_sweep, found, document: Any, sentence: str) -> None:
    path = write_sweep(document)
    folder = run()
    with pytest.raises(UsageError, match=sentence) as caught:
        found(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_page_has_the_section_where_there_is_a_sweep_only(make_run, write_sweep, workspace: Workspace) -> None:
    folder = make_run("english", {"xnli": {"ru": ["neutral"]}})
    path = folder / "scores.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["provenance"]["checkpoint_sha256"] = {"encoder": CHECKPOINT}
    path.write_text(json.dumps(document), encoding="utf-8")
    output = workspace.root / "report.html"
    request = comparison.ReportRequest(runs=(str(folder),), output=output)
    list(comparison.report(request, workspace, Silent()))
    assert 'id="layers"' not in output.read_text(encoding="utf-8")
    write_sweep(sweep())
    list(comparison.report(request, workspace, Silent()))
    text = output.read_text(encoding="utf-8")
    assert '<h2 id="layers">Retrieval by layer</h2>' in text
    assert '<th scope="row">english@fp32</th><td>2 of 3</td><td>2,000</td><td>87.5</td>' in text
