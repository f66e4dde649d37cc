"""Which examples each step sees."""

import numpy as np
import torch

from harness.core.features import Feature
from harness.core.heads import ChoiceScore, SequenceClassification
from training.batches import EpochBatches, MixedBatches, TrainingSet, by_example
from training.sampling import Sampler

HEAD = SequenceClassification(("no", "yes"))


def training_set(task: str, language: str, size: int, weight: float = 1.0) -> TrainingSet:
    features = [
        Feature(number, np.asarray([0, 10 + number, 2], dtype=np.int64), np.asarray(number % 2, dtype=np.int64))
        for number in range(size)
    ]
    return TrainingSet(task, language, HEAD, by_example(features), weight)


def mixed(seed: int = 1, steps: int = 400, ru: float = 1.0, **text: object) -> MixedBatches:
    sets = [training_set("a", "en", 7), training_set("a", "ru", 5, ru), training_set("b", "en", 3)]
    sampler = Sampler("weights", {"a": 12, "b": 3}, {"a": "3", "b": "1"})
    return MixedBatches(sets, sampler, rows=8, steps=steps, seed=seed, pad_id=1, **text)


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
    assert not torch.equal(mixed(seed=2)[17]["input_ids"], one[17]["input_ids"])


def test_tasks_are_drawn_by_their_weights() -> None:
    batches = mixed()
    tasks = [batches[step]["task"] for step in range(400)]
    # 400 draws at 0.75: three standard deviations are 26.
    assert abs(tasks.count("a") - 300) < 26


def test_drawn_counts_are_those_of_the_batches() -> None:
    batches = mixed(steps=50)
    drawn = batches.drawn()
    assert sum(sum(counts.values()) for counts in drawn.values()) == 50 * 8
    assert set(drawn["a"]) == {"en", "ru"}
    assert abs(drawn["a"]["en"] - drawn["a"]["ru"]) < 60


def test_languages_are_drawn_by_their_weights() -> None:
    drawn = mixed(ru=3.0).drawn()["a"]
    # About 2,400 draws at 0.75: four standard deviations are 85.
    assert abs(drawn["ru"] - 0.75 * (drawn["en"] + drawn["ru"])) < 85


def test_language_of_weight_zero_is_never_drawn() -> None:
    assert mixed(ru=0.0).drawn()["a"]["ru"] == 0


def test_no_example_of_a_mix_comes_twice_before_each_came_once() -> None:
    sets = [training_set("a", "en", 40)]
    batches = MixedBatches(sets, Sampler("proportional", {"a": 40}, {}), rows=8, steps=10, seed=1, pad_id=1)
    pieces = [int(piece) for step in range(10) for piece in batches[step]["input_ids"][:, 1]]
    assert sorted(pieces[:40]) == sorted(pieces[40:]) == list(range(10, 50))


def test_share_of_steps_is_of_text() -> None:
    batches = mixed(text=[{"input_ids": step} for step in range(400)], text_rate=0.25)
    steps = [step for step in range(400) if batches[step]["task"] == "text"]
    # 400 draws at 0.25: three standard deviations are 26.
    assert abs(len(steps) - 100) < 26
    assert batches.text_steps() == len(steps)
    assert batches[steps[0]] == {"task": "text", "input_ids": steps[0]}


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
