"""A training that stops and goes on, and the step that it keeps."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.progress import Silent
from harness.recipe import Compute
from training.experiment import Place
from training.trainer import Fitted, Schedule, Selection, fit, last_state


class Net(nn.Module):
    """A linear layer behind dropout, so that the state of the random numbers matters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(4, 2)
        self.drop = nn.Dropout(0.5)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": nn.functional.cross_entropy(self.layer(self.drop(input_ids)), labels)}


class Batches:
    """Ten batches that follow from the step; `stops_at` ends the training as a crash would."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.stops_at = stops_at
        self.seen: list[int] = []

    def __len__(self) -> int:
        return 10

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        if step == self.stops_at:
            message = "killed"
            raise RuntimeError(message)
        self.seen.append(step)
        generator = torch.Generator().manual_seed(step)
        return {"input_ids": torch.randn(8, 4, generator=generator), "labels": torch.arange(8) % 2}


def train(
    folder: Path, batches: Batches, selection: Selection | None = None, model: Net | None = None, **compute: Any
) -> tuple[Net, Fitted]:
    model = model or Net()
    options = {"save_every": 3, "report_to": (), **compute}
    schedule = Schedule(steps=10, learning_rate=0.1, seed=5, compute=Compute(**options))
    place = Place(folder / "states", folder / "logs")
    return model, fit(model, batches, schedule, place, "test", Silent(), selection)


def weights(model: Net) -> list[float]:
    return model.layer.weight.flatten().tolist()


@pytest.mark.parametrize("stops_at", [2, 5, 9])
def test_resumed_training_ends_bit_by_bit_where_an_uninterrupted_one_does(tmp_path: Path, stops_at: int) -> None:
    whole, _ = train(tmp_path / "whole", Batches())
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "cut", Batches(stops_at))
    resumed, _ = train(tmp_path / "cut", Batches())
    assert weights(resumed) == weights(whole)


def test_resumed_training_asks_only_for_the_steps_that_are_left(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(tmp_path, Batches(8))
    batches = Batches()
    train(tmp_path, batches)
    assert batches.seen == [6, 7, 8, 9]


def test_torn_state_is_passed_over(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(tmp_path, Batches(8))
    torn = tmp_path / "states/checkpoint-7"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_st')
    assert last_state(tmp_path / "states").name == "checkpoint-6"


def test_accumulated_parts_train_as_the_whole_batch_does(tmp_path: Path) -> None:
    def trained(folder: str, parts: int) -> list[float]:
        model = Net()
        model.drop.p = 0.0
        return weights(train(tmp_path / folder, Batches(), model=model, accumulation=parts)[0])

    assert trained("parts", 4) == pytest.approx(trained("whole", 1), abs=1e-5)


def select(scores: Sequence[float], **options: Any) -> Selection:
    left = iter(scores)
    return Selection(evaluate=lambda: next(left), evaluations=5, **options)


def test_weights_of_the_best_step_are_kept(tmp_path: Path) -> None:
    kept: dict[int, list[float]] = {}
    model = Net()
    scores = iter([1.0, 3.0, 2.0, 3.0, 0.0])

    def evaluate() -> float:
        kept[len(kept)] = weights(model)
        return next(scores)

    model, fitted = train(tmp_path, Batches(), Selection(evaluate=evaluate, evaluations=5), model)
    # Evaluated after steps 2, 4, 6, 8 and 10; the first of equals wins.
    assert (fitted.step, weights(model)) == (4, kept[1])
    assert [found.step for found in fitted.evaluations] == [2, 4, 6, 8, 10]


def test_training_without_selection_keeps_the_last_step(tmp_path: Path) -> None:
    assert train(tmp_path, Batches())[1].step == 10


def test_training_stops_when_patience_is_over(tmp_path: Path) -> None:
    batches = Batches()
    _, fitted = train(tmp_path, batches, select([1.0, 0.5, 0.4, 9.0, 9.0], patience=2))
    assert (fitted.step, len(batches.seen)) == (2, 6)


def test_resumed_training_remembers_the_best_step(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(tmp_path, Batches(8), select([1.0, 5.0, 2.0, 3.0, 0.0]))
    told = json.loads((tmp_path / "states/evaluations.json").read_text())
    assert [found["step"] for found in told] == [2, 4, 6, 8]
    _, fitted = train(tmp_path, Batches(), select([2.0, 3.0, 0.0]))
    # The state is that of step 6, so steps 8 and 10 are evaluated again, and step 4 stays the best.
    assert (fitted.step, [found.score for found in fitted.evaluations]) == (4, [1.0, 5.0, 2.0, 2.0, 3.0])
