"""Parts of a batch."""

import pytest
import torch

from harness.core.errors import RecipeError
from training.shares import Shares, share


def batch(rows: int) -> dict[str, object]:
    return {"task": "a", "input_ids": torch.arange(rows)[:, None], "labels": torch.arange(rows)}


def test_parts_are_the_batch_each_row_once() -> None:
    parts = [share(batch(7), part, 3)["labels"].tolist() for part in range(3)]
    assert sorted(row for part in parts for row in part) == list(range(7))


def test_what_has_no_rows_stays() -> None:
    assert share(batch(4), 1, 2)["task"] == "a"


def test_one_part_is_the_batch_itself() -> None:
    whole = batch(4)
    assert share(whole, 0, 1) is whole


def test_translations_stay_together() -> None:
    whole = {"input_ids": torch.arange(8)[:, None], "aligned": torch.tensor(4)}
    part = share(whole, 1, 2)
    assert (part["input_ids"][:, 0].tolist(), int(part["aligned"])) == ([1, 3, 5, 7], 2)


def test_batch_with_fewer_rows_than_parts_is_refused() -> None:
    with pytest.raises(RecipeError, match="a batch of 2 rows cannot be split into 3 parts"):
        share(batch(2), 2, 3)


def test_processes_and_accumulated_parts_cover_every_step() -> None:
    batches = [batch(8), batch(8)]
    seen = [
        (place // 2, row)
        for rank in range(2)
        for place, part in enumerate(Shares(batches, parts=2, rank=rank, world=2)[place] for place in range(4))
        for row in part["labels"].tolist()
    ]
    assert sorted(seen) == [(step, row) for step in range(2) for row in range(8)]


def test_batch_is_made_once_for_its_parts() -> None:
    made = []

    class Batches(list):
        def __getitem__(self, step: int) -> dict[str, object]:
            made.append(step)
            return batch(4)

    shares = Shares(Batches([0, 0]), parts=2, rank=0, world=1)
    for place in range(4):
        shares[place]
    assert made == [0, 1]
