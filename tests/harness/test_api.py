"""The public API on a tiny world: the same answers and files as the command line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import harness
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes
from harness.core.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_import_loads_no_heavy_package() -> None:
    heavy = run_python(
        "import harness, sys; print(*{'numpy', 'torch', 'typer', 'rich', 'onnxruntime'} & set(sys.modules))"
    )
    assert heavy.strip() == ""


def test_every_public_name_is_there() -> None:
    assert [name for name in harness.__all__ if not hasattr(harness, name)] == []
    assert set(harness.__all__) <= set(dir(harness))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'evalute'"):
        harness.evalute  # noqa: B018


@pytest.fixture
def home(tmp_path: Path, write: Callable, graph_of: Callable, tiny_graph: Callable) -> Workspace:
    """A model with one real graph, and one language of XNLI."""
    graph_of("mnli", hidden=8, graph=tiny_graph(finetunes.load("mnli").head.signature(8)))
    write("xnli/test-ru.tsv", "n a\tx\tneutral\ne b\tx\tentailment\nc c\tx\tcontradiction\nc d\tx\tneutral\n")
    return Workspace(tmp_path)


@pytest.fixture
def run(home: Workspace) -> harness.Run:
    return harness.evaluate(
        "tiny", ["xnli"], languages=["ru"], data=home.root / "data", endpoint="onnx", home=home.root
    )


def test_run_has_its_scores(run: harness.Run) -> None:
    written = json.loads((run.path / "scores.json").read_text(encoding="utf-8"))
    assert run.scores["xnli"].score == written["tasks"]["xnli"]["score"]
    assert (run.model, run.variant) == ("tiny", "fp32")


def test_run_is_found_by_its_name(run: harness.Run, home: Workspace) -> None:
    assert harness.load_run(run.path.name, home=home.root).record == run.record


def test_missing_run_is_refused(home: Workspace) -> None:
    with pytest.raises(UsageError, match=r"scores\.json is missing"):
        harness.load_run("nosuch", home=home.root)


def test_predictions_are_those_of_the_journal(run: harness.Run) -> None:
    found = run.predictions("xnli", "ru")
    assert len(found) == run.scores["xnli"].languages[0].examples
    assert {each.prediction for each in found} <= {"contradiction", "entailment", "neutral"}


def test_predictions_of_another_language_are_refused(run: harness.Run) -> None:
    with pytest.raises(UsageError, match=r"has no xnli in 'de'; it has xnli \(ru\)"):
        run.predictions("xnli", "de")


def test_table_has_a_row_for_each_metric(run: harness.Run) -> None:
    pytest.importorskip("pandas")
    table = run.to_pandas()
    assert list(table["task"]) == ["xnli"]
    assert table.loc[0, "script"] == "Cyrl"
    assert table.loc[0, "score"] == run.scores["xnli"].score


def test_second_call_returns_the_finished_run(run: harness.Run, home: Workspace) -> None:
    again = harness.evaluate(
        "tiny", ["xnli"], languages=["ru"], data=home.root / "data", endpoint="onnx", home=home.root
    )
    assert (again.path, again.record) == (run.path, run.record)


def test_predict_takes_texts_or_mappings(home: Workspace) -> None:
    (plain,) = harness.predict("tiny", "xnli", "n a", "x", home=home.root)
    mapped = harness.predict("tiny", "xnli", {"text": "n a", "text_pair": "x"}, home=home.root)
    assert mapped == [plain]
    with pytest.raises(UsageError, match="not both"):
        harness.predict("tiny", "xnli", "n a", {"text": "n a"}, home=home.root)
