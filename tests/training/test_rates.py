"""Several learning rates: each is tried, the best one trains, and what was tried is recorded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.artifacts.workspace import Workspace
from harness.core.errors import RecipeError
from harness.core.progress import Silent
from training import estimate
from training.experiment import Folders
from training.measure import Speed
from training.rates import choose, rates_of, trial_steps, trials_of
from training.recipe_files import load_recipe
from training.run import dry_run, train_recipe


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Trials:
    """Scores by learning rate; notes what was tried, and fails at one rate if that is wanted."""

    def __init__(self, fails_at: float | None = None) -> None:
        self.fails_at = fails_at
        self.tried: list[float] = []

    def __call__(self, rate: float, place: Folders) -> float:
        if rate == self.fails_at:
            message = "killed"
            raise RuntimeError(message)
        self.tried.append(rate)
        place.states.mkdir(parents=True)
        return {1e-5: 50.0, 2e-5: 70.0, 5e-5: 70.0}[rate]


def folders(tmp_path: Path, *, resume: bool = True) -> Folders:
    return Folders(tmp_path / "states/abc", tmp_path / "logs", resume)


def test_best_comes_first_and_of_equals_the_lower(tmp_path: Path) -> None:
    found = choose((5e-5, 1e-5, 2e-5), 7, folders(tmp_path), Trials())
    assert [(each.learning_rate, each.score, each.steps) for each in found] == [
        (2e-5, 70.0, 7), (5e-5, 70.0, 7), (1e-5, 50.0, 7)
    ]  # fmt: skip


def test_what_was_tried_before_a_stop_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        choose((1e-5, 2e-5), 7, folders(tmp_path), Trials(fails_at=2e-5))
    again = Trials()
    assert choose((1e-5, 2e-5), 7, folders(tmp_path), again)[0].learning_rate == 2e-5
    assert again.tried == [2e-5]
    # Other steps are another trial, and so is one that is begun again.
    for steps, resume in ((8, True), (7, False)):
        fresh = Trials()
        place = Folders(tmp_path / "states/abc", tmp_path / "logs", resume)
        fresh_states = trials_of(place)
        for folder in fresh_states.glob("*e-05"):
            folder.rmdir()
        choose((1e-5, 2e-5), steps, place, fresh)
        assert fresh.tried == [1e-5, 2e-5]


def test_one_learning_rate_is_not_tried() -> None:
    assert (rates_of(2e-5), rates_of((2e-5, 2e-5))) == ((2e-5,), (2e-5,))
    assert (trial_steps(100, 0.2), trial_steps(2, 0.1)) == (20, 1)


RECIPE = """
name = "try"

[pretrained.scratch]
layers = 1
width = 16
heads = 2
vocabulary = 120
texts = ["mono"]
languages = ["en"]
steps = 2
batch_tokens = 128

[intermediate]
steps = 60
sweep = 0.5
batch_rows = 4
learning_rate = [1e-9, 5e-2]
tasks = [{ name = "mnli", languages = ["en"] }]

[target]
finetunes = ["mnli"]
evaluations = 0
sweep = 0.5

[target.overrides]
mnli = { epochs = 8, batch_rows = 8, learning_rate = [1e-9, 5e-2] }

[compute]
report_to = []
bf16 = false
"""
LABELS = ("contradiction", "entailment", "neutral")
WORDS = ("the old man sees the red box", "a child runs to the park", "no sun is out in the town")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "xtreme").mkdir(parents=True)
    (folder / "text/mono").mkdir(parents=True)
    (folder / "text/mono/en.txt").write_text("".join(f"{words}\n" for words in WORDS) * 20, encoding="utf-8")
    rows = [{"premise": WORDS[n % 3], "hypothesis": WORDS[n % 3], "label": LABELS[n % 3]} for n in range(60)]
    for split in ("train", "dev"):
        path = folder / f"intermediate/mnli/en/{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def train(tmp_path: Path, data: Path, text: str = RECIPE) -> dict[str, Any]:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    train_recipe(
        load_recipe(path), Workspace(tmp_path / "home"), data=data, targets=(), seed=None, max_steps=None,
        phase="target", resume=True, allow_leak=None, progress=Silent(),
    )  # fmt: skip
    home = tmp_path / "home/checkpoints/try"
    return {
        phase: json.loads((home / phase / "phase.json").read_text("utf-8")) for phase in ("intermediate", "target/mnli")
    }


def test_rate_that_learns_is_kept_and_both_are_recorded(tmp_path: Path, data: Path) -> None:
    for document in train(tmp_path, data).values():
        assert [each["learning_rate"] for each in document["tried"]] == [5e-2, 1e-9]
        assert document["tried"][0]["score"] > document["tried"][1]["score"]
    found = train(tmp_path, data)["target/mnli"]
    # Eight epochs of 60 examples in steps of 8; half of them.
    assert [each["steps"] for each in found["tried"]] == [30, 30]
    assert (found["steps"], found["hyperparameters"]["learning_rate"]) == (60, 5e-2)
    assert list((tmp_path / "home/checkpoints/.states").iterdir()) == []


def test_rate_that_was_kept_trains_as_if_it_alone_was_named(tmp_path: Path, data: Path) -> None:
    for name in ("several", "one"):
        (tmp_path / name).mkdir()
    train(tmp_path / "several", data)
    train(tmp_path / "one", data, RECIPE.replace("[1e-9, 5e-2]", "5e-2"))
    for phase in ("intermediate", "target/mnli"):
        weights = [
            (tmp_path / name / f"home/checkpoints/try/{phase}/model.safetensors").read_bytes()
            for name in ("several", "one")
        ]
        assert weights[0] == weights[1]


def test_rates_without_a_dev_set_are_refused(tmp_path: Path, data: Path) -> None:
    (data / "intermediate/mnli/en/dev.jsonl").unlink()
    with pytest.raises(RecipeError, match=r"\[intermediate\] learning_rate is .*no English dev set of mnli to"):
        train(tmp_path, data)


def test_dry_run_counts_the_trials(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "measure", lambda *_: Speed(100.0, 0.0, 4, 1))
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE, encoding="utf-8")
    lines = dry_run(
        [load_recipe(path)], Workspace(tmp_path / "home"), data=data, targets=(), seeds=[None], max_steps=None,
        phase="target", resume=True, progress=Silent(),
    )  # fmt: skip
    text = "\n".join(lines)
    (line,) = (line for line in text.splitlines() if line.strip().startswith("phase 2"))
    # 60 steps, and half of them at each of two rates: 120 steps of 100 seconds.
    assert "to do, after 2 learning rates" in line
    assert " 3.3 h" in line


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("learning_rate = [1e-9, 5e-2]\ntasks", "learning_rate = []\ntasks", "learning_rate is an empty list"),
        ("learning_rate = [1e-9, 5e-2]\ntasks", "learning_rate = [1e-5, -1.0]\ntasks", "learning_rate is -1.0"),
        ("steps = 60\nsweep = 0.5", "steps = 60\nsweep = 0.0", "sweep is 0.0, a share of the steps"),
        ("evaluations = 0\nsweep = 0.5", "evaluations = 0\nsweep = 1.5", "sweep is 1.5, a share of the steps"),
        ("learning_rate = [1e-9, 5e-2]\ntasks", 'learning_rate = ["fast"]\ntasks', "learning_rate is 'fast', a number"),
    ],
)
def test_wrong_rates_are_refused_before_anything_starts(tmp_path: Path, before: str, after: str, words: str) -> None:
    path = tmp_path / "recipe.toml"
    assert before in RECIPE
    path.write_text(RECIPE.replace(before, after), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert words in str(caught.value)
