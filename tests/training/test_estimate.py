"""What a dry run says of a recipe, and that it changes nothing."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.artifacts.workspace import Workspace
from harness.core.errors import CheckpointError, DataError, UsageError
from harness.core.progress import Silent
from training import estimate
from training.estimate import duration
from training.measure import Speed
from training.recipe_files import load_recipe
from training.run import dry_run, train_recipe

RECIPE = """
name = "try"
description = "for tests"

[pretrained.scratch]
layers = 1
width = 16
heads = 2
vocabulary = 120
texts = ["mono"]
languages = ["en", "ru"]
steps = 8
batch_tokens = 128

[intermediate]
steps = 6
batch_rows = 4
tasks = [{ name = "mnli", languages = { en = 3, ru = 1 } }]

[target]
finetunes = ["mnli", "encoder"]

[target.overrides]
mnli = { epochs = 2, batch_rows = 8 }

[compute]
save_every = 2
report_to = []
"""

SENTENCES = {"en": "the old man sees the red box in the park", "ru": "старый муж видит красный ящик в парке дня"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "xtreme").mkdir(parents=True)
    (folder / "text/mono").mkdir(parents=True)
    for language, sentence in SENTENCES.items():
        (folder / f"text/mono/{language}.txt").write_text(f"{sentence}\n" * 30, encoding="utf-8")
        path = folder / f"intermediate/mnli/{language}/train.jsonl"
        path.parent.mkdir(parents=True)
        labels = ("contradiction", "entailment", "neutral")
        rows = [{"premise": sentence, "hypothesis": f"{sentence} {n}", "label": labels[n % 3]} for n in range(20)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    dev = folder / "intermediate/mnli/en/dev.jsonl"
    dev.write_bytes((folder / "intermediate/mnli/en/train.jsonl").read_bytes())
    return folder


class DryRuns:
    """Runs recipes, dry or not, in one workspace."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.workspace = Workspace(folder / "home")
        self.options: dict[str, Any] = {
            "data": data, "targets": (), "max_steps": None, "phase": "target", "resume": True,
            "progress": Silent(),
        }  # fmt: skip
        self.folder = folder

    def recipe(self, text: str) -> Any:
        path = self.folder / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)

    def dry(self, *texts: str, **options: Any) -> list[str]:
        recipes = [self.recipe(text) for text in texts or (RECIPE,)]
        return "\n".join(dry_run(recipes, self.workspace, **{"seeds": [None], **self.options, **options})).splitlines()

    def rows(self, *texts: str, **options: Any) -> dict[str, list[str]]:
        """Return the cells after the name of each line of the table."""
        return self.table(self.dry(*texts, **options))

    @staticmethod
    def table(reported: Sequence[str]) -> dict[str, list[str]]:
        """Return the cells after the name of each line of the first table."""
        lines = [line.strip() for line in reported]
        table = lines[2 : next(place for place, line in enumerate(lines) if line.startswith("left to do")) + 1]
        return {cells[0]: cells[1:] for cells in (split(line) for line in table)}

    def train(self, **options: Any) -> None:
        options = {"seed": None, "allow_leak": None, **self.options, **options}
        train_recipe(self.recipe(options.pop("recipe", RECIPE)), self.workspace, **options)

    def written(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in sorted(self.workspace.root.rglob("*"))}


