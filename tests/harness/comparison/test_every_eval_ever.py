"""A run in the format of Every Eval Ever."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest
from xnli_labels import wrong

from harness.commands.comparison import every_eval_ever
from harness.comparison.every_eval_ever import document
from harness.comparison.runs import FinishedRun, find
from harness.core.errors import UsageError
from harness.core.progress import Silent


@pytest.fixture
def run(make_run, xnli, graph_of, workspace) -> FinishedRun:
    graph_of("mnli", model="english", seen={"inference": {"en": 100}})
    make_run("english", {"xnli": {"ru": wrong(xnli("ru"), 1, 2, 5), "en": xnli("en")}})
    ((found,), _) = find(["english"], workspace)
    return found


def test_each_language_and_the_mean_are_results_with_their_intervals(run: FinishedRun, workspace) -> None:
    found = document(run, workspace, Silent(), version="0.3.0", retrieved=1.0)
    results = {result["evaluation_result_id"]: result for result in found["evaluation_results"]}
    assert list(results) == ["xnli/en", "xnli/ru", "xnli/mean"]
    assert results["xnli/ru"]["score_details"]["score"] == pytest.approx(95.0)
    interval = results["xnli/ru"]["score_details"]["uncertainty"]["confidence_interval"]
    assert 80 < interval["lower"] < 95 < interval["upper"] <= 100
    assert results["xnli/mean"]["score_details"]["uncertainty"]["num_samples"] == 120
    assert results["xnli/ru"]["source_data"]["additional_details"]["split"] == "test"
    assert found["model_info"]["id"] == "local/english"
    assert "signature" not in found
    assert found["source_metadata"]["additional_details"]["signature"].startswith("suite:none|tasks:xnli|")
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.skipif(find_spec("every_eval_ever") is not None, reason="every_eval_ever is installed")
def test_nothing_is_written_without_the_formats_package(run: FinishedRun, workspace, tmp_path) -> None:
    output = tmp_path / "result.json"
    with pytest.raises(UsageError, match="'every_eval_ever' is not installed, and nothing is written without"):
        list(every_eval_ever("english", output, workspace, Silent()))
    assert not output.exists()


@pytest.mark.skipif(find_spec("every_eval_ever") is not None, reason="every_eval_ever is installed")
def test_no_card_is_written_either_where_the_format_is_refused(run: FinishedRun, workspace, tmp_path) -> None:
    arguments = ["card", "english", "--output", "card.md", "--every-eval-ever", "result.json"]
    command = [sys.executable, "-m", "harness.cli", *arguments]
    environment = {**os.environ, "HARNESS_HOME": str(workspace.root), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "is not installed" in done.stderr) == (2, True)
    assert not (tmp_path / "card.md").exists()


@pytest.mark.skipif(find_spec("every_eval_ever") is None, reason="every_eval_ever needs Python 3.12 and numpy 2.4")
def test_the_formats_own_command_accepts_what_is_written(run: FinishedRun, workspace, tmp_path) -> None:
    # Its database has a folder for each benchmark, developer and model.
    output = tmp_path / "data" / "xtreme" / "local" / "english" / f"{uuid4()}.json"
    output.parent.mkdir(parents=True)
    list(every_eval_ever("english", output, workspace, Silent()))
    done = subprocess.run(
        [sys.executable, "-m", "every_eval_ever", "validate", str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
