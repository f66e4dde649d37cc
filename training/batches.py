"""Which examples each optimiser step sees: a pure function of the seed and the step.

So a resumed run sees exactly what an uninterrupted one would have seen, and the mixture that was
drawn can be written down beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from harness.core.features import Feature
from harness.core.heads import Head
from training.collate import Batch, collate
from training.modules import TEXT
from training.sampling import Sampler


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The featurized examples of one task in one language."""

    task: str
    language: str
    head: Head
    #: The rows of each example.
    examples: Sequence[Sequence[Feature]]
    #: Share of the task's examples that are drawn from this language; the sum does not matter.
    weight: float = 1.0


def by_example(features: Sequence[Feature]) -> list[list[Feature]]:
    """Return the rows grouped by their example, in order."""
    groups: dict[int, list[Feature]] = {}
    for feature in features:
        groups.setdefault(feature.example, []).append(feature)
    return list(groups.values())


def _rows(examples: Sequence[Sequence[Feature]], chosen: Sequence[int]) -> list[Feature]:
    # Examples of one batch need distinct numbers: sets of several languages count from 0 each.
    return [replace(feature, example=number) for number, index in enumerate(chosen) for feature in examples[index]]


@lru_cache(maxsize=256)
def _order(seed: int, number: int, epoch: int, size: int) -> NDArray[np.int64]:
    """Return the order of a set's examples in one epoch (size,)."""
    return np.random.default_rng([seed, number, epoch]).permutation(size)


def _take(seed: int, number: int, size: int, first: int, count: int) -> list[int]:
    """Return which examples a set gives for its positions first, first + 1, ...: each once an epoch."""
    positions = range(first, first + count)
    return [int(_order(seed, number, position // size, size)[position % size]) for position in positions]


class EpochBatches(Dataset[Batch]):
    """Batches of one training set, every example once an epoch in a new order."""

    def __init__(self, training_set: TrainingSet, *, rows: int, steps: int, seed: int, pad_id: int) -> None:
        self._set = training_set
        #: Examples of a step.
        self.rows = rows
        self._steps = steps
        self._seed = seed
        self._pad_id = pad_id

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        chosen = _take(self._seed, 0, len(self._set.examples), step * self.rows, self.rows)
        return collate(self._set.head, _rows(self._set.examples, chosen), self._pad_id)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one step trains: a task, and how many examples of each of its sets."""

    #: Index into the tasks; None where the step is one of text.
    task: int | None
    #: Index into the sets -> examples.
    counts: Mapping[int, int]


class MixedBatches(Dataset[dict[str, Any]]):
    """Batches of several tasks and languages: each step draws one task, then its rows' languages.

    The whole draw is made beforehand from the seed, a generator for each step, so that every step
    knows which positions of a set the steps before it have taken: each example comes once before any
    comes twice, and a resumed run continues exactly where it stopped.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        sampler: Sampler,
        *,
        rows: int,
        steps: int,
        seed: int,
        pad_id: int,
        text: Dataset[Batch] | None = None,
        text_rate: float = 0.0,
    ) -> None:
        """Draw.

        Args:
            sets: the tasks in their languages, with the weight of each.
            sampler: the probability of each task at each step.
            rows: examples of a step.
            steps: how many there are.
            seed: of the draw.
            pad_id: fills rows up.
            text: batches of continued masked language modelling, one for each step.
            text_rate: the probability that a step is one of text.
        """
        self._sets = sets
        self._seed = seed
        self._pad_id = pad_id
        self._text = text
        self._tasks = list(sampler.sizes)
        self._steps = [self._draw(step, sampler, rows, text_rate) for step in range(steps)]
        counts = np.zeros((steps + 1, len(sets)), dtype=np.int64)
        for step, drawn in enumerate(self._steps):
            for number, count in drawn.counts.items():
                counts[step + 1, number] = count
        #: Examples that each set gave before a step (steps + 1, sets).
        self._given = counts.cumsum(axis=0)

    def _draw(self, step: int, sampler: Sampler, rows: int, text_rate: float) -> Drawn:
        generator = np.random.default_rng([self._seed, step])
        if generator.random() < text_rate:
            return Drawn(None, {})
        task = int(generator.choice(len(self._tasks), p=sampler.probabilities(step)))
        members = [number for number, item in enumerate(self._sets) if item.task == self._tasks[task]]
        weights = np.asarray([self._sets[number].weight for number in members])
        languages = generator.choice(members, size=rows, p=weights / weights.sum())
        return Drawn(
            task,
            {int(number): int(count) for number, count in zip(*np.unique(languages, return_counts=True), strict=True)},
        )

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, step: int) -> dict[str, Any]:
        drawn = self._steps[step]
        if drawn.task is None:
            if self._text is None:
                message = f"step {step} is one of text, and there is none"
                raise ValueError(message)
            return {"task": TEXT, **self._text[step]}
        examples = [
            self._sets[number].examples[position]
            for number, count in drawn.counts.items()
            for position in _take(
                self._seed, number, len(self._sets[number].examples), int(self._given[step, number]), count
            )
        ]
        head = self._sets[next(iter(drawn.counts))].head
        return {"task": self._tasks[drawn.task], **collate(head, _rows(examples, range(len(examples))), self._pad_id)}

    def drawn(self) -> dict[str, dict[str, int]]:
        """Return how many examples of each task and language the steps draw."""
        counts: dict[str, dict[str, int]] = {}
        for item, total in zip(self._sets, self._given[-1], strict=True):
            counts.setdefault(item.task, {})[item.language] = int(total)
        return counts

    def text_steps(self) -> int:
        """Return how many steps are of text."""
        return sum(drawn.task is None for drawn in self._steps)
