"""Training as a user runs it: killed and resumed, in two processes, in phases, with a leak."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

RECIPE = """
name = "try"
description = "for tests"

[pretrained]
retrieval_layer = 1

[pretrained.scratch]
layers = 2
width = 32
heads = 2
vocabulary = 1500
texts = ["mono"]
parallel = ["parallel"]
objectives = { mlm = 0.5, tlm = 0.5 }
languages = ["en", "ru"]
steps = 60
batch_tokens = 512
dropout = 0.0

[intermediate]
steps = 12
batch_rows = 8
learning_rate = 1e-3
tasks = [{ name = "mnli", languages = { en = 3, ru = 1 } }, { name = "squad", languages = ["en"] }]

[intermediate.text]
rate = 0.3
texts = ["mono"]
languages = ["en", "ru"]
batch_tokens = 512

[compute]
save_every = 5
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from harness import sample

    folder = tmp_path_factory.mktemp("sample") / "data"
    sample.write(folder)
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "try.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def command(recipe: Path, data: Path, *more: str, launcher: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *launcher, "-m", "harness.cli", "train", str(recipe), "--data", str(data), *more]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HARNESS_HOME": str(home), "OMP_NUM_THREADS": "1"}


def train(home: Path, *arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, **options), env=environment(home), capture_output=True, text=True, check=False
    )


def account(home: Path, phase: str) -> dict[str, Any]:
    (path,) = (home / "checkpoints").glob(
        "pretrained-*/phase.json" if phase == "pretrained" else f"*/{phase}/phase.json"
    )
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, recipe: Path, data: Path) -> Path:
    """A workspace in which phases 1 and 2 ran without a stop."""
    home = tmp_path_factory.mktemp("whole")
    done = train(home, recipe, data, "--phase", "intermediate")
    assert done.returncode == 0, done.stderr
    return home


def test_killed_training_goes_on_to_the_same_weights(tmp_path: Path, recipe: Path, data: Path, whole: Path) -> None:
    process = subprocess.Popen(command(recipe, data, "--phase", "intermediate"), env=environment(tmp_path))
    states = tmp_path / "checkpoints/.states"
    end = time.monotonic() + 120
    while not list(states.glob("*/checkpoint-*/trainer_state.json")) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(tmp_path.glob("checkpoints/pretrained-*/phase.json"))
    done = train(tmp_path, recipe, data, "--phase", "intermediate")
    assert done.returncode == 0, done.stderr
    for phase in ("pretrained", "intermediate"):
        assert account(tmp_path, phase)["files"] == account(whole, phase)["files"]
    assert not list(states.glob("*"))


def test_interrupted_training_goes_on_from_its_last_step(tmp_path: Path, recipe: Path, data: Path, whole: Path) -> None:
    process = subprocess.Popen(
        command(recipe, data, "--phase", "pretrained"), env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    states = tmp_path / "checkpoints/.states"
    end = time.monotonic() + 120
    while not list(states.glob("*/checkpoint-*/trainer_state.json")) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    stopped = re.search(r"stopped after step (\d+); the same command resumes there", said)
    assert stopped, said
    assert "Traceback" not in said
    assert [path.parent.name for path in states.glob("*/checkpoint-*/trainer_state.json")] == [
        f"checkpoint-{stopped[1]}"
    ]
    done = train(tmp_path, recipe, data, "--phase", "pretrained")
    assert done.returncode == 0, done.stderr
    assert account(tmp_path, "pretrained")["files"] == account(whole, "pretrained")["files"]
    assert not list(states.glob("*"))


def test_two_processes_see_the_losses_of_one(tmp_path: Path, recipe: Path, data: Path, whole: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = train(tmp_path, recipe, data, "--phase", "intermediate", launcher=launcher)
    assert done.returncode == 0, done.stderr
    for phase in ("pretrained", "intermediate"):
        one, two = account(whole, phase)["losses"], account(tmp_path, phase)["losses"]
        assert [entry["step"] for entry in two] == [entry["step"] for entry in one]
        # The mean of two means over masked pieces is not quite the mean over all of them.
        assert [entry["loss"] for entry in two] == pytest.approx([entry["loss"] for entry in one], rel=0.02)


def test_what_was_drawn_is_written_down(whole: Path) -> None:
    reported = account(whole, "intermediate")
    rows = sum(sum(languages.values()) for languages in reported["drawn"].values())
    assert rows == 8 * (12 - reported["text_steps"])
    assert reported["seen"]["inference"] == reported["drawn"]["mnli"]


def test_trained_on_an_evaluation_file_is_refused(tmp_path: Path, recipe: Path, data: Path) -> None:
    leaky = tmp_path / "leaky.toml"
    named = 'files = { en = "xtreme/xnli/leak.jsonl" }'
    leaky.write_text(RECIPE.replace("languages = { en = 3, ru = 1 }", named), encoding="utf-8")
    rows = (data / "xtreme/xnli/test-en.tsv").read_text(encoding="utf-8").splitlines()
    copied = [dict(zip(("premise", "hypothesis", "label"), row.split("\t"), strict=True)) for row in rows]
    path = data / "xtreme/xnli/leak.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in copied), encoding="utf-8")
    done = train(tmp_path, leaky, data, "--phase", "intermediate")
    assert done.returncode == 2
    assert "leak.jsonl holds" in done.stderr
    assert "sentences of xnli en test" in done.stderr
    assert not (tmp_path / "checkpoints").exists()


def test_allowed_leak_marks_the_checkpoint(tmp_path: Path, recipe: Path, data: Path) -> None:
    leaky = tmp_path / "leaky.toml"
    leaky.write_text(
        RECIPE.replace("languages = { en = 3, ru = 1 }", 'files = { en = "xtreme/xnli/leak.jsonl" }').replace(
            "steps = 60", "steps = 2"
        ),
        encoding="utf-8",
    )
    done = train(tmp_path, leaky, data, "--phase", "intermediate", "--allow-leak", "a test of the mark")
    assert done.returncode == 0, done.stderr
    assert account(tmp_path, "intermediate")["leak_allowed"] == "a test of the mark"


def test_unknown_phase_is_answered_with_those_there_are(tmp_path: Path, recipe: Path, data: Path) -> None:
    done = train(tmp_path, recipe, data, "--phase", "targt")
    assert (done.returncode, "did you mean 'target'" in done.stderr) == (2, True)
