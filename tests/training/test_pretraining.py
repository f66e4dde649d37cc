"""A public checkpoint that is wrong ends `harness train` and its dry run with one sentence, and nothing is written."""

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_encoders import ROWS, change_config, change_weights, tiny_encoder, tiny_tokenizer

from benchmarks.families import CASES, fine_tuned
from exporters.modules import load_module
from harness import cli
from harness.core.errors import CheckpointError
from training.checkpoint import Checkpoint, read_checkpoint

RECIPE = """
name = "try"
description = "for tests"

[pretrained]
checkpoint = "{checkpoint}"

[intermediate]
steps = 2
batch_rows = 4
tasks = [{{ name = "mnli" }}]

[target]
finetunes = ["mnli"]

[target.overrides]
mnli = {{ epochs = 1, batch_rows = 4 }}

[compute]
report_to = []
"""


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path / "encoder", "xlm-roberta")


@pytest.fixture
def call(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run `harness train` on an encoder; return its exit code and what it says. The data cannot be read."""
    handler = signal.getsignal(signal.SIGINT)
    recipe, home = tmp_path / "try.toml", tmp_path / "home"
    recipe.write_text(RECIPE.format(checkpoint=encoder), encoding="utf-8")
    for split in ("train", "dev"):
        path = tmp_path / f"data/intermediate/mnli/en/{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("these are not JSON\n", encoding="ascii")
    (tmp_path / "data/xtreme").mkdir()
    (home / "runs").mkdir(parents=True)
    monkeypatch.setenv("HARNESS_HOME", str(home))

    def run(*more: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["harness", "train", str(recipe), "--data", str(tmp_path / "data"), *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    yield run
    signal.signal(signal.SIGINT, handler)


def of_another_family(encoder: Path) -> None:
    change_config(encoder, model_type="distilbert")


def without_a_layer(encoder: Path) -> None:
    change_weights(encoder, lambda tensors: {name: value for name, value in tensors.items() if ".layer.1." not in name})


def with_nan(encoder: Path) -> None:
    change_weights(encoder, lambda tensors: {name: value * float("nan") for name, value in tensors.items()})


def with_a_larger_tokenizer(encoder: Path) -> None:
    tiny_tokenizer(encoder / "tokenizer.json", "xlm-roberta", rows=ROWS + 10)


def with_shifted_ids(encoder: Path) -> None:
    tiny_tokenizer(encoder / "tokenizer.json", "xlm-roberta", shift=1)


WRONG = [
    (of_another_family, "is of model_type 'distilbert'"),
    (without_a_layer, "it lacks 16 of 53 tensors (roberta.encoder.layer.1."),
    (with_nan, "has NaN or infinity in 53 of 53 tensors"),
    (with_a_larger_tokenizer, "it has 410 subwords with ids up to 409, the embedding has 400 rows"),
    (with_shifted_ids, "it has 400 subwords with ids up to 400, the embedding has 400 rows"),
]


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["train", "dry run"])
@pytest.mark.parametrize(("spoil", "said"), WRONG, ids=[spoil.__name__ for spoil, _ in WRONG])
def test_wrong_encoder_is_refused_before_any_data_is_read(
    tmp_path: Path,
    encoder: Path,
    call: Callable[..., tuple[int, str]],
    spoil: Callable[[Path], None],
    said: str,
    more: list[str],
) -> None:
    spoil(encoder)
    code, error = call(*more)
    assert code == 2
    assert said in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "home").rglob("*.json"))


def test_right_encoder_comes_as_far_as_the_data(encoder: Path, call: Callable[..., tuple[int, str]]) -> None:
    code, error = call()
    assert code == 2
    assert "train.jsonl" in error


def test_checkpoint_of_phase_1_is_checked_again_when_it_is_used(
    tmp_path: Path, encoder: Path, call: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where an older version wrote it, which compared nothing."""
    monkeypatch.setattr("training.pretraining.check_public", lambda *_: None)
    monkeypatch.setattr("training.experiment.Training.check_leaks", lambda _: None)
    monkeypatch.setattr("training.phases._overlaps", lambda *_: [])
    without_a_layer(encoder)
    call("--phase", "pretrained")
    assert list((tmp_path / "home/checkpoints").glob("pretrained-*/phase.json"))
    monkeypatch.undo()
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    code, error = call()
    assert code == 2
    assert "it lacks 16 of 53 tensors" in error


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["train", "dry run"])
def test_precision_that_the_family_cannot_train_in_is_refused(
    tmp_path: Path, encoder: Path, call: Callable[..., tuple[int, str]], more: list[str]
) -> None:
    shutil.rmtree(encoder)
    tiny_encoder(encoder, "deberta-v2")
    recipe = tmp_path / "try.toml"
    recipe.write_text(recipe.read_text(encoding="utf-8") + "bf16 = true\n", encoding="utf-8")
    code, error = call(*more)
    assert code == 2
    assert "recipe 'try' trains deberta-v2 in bf16: attention scores of DeBERTa exceed" in error
    assert "set bf16 = false in [compute]" in error
    assert not list((tmp_path / "home").rglob("*.json"))


def test_checkpoint_that_an_older_version_trained_from_a_wrong_encoder_is_refused_at_export(
    tmp_path: Path, encoder: Path
) -> None:
    """It is whole itself: what it was trained from is loaded again."""
    head = CASES["label"].head
    checkpoint = fine_tuned(tmp_path / "checkpoint", encoder, head)
    document = dict(read_checkpoint(checkpoint).document)
    document["recipe"] = {"name": "try", "pretrained": {"checkpoint": str(encoder), "revision": None}}
    old = Checkpoint.of(checkpoint, document)
    load_module(old, head)
    without_a_layer(encoder)
    with pytest.raises(CheckpointError, match=r"was trained before tensors were compared, .*it lacks 16 of 53 tensors"):
        load_module(old, head)
    load_module(Checkpoint.of(checkpoint, {**document, "loading": 1}), head)
