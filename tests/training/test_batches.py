"""Which examples each step sees."""

import numpy as np
import torch

from harness.features import Feature
from harness.heads import ChoiceScore, SequenceClassification
from training.batches import EpochBatches, MixedBatches, TrainingSet, by_example

HEAD = SequenceClassification(("no", "yes"))


def training_set(task: str, language: str, size: int) -> TrainingSet:
    features = [
        Feature(number, np.asarray([0, 10 + number, 2], dtype=np.int64), np.asarray(number % 2, dtype=np.int64))
        for number in range(size)
    ]
    return TrainingSet(task, language, HEAD, by_example(features))


def mixed(seed: int = 1, steps: int = 400) -> MixedBatches:
    sets = [training_set("a", "en", 7), training_set("a", "ru", 5), training_set("b", "en", 3)]
    return MixedBatches(sets, {"a": 3.0, "b": 1.0}, 8, steps, seed, 1)


def test_every_example_comes_once_an_epoch() -> None:
    batches = EpochBatches(training_set("a", "en", 12), rows=4, steps=6, seed=1, pad_id=1)
    first = [int(piece) for step in range(3) for piece in batches[step]["input_ids"][:, 1]]
    second = [int(piece) for step in range(3, 6) for piece in batches[step]["input_ids"][:, 1]]
    assert sorted(first) == sorted(second) == list(range(10, 22))
    assert first != second


def test_a_step_is_a_function_of_seed_and_step() -> None:
    one, other = mixed(), mixed()
    other[3]
    assert torch.equal(one[17]["input_ids"], other[17]["input_ids"])
    assert mixed(seed=2).draw(17) != one.draw(17)


def test_tasks_are_drawn_by_their_weights() -> None:
    tasks = [mixed().draw(step)[0] for step in range(400)]
    # 400 draws at 0.75: three standard deviations are 26.
    assert abs(tasks.count("a") - 300) < 26


def test_drawn_counts_are_those_of_the_batches() -> None:
    batches = mixed(steps=50)
    drawn = batches.drawn()
    assert sum(sum(counts.values()) for counts in drawn.values()) == 50 * 8
    assert set(drawn["a"]) == {"en", "ru"}
    assert abs(drawn["a"]["en"] - drawn["a"]["ru"]) < 60


def test_choices_of_an_example_stay_together() -> None:
    features = [
        Feature(number, np.asarray([0, 10 * number + choice, 2], dtype=np.int64), np.asarray(1, dtype=np.int64))
        for number in range(1, 5)
        for choice in (1, 2)
    ]
    data = TrainingSet("copa", "en", ChoiceScore(), by_example(features))
    batch = EpochBatches(data, rows=2, steps=1, seed=1, pad_id=1)[0]
    pieces = batch["input_ids"][:, :, 1]
    assert pieces.shape == (2, 2)
    assert torch.equal(pieces[:, 1] - pieces[:, 0], torch.ones(2, dtype=torch.int64))
    assert batch["labels"].tolist() == [1, 1]
