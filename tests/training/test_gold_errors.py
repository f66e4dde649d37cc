"""`harness train --allow-gold-errors`: gold that contradicts its text is never a label, and is named."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes
from harness.core.errors import DataError
from harness.core.layout import Layout
from training import run
from training.experiment import Training, metadata_of


class Said:
    """Keeps the lines of status."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """SQuAD with a right start and one in bytes."""
    asked = [
        {"id": name, "question": "q", "answers": [{"text": "key", "answer_start": start}]}
        for name, start in (("right", 4), ("wrong", 7))
    ]
    path = tmp_path / "data/intermediate/squad/en/train-v1.1.json"
    path.parent.mkdir(parents=True)
    (tmp_path / "data/xtreme").mkdir()
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "кит key", "qas": asked}]}]}))
    return Layout.at(tmp_path / "data")


def train(layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **options: Any) -> tuple[Any, list[str]]:
    """Read SQuAD where a training would; return what the checkpoint would record, and the lines of status."""
    said = Said()
    training = Training(SimpleNamespace(name="try"), Workspace(tmp_path), layout, said)  # type: ignore[arg-type]
    monkeypatch.setattr(run, "_training", lambda *_: training)

    def phases(given: Training, *_: Any) -> Any:
        read = finetunes.load("squad").train.read(given.layout, "en", "train")
        return SimpleNamespace(ids=[row.id for row in read], gold_errors=given.layout.gold_errors)

    monkeypatch.setattr(run, "train", phases)
    trained = run.train_recipe(
        SimpleNamespace(name="try"),  # type: ignore[arg-type]
        training.workspace,
        data=None,
        targets=(),
        seed=None,
        max_steps=None,
        phase="target",
        resume=True,
        allow_leak=None,
        progress=said,  # type: ignore[arg-type]
        **options,
    )
    return trained.checkpoints, said.lines


def test_gold_in_bytes_is_refused_in_training(layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"question 'wrong' .* counts bytes; count characters: 4; .*allow-gold-errors"):
        train(layout, monkeypatch, tmp_path)


def test_gold_in_bytes_that_is_allowed_is_not_trained_on_and_is_named(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, lines = train(layout, monkeypatch, tmp_path, allow_gold_errors=True)
    assert found.ids == ["right"]
    assert len(found.gold_errors) == 1
    (line,) = lines
    assert line.startswith("gold error, never trained on: ")
    assert "train-v1.1.json: question 'wrong' has answer 'key' at answer_start 7" in line


def test_checkpoint_records_how_many_gold_errors_were_allowed(layout: Layout, tmp_path: Path) -> None:
    start = SimpleNamespace(retrieval_layer=3, encoder=None)
    recipe = SimpleNamespace(name="try", seed=0, resolved=dict, pretrained=start)
    for allowed, recorded in ((False, None), (True, 1)):
        chosen = layout.allowing(allowed)
        if allowed:
            finetunes.load("squad").train.read(chosen, "en", "train")
        training = Training(recipe, Workspace(tmp_path), chosen, Said())  # type: ignore[arg-type]
        assert metadata_of(training, "target", "key", {})["gold_errors"] == recorded