def split(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.fixture
def reported(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> DryRuns:
    """Measuring has tests of its own; here a token takes half a second, and a step nothing."""
    monkeypatch.setattr(estimate, "measure", lambda *_: Speed(0.0, 0.5, 3, 1))
    return DryRuns(tmp_path, data)


def test_steps_and_examples_are_those_of_the_recipe(reported: DryRuns) -> None:
    rows = reported.rows()
    assert rows["phase 1: mlm"][:4] == ["to do", "8", "-", "-"]
    assert rows["phase 2"][:4] == ["to do", "6", "-", "-"]
    # Two epochs of 20 examples in batches of 8.
    assert rows["phase 3: mnli"][:4] == ["to do", "5", "20", "40"]
    assert rows["phase 3: encoder"][:2] == ["not trained", "0"]


def test_mixture_is_the_one_that_training_draws(reported: DryRuns) -> None:
    rows = reported.rows()
    drawn = {code: int(rows[f"mnli {code}"][1]) for code in SENTENCES}
    reported.train(phase="intermediate")
    (path,) = reported.workspace.checkpoints.glob("try/intermediate/phase.json")
    assert json.loads(path.read_text(encoding="utf-8"))["drawn"] == {"mnli": drawn}
    assert sum(drawn.values()) == 24


def test_tokens_are_counted_with_the_tokenizer_that_training_makes(reported: DryRuns) -> None:
    tokens = int(reported.rows()["phase 3: mnli"][4].replace(",", ""))
    reported.train(phase="pretrained")
    assert int(reported.rows()["phase 3: mnli"][4].replace(",", "")) == tokens


def test_time_follows_the_tokens(reported: DryRuns) -> None:
    rows = reported.rows()
    tokens = int(rows["phase 2"][4].replace(",", ""))
    assert rows["phase 2"][5:] == [duration(tokens * 0.5), "3 steps"]


def test_what_is_done_costs_nothing(reported: DryRuns) -> None:
    reported.train()
    rows = reported.rows()
    assert rows["phase 1: mlm"][:2] == ["done", "8"]
    assert rows["phase 2"][:2] == ["done", "6"]
    assert rows["mnli en"][0] == "20"
    assert rows["phase 3: mnli"][:2] == ["done", "5"]
    assert rows["left to do"] == ["0", "0", "0 s"]


def test_other_inputs_are_not_taken_for_done(reported: DryRuns) -> None:
    reported.train()
    rows = reported.rows(RECIPE.replace("epochs = 2", "epochs = 4"))
    assert (rows["phase 2"][0], rows["phase 3: mnli"][:2]) == ("done", ["to do", "10"])
    assert reported.rows(RECIPE.replace("steps = 8", "steps = 9"))["phase 3: mnli"][0] == "to do"


def test_stopped_training_has_only_its_rest_left(reported: DryRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = int(reported.rows()["phase 1: mlm"][4].replace(",", ""))

    def fail(*_: Any) -> Any:
        message = "power cut"
        raise RuntimeError(message)

    monkeypatch.setattr("training.experiment.write_checkpoint", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        reported.train(phase="pretrained", max_steps=None)
    states = next((reported.workspace.checkpoints / ".states").iterdir())
    (states / "checkpoint-8").rename(states / "checkpoint-6")
    rows = reported.rows()
    assert rows["phase 1: mlm"][0] == "from step 6"
    assert int(rows["phase 1: mlm"][4].replace(",", "")) == round(whole / 4)
    assert reported.rows(resume=False)["phase 1: mlm"][0] == "to do"


def test_dry_run_writes_nothing(reported: DryRuns) -> None:
    reported.dry()
    assert not reported.workspace.root.exists()
    reported.train(phase="intermediate")
    before = reported.written()
    reported.dry()
    assert reported.written() == before


def test_shared_phase_1_is_counted_once(reported: DryRuns) -> None:
    lines = reported.dry(RECIPE, RECIPE.replace('name = "try"', 'name = "other"'))
    starts = [split(line.strip()) for line in lines if line.strip().startswith("phase 1")]
    assert [cells[1] for cells in starts] == ["to do", "the one of try"]
    assert starts[1][5:] == ["0", "0 s", "-"]


def test_phase_to_stop_after_is_the_last_that_is_reported(reported: DryRuns) -> None:
    assert list(reported.rows(phase="intermediate")) == ["phase 1: mlm", "phase 2", "mnli en", "mnli ru", "left to do"]
    with pytest.raises(UsageError, match="did you mean 'target'"):
        reported.dry(phase="targt")


def test_several_seeds_are_shown_one_after_another(reported: DryRuns) -> None:
    lines = [line.strip() for line in reported.dry(seeds=[1, 2])]
    titles = [line for line in lines if line.startswith("try.seed")]
    assert [title.partition(":")[0] for title in titles] == ["try.seed1", "try.seed2"]
    # Phase 1 is another one for each seed.
    assert sum(line.startswith("phase 1: mlm  ") and "to do" in line for line in lines) == 2


def test_checkpoint_of_bf16_is_made_again_where_fp32_is_wanted(reported: DryRuns) -> None:
    reported.train(recipe=f"{RECIPE}bf16 = true\n")
    assert reported.rows(fp32=False)["phase 2"][0] == "done"
    assert reported.rows(fp32=True)["phase 1: mlm"][0] == "to do"
    reported.train(fp32=True)
    assert reported.rows(fp32=True)["phase 2"][0] == "done"
    # What was computed in fp32 is good enough for every machine.
    assert reported.rows(fp32=False)["phase 3: mnli"][0] == "done"
    document = json.loads((reported.workspace.checkpoints / "try/target/mnli/phase.json").read_text("utf-8"))
    assert (document["computed"]["precision"], document["computed"]["unpadded"]) == ("fp32", True)


def test_max_steps_cuts_every_phase(reported: DryRuns) -> None:
    rows = reported.rows(max_steps=2)
    assert [rows[name][1] for name in ("phase 1: mlm", "phase 2", "phase 3: mnli")] == ["2", "2", "2"]


def test_missing_file_is_named_as_a_training_names_it(reported: DryRuns, data: Path) -> None:
    (data / "intermediate/mnli/ru/train.jsonl").unlink()
    messages = []
    for run in (reported.dry, reported.train):
        with pytest.raises(DataError, match=r"mnli/ru/train\.jsonl") as caught:
            run()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "take them out of the recipe" in messages[0]


def test_damaged_checkpoint_is_refused_as_a_training_refuses_it(reported: DryRuns) -> None:
    reported.train(phase="pretrained")
    (weights,) = reported.workspace.checkpoints.glob("pretrained-*/model.safetensors")
    weights.write_bytes(b"")
    with pytest.raises(CheckpointError, match="not the file that training wrote"):
        reported.dry()


def test_text_of_phase_2_is_reported(reported: DryRuns) -> None:
    text = '[intermediate.text]\nrate = 0.5\ntexts = ["mono"]\nbatch_tokens = 64\n\n[target]'
    rows = reported.rows(RECIPE.replace("[target]", text))
    (name,) = (name for name in rows if name.startswith("text"))
    # Steps of text and of the task add up.
    of_text = int(name.removeprefix("text, mlm: ").removesuffix(" steps"))
    assert of_text + sum(int(rows[f"mnli {code}"][1]) for code in SENTENCES) / 4 == 6


def test_speed_comes_from_a_measurement_on_this_machine(tmp_path: Path, data: Path) -> None:
    real = DryRuns(tmp_path, data)
    lines = real.dry()
    rows = real.table(lines)
    assert rows["phase 1: mlm"][6].partition(" ")[2].startswith("step")
    assert rows["phase 2"][6].partition(" ")[2].startswith("step")
    assert [line for line in lines if "an estimate from " in line and " optimiser steps" in line]
    assert not real.workspace.root.exists()


@pytest.mark.parametrize(("load", "lines_of_load"), [(0.1, 0), (999.0, 1)])
def test_busy_machine_is_reported(
    reported: DryRuns, monkeypatch: pytest.MonkeyPatch, load: float, lines_of_load: int
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    assert sum("busy with other work" in line for line in reported.dry()) == lines_of_load


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (121, "2 min"), (7100, "118 min"), (9000, "2.5 h")]
)
def test_time_is_told_in_units_people_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text
