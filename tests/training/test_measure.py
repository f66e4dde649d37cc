"""A measurement looks at few batches, and leaves nothing."""

import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.core.progress import Silent
from training import measure as module
from training.experiment import Folders
from training.measure import Speed, measure, spread, useful_tokens
from training.recipe import Compute
from training.trainer import Schedule, fit


class Net(nn.Module):
    """Remembers how many rows each step had."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Embedding(9, 2)
        self.rows: list[int] = []

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        self.rows.append(len(input_ids))
        return {"loss": nn.functional.cross_entropy(self.layer(input_ids).mean(1), labels)}


class Batches:
    """A thousand batches of sixteen rows; those that were asked for are noted."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        self.asked.append(step)
        ids = torch.full((16, 4), 3)
        mask = torch.ones_like(ids)
        mask[:, 3] = 0
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.arange(16) % 2}


def schedule(**compute: int) -> Schedule:
    return Schedule(steps=1000, learning_rate=0.1, seed=1, compute=Compute(report_to=(), **compute))


def test_few_batches_spread_over_the_training_are_timed() -> None:
    batches = Batches()
    speed = measure(Net(), batches, schedule(), seconds=1000.0)
    assert batches.asked == [0, 125, 250, 375, 500, 625, 750, 875]
    assert (speed.steps, speed.parts) == (8, 1)
    assert speed.seconds_per_step + speed.seconds_per_token > 0


def test_it_begins_with_one_row_and_takes_more() -> None:
    model = Net()
    measure(model, Batches(), schedule(), seconds=1000.0)
    # Each time one step to warm up; four of few rows, and eight whole ones.
    assert model.rows == [*[1] * 5, *[8] * 5, *[16] * 9]


def test_without_time_several_steps_of_two_sizes_are_timed() -> None:
    model = Net()
    speed = measure(model, Batches(), schedule(), seconds=0.0)
    assert (model.rows, speed.steps, speed.parts) == ([*[1] * 5, *[8] * 5], 4, 2)


def test_parts_of_a_step_keep_a_row_each() -> None:
    model = Net()
    speed = measure(model, Batches(), schedule(accumulation=4), seconds=0.0)
    assert (speed.parts, model.rows) == (1, [*[1] * 4 * 5, *[4] * 4 * 5])


class Clock:
    """Time that passes only where something costs: a busy machine changes nothing."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        # A little each time it is asked, as a real clock.
        self.now += 1e-6
        return self.now


CLOCK = Clock()


class Costly(nn.Module):
    """Takes ten milliseconds for each row, beside what a step takes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        CLOCK.now += 0.01 * len(input_ids)
        return {"loss": self.layer(torch.ones(1, 1)).sum()}


def test_estimate_is_near_the_training_although_no_whole_step_was_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", CLOCK)
    speed = measure(Costly(), Batches(), schedule(), seconds=0.0)
    assert speed.parts > 1
    whole = Schedule(steps=12, learning_rate=0.1, seed=1, compute=Compute(report_to=()))
    begin = CLOCK.perf_counter()
    fit(Costly(), Batches(), whole, Folders(tmp_path / "a", tmp_path / "b"), "test", Silent())
    took = CLOCK.perf_counter() - begin
    assert speed.seconds(12, 12 * 48) == pytest.approx(took, rel=0.25)


def test_line_through_two_sizes_says_what_every_step_costs() -> None:
    small, large = module._Timed(3.0, 100.0, 1, 3.0), module._Timed(5.0, 300.0, 1, 5.0)
    speed = module._speed(small, large, 4)
    assert (speed.seconds_per_step, speed.seconds_per_token) == (pytest.approx(2.0), pytest.approx(0.01))
    assert speed.seconds(10, 12_000) == pytest.approx(140.0)


def test_whole_steps_need_no_line() -> None:
    speed = module._speed(None, module._Timed(5.0, 500.0, 8, 5.0), 1)
    assert speed == Speed(0.0, 0.01, 8, 1)


def test_larger_step_that_was_faster_gives_no_negative_cost() -> None:
    speed = module._speed(module._Timed(6.0, 100.0, 1, 6.0), module._Timed(5.0, 500.0, 1, 5.0), 4)
    assert speed == Speed(0.0, 0.01, 1, 4)


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    measure(Net(), Batches(), schedule(save_every=1), seconds=0.0)
    assert list(tmp_path.iterdir()) == []


def test_padding_is_no_useful_token() -> None:
    batch = Batches()[0]
    assert useful_tokens(batch) == 48
    assert useful_tokens({**batch, "candidate_mask": torch.ones(2, 5)}) == 58


@pytest.mark.parametrize(("size", "count", "expected"), [(3, 8, [0, 1, 2]), (10, 2, [0, 5]), (1, 1, [0])])
def test_places_are_spread_evenly(size: int, count: int, expected: list[int]) -> None:
    assert spread(size, count) == expected
