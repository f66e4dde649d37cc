"""Which examples each optimiser step sees: a pure function of the seed and the step.

So a resumed run sees exactly what an uninterrupted one would have seen, and the mixture that was
drawn can be written down beforehand.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from harness.features import Feature
from harness.heads import Head
from training.collate import Batch, collate


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The featurized examples of one task in one language."""

    task: str
    language: str
    head: Head
    #: The rows of each example.
    examples: Sequence[Sequence[Feature]]


def by_example(features: Sequence[Feature]) -> list[list[Feature]]:
    """Return the rows grouped by their example, in order."""
    groups: dict[int, list[Feature]] = {}
    for feature in features:
        groups.setdefault(feature.example, []).append(feature)
    return list(groups.values())


def _rows(examples: Sequence[Sequence[Feature]], chosen: Sequence[int]) -> list[Feature]:
    # Examples of one batch need distinct numbers: sets of several languages count from 0 each.
    return [
        Feature(number, feature.input_ids, feature.target, feature.alignment)
        for number, index in enumerate(chosen)
        for feature in examples[index]
    ]


class EpochBatches(Dataset[Batch]):
    """Batches of one training set, every example once an epoch in a new order."""

    def __init__(self, training_set: TrainingSet, *, rows: int, steps: int, seed: int, pad_id: int) -> None:
        self._set = training_set
        self._rows = rows
        self._steps = steps
        self._seed = seed
        self._pad_id = pad_id

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        size = len(self._set.examples)
        places = np.arange(step * self._rows, (step + 1) * self._rows)
        orders = {epoch: np.random.default_rng([self._seed, epoch]).permutation(size) for epoch in set(places // size)}
        chosen = [int(orders[place // size][place % size]) for place in places]
        return collate(self._set.head, _rows(self._set.examples, chosen), self._pad_id)


@dataclass(slots=True)
class MixedBatches(Dataset[dict[str, Any]]):
    """Batches of several tasks and languages: each step draws one task, then its rows' languages."""

    sets: Sequence[TrainingSet]
    #: Task -> weight; the sum does not matter.
    weights: Mapping[str, float]
    rows: int
    steps: int
    seed: int
    pad_id: int
    _by_task: dict[str, list[TrainingSet]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_task = {task: [item for item in self.sets if item.task == task] for task in self.weights}

    def __len__(self) -> int:
        return self.steps

    def draw(self, step: int) -> tuple[str, list[tuple[int, int]]]:
        """Return the task of a step, and (language set, example) of each of its rows."""
        generator = np.random.default_rng([self.seed, step])
        names = list(self.weights)
        shares = np.asarray([self.weights[name] for name in names], dtype=np.float64)
        task = names[int(generator.choice(len(names), p=shares / shares.sum()))]
        sets = self._by_task[task]
        languages = generator.integers(len(sets), size=self.rows)
        return task, [(int(number), int(generator.integers(len(sets[number].examples)))) for number in languages]

    def __getitem__(self, step: int) -> dict[str, Any]:
        task, chosen = self.draw(step)
        sets = self._by_task[task]
        examples = [sets[number].examples[index] for number, index in chosen]
        batch = collate(sets[0].head, _rows(examples, range(len(examples))), self.pad_id)
        return {"task": task, **batch}

    def drawn(self) -> dict[str, dict[str, int]]:
        """Return how many examples of each task and language the steps draw."""
        counts: dict[str, Counter[str]] = {}
        for step in range(self.steps):
            task, chosen = self.draw(step)
            languages = (self._by_task[task][number].language for number, _ in chosen)
            counts.setdefault(task, Counter()).update(languages)
        return {task: dict(sorted(count.items())) for task, count in sorted(counts.items())}
