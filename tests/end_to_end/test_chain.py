"""The whole chain as a user runs it: recipe, checkpoints, graphs, a real Triton, scores."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pages import chromium, open_page, requests

from harness.benchmark import tasks

RECIPE = Path(__file__).with_name("tiny.toml")
TASKS = tasks.names()
GRAPHS = {tasks.load(name).finetune.name for name in TASKS}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from harness.cli import main; main()", *arguments]


def harness(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HARNESS_HOME": str(home)}
    environment.pop("HARNESS_DATA", None)
    return subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, check=False)


def servers(home: Path) -> list[int]:
    """Return the tritonserver and stub processes that serve this workspace's repository."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(home) in line and ("tritonserver" in line or "triton_python_backend_stub" in line):
            found.append(process.pid)
    return found


def wait_for(condition: object, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the tiny model was trained and exported by one command."""
    home = tmp_path_factory.mktemp("home")
    done = harness(home, "train", str(RECIPE), "--export")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def in_process(home: Path) -> Path:
    out = home / "out-onnx"
    done = harness(home, "eval", "--model", "tiny", "--tasks", "all", "--endpoint", "onnx", "--output", str(out))
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def through_triton(home: Path) -> Path:
    out = home / "out-triton"
    # Or it would take the answers that this process gave.
    done = harness(home, "eval", "--model", "tiny", "--tasks", "all", "--fresh", "--output", str(out))
    assert done.returncode == 0, done.stderr
    return out


def scores(out: Path) -> dict[str, object]:
    return json.loads((out / "scores.json").read_text(encoding="utf-8"))


def predictions(out: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(out / "journal.sqlite") as connection:
        query = "SELECT task, language, example, prediction FROM prediction ORDER BY task, language, example"
        return connection.execute(query).fetchall()


def test_every_task_is_scored(in_process: Path) -> None:
    assert tuple(scores(in_process)["tasks"]) == TASKS


@pytest.mark.triton
def test_local_triton_and_this_process_predict_the_same(in_process: Path, through_triton: Path) -> None:
    assert predictions(through_triton) == predictions(in_process)
    assert len(predictions(through_triton)) > 5_000


@pytest.mark.triton
def test_run_names_the_endpoint_that_answered(through_triton: Path) -> None:
    document = scores(through_triton)
    assert document["endpoint"] == "triton (local)"
    assert "python backend" in document["provenance"]["backend"]


@pytest.mark.triton
def test_no_server_is_left_after_an_evaluation(home: Path, through_triton: Path) -> None:
    assert servers(home) == []


def test_scores_carry_what_repeats_them(in_process: Path) -> None:
    provenance = scores(in_process)["provenance"]
    assert set(provenance["graph_sha256"]) == GRAPHS
    assert set(provenance["data_sha256"]) == set(TASKS)
    assert provenance["packages"]["onnxruntime"]


def test_second_training_keeps_everything(home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (home / "checkpoints").rglob("*") if path.is_file()}
    done = harness(home, "train", str(RECIPE), "--export")
    after = {path: path.stat().st_mtime_ns for path in (home / "checkpoints").rglob("*") if path.is_file()}
    assert done.returncode == 0
    assert after == before
    assert done.stderr.count("unchanged") == len(GRAPHS)


def test_finished_run_is_answered_from_its_journal(home: Path, in_process: Path) -> None:
    before = scores(in_process)["padding"]["batches"]
    done = harness(home, "eval", "--model", "tiny", "--tasks", "all", "--endpoint", "onnx", "--output", str(in_process))
    assert done.returncode == 0
    assert scores(in_process)["padding"]["batches"] == before


def test_dry_run_writes_nothing_and_says_rows_and_time(home: Path) -> None:
    done = harness(home, "eval", "--model", "tiny", "--tasks", "xnli", "--dry-run", "--output", str(home / "out-dry"))
    assert done.returncode == 0, done.stderr
    assert "after de-duplication" in done.stdout
    assert not (home / "out-dry").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        pytest.param(["--model", "tinny"], "did you mean 'tiny'", id="model"),
        pytest.param(["--model", "../tiny"], "no exported model '../tiny'", id="model with a path"),
        pytest.param(["--model", "tiny", "--variant", "fp3"], "did you mean 'fp32'", id="variant"),
        pytest.param(["--model", "tiny", "--tasks", "xnl"], "did you mean 'xnli'", id="task"),
        pytest.param(["--model", "tiny", "--languages", "rus"], "no language 'rus'", id="language"),
        pytest.param(["--model", "tiny", "--scripts", "Cyrill"], "did you mean 'Cyrl'", id="script"),
        pytest.param(["--model", "tiny", "--split", "tset"], "did you mean 'test'", id="split"),
        pytest.param(["--model", "tiny", "--tasks", "xquad", "--split", "dev"], "it has test", id="split it lacks"),
        pytest.param(["--model", "tiny", "--suite", "xtreem"], "did you mean 'xtreme'", id="suite"),
        pytest.param(["--model", "tiny", "--data", "nowhere"], "does not exist", id="data folder"),
        pytest.param(["--model", "tiny", "--tasks", "xnli", "--languages", "sw"], "test-sw.tsv", id="missing file"),
        pytest.param(["--model", "tiny", "--endpoint", "trition://x"], "no endpoint", id="endpoint"),
        pytest.param(["--model", "tiny", "--endpoint", "triton://127.0.0.1:1"], "127.0.0.1:1", id="server down"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_2(home: Path, arguments: list[str], hint: str) -> None:
    out = home / "out-wrong"
    done = harness(home, "eval", *arguments, "--output", str(out))
    assert done.returncode == 2, done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_malformed_row_is_named_by_file_and_line(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "xnli"
    folder.mkdir(parents=True)
    (folder / "test-en.tsv").write_text("one\ttwo\tneutral\nonly\ttwo\n", encoding="utf-8")
    done = harness(
        home, "eval", "--model", "tiny", "--tasks", "xnli", "--languages", "en",
        "--data", str(tmp_path / "data"), "--endpoint", "onnx", "--output", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 2
    assert "test-en.tsv:2: 2 columns where 3 are expected" in done.stderr


@pytest.fixture
def evaluation(home: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An evaluation whose own Triton is up."""
    environment = {**os.environ, "HARNESS_HOME": str(home)}
    process = subprocess.Popen(
        command("eval", "--model", "tiny", "--tasks", "all", "--fresh", "--output", str(tmp_path / "out")),
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert wait_for(lambda: len(servers(home)) > 3, 60), "Triton did not start"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.triton
def test_ctrl_c_is_exit_130_and_leaves_no_server(home: Path, evaluation: subprocess.Popen[str]) -> None:
    os.killpg(evaluation.pid, signal.SIGINT)
    assert evaluation.wait(timeout=60) == 130
    assert wait_for(lambda: not servers(home), 20)


@pytest.mark.triton
def test_kill_9_of_the_client_leaves_no_server(home: Path, evaluation: subprocess.Popen[str]) -> None:
    evaluation.kill()
    assert wait_for(lambda: not servers(home), 30)


def test_finished_run_is_scored_again_to_the_same_numbers(home: Path, in_process: Path) -> None:
    before = scores(in_process)["tasks"]
    (in_process / "scores.json").rename(in_process / "kept.json")
    lost = harness(home, "rescore", str(in_process))
    assert (lost.returncode, "no folder with scores.json" in lost.stderr) == (2, True)
    (in_process / "kept.json").rename(in_process / "scores.json")
    submission = home / "submission"
    done = harness(home, "rescore", str(in_process), "--submission", str(submission))
    assert done.returncode == 0, done.stderr
    assert scores(in_process)["tasks"] == before
    written = {path.parent.name for path in submission.glob("*/*")}
    assert written == set(TASKS)


def test_predictions_of_a_run_score_the_same_as_a_submission(home: Path, in_process: Path) -> None:
    """Labels in the official layout, made from the sample's gold, and the run's own predictions."""
    from harness.core.layout import Layout

    submission, labels = home / "predicted", home / "labels"
    assert harness(home, "rescore", str(in_process), "--submission", str(submission)).returncode == 0
    layout = Layout.at(home / "data/sample")
    xnli = tasks.load("xnli")
    covered = layout.coverage()["xnli"]
    for code in xnli.languages["xtreme"]:
        gold = [example.label for example in xnli.source.read(layout, code if code in covered else "en", "test")]
        for folder in (labels / "xnli", submission / "xnli"):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"test-{code}.tsv"
            if not path.exists():
                path.write_text("".join(label + "\n" for label in gold), encoding="utf-8")
    done = harness(
        home, "score", "--predictions", str(submission), "--labels", str(labels), "--suite", "xtreme",
        "--tasks", "xnli", "--output", str(home / "scored.json"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scored = json.loads((home / "scored.json").read_text(encoding="utf-8"))["tasks"]["xnli"]["languages"]
    run = scores(in_process)["tasks"]["xnli"]["languages"]
    assert {code: scored[code]["accuracy"] for code in run} == pytest.approx(
        {code: row["accuracy"] for code, row in run.items()}, abs=1e-9
    )


def test_every_hidden_state_is_scored_and_none_becomes_a_default(home: Path) -> None:
    done = harness(home, "sweep-layers", "--model", "tiny", "--task", "tatoeba", "--languages", "ru,de")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[2:5]] == ["0", "1", "2"]
    assert "selected-on-test" in done.stdout
    reported = json.loads((home / "runs/sweep-tiny-tatoeba-test.json").read_text(encoding="utf-8"))
    assert len(reported["hidden_states"]) == 3


def test_page_of_the_run_opens_in_a_browser_without_the_network(home: Path, in_process: Path) -> None:
    """As `make report` after `make eval`, with a sweep of the layers beside the run."""
    swept = harness(home, "sweep-layers", "--model", "tiny", "--task", "tatoeba", "--languages", "ru,de")
    assert swept.returncode == 0, swept.stderr
    page = home / "report.html"
    done = harness(home, "report", str(in_process), "--output", str(page))
    assert done.returncode == 0, done.stderr
    with chromium() as browser:
        open_page(browser, page)
        assert browser.get_log("browser") == []
        assert requests(browser) == {page.as_uri()}
        # What the chain left is all there: each task, curves of each training set with phase 2, the layers, examples.
        texts = {
            name: [each.text for each in browser.find_elements("css selector", name)] for name in ("h2", "h3", "h4")
        }
        assert {"Tasks", "Training", "Retrieval by layer", "Examples"} <= set(texts["h2"])
        trained = {"phase 2", *GRAPHS} - {"encoder"}
        assert trained <= set(texts["h3"])
        assert texts["h4"] == ["mean", "Latn", "Cyrl"]
        assert "tatoeba (test)" in texts["h3"]
        tasks_shown = browser.find_elements("css selector", "#tasks ~ .scroll tbody th")
        assert set(TASKS) <= {each.text for each in tasks_shown}
        assert "no training curves" not in browser.find_element("css selector", "main").text
        assert browser.find_elements("css selector", "article.example")


def test_task_without_hidden_states_is_not_swept(home: Path) -> None:
    done = harness(home, "sweep-layers", "--model", "tiny", "--task", "xnli")
    assert (done.returncode, "task 'xnli' compares no hidden state" in done.stderr) == (2, True)


def test_phases_of_a_model_are_compared_by_retrieval(home: Path, in_process: Path) -> None:
    refused = harness(home, "compare", "tiny@pretrained", str(in_process))
    assert refused.returncode == 2
    assert "with the recipe of 'tiny', makes the model tiny.pretrained" in refused.stderr
    done = harness(home, "train", str(RECIPE), "--phase", "pretrained", "--export")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (home / "artifacts" / "tiny.pretrained").iterdir()) == [
        "encoder",
        "encoder_cls",
    ]
    done = harness(home, "eval", "--model", "tiny.pretrained", "--tasks", "tatoeba", "--endpoint", "onnx")
    assert done.returncode == 0, done.stderr
    done = harness(home, "compare", "tiny@pretrained", str(in_process))
    assert done.returncode == 0, done.stderr
    assert "tiny@fp32 minus tiny.pretrained@fp32 by script" in done.stdout
    assert "xnli" not in done.stdout.partition("* p (Holm)")[0]
