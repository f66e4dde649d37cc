"""Arg-max decisions: the label of a row, and the choice among an example's rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.core.features import Feature
from harness.core.task import Outputs


@dataclass(frozen=True, slots=True)
class BestLabel:
    """The label with the highest logit; equal logits go to the earlier label, as numpy's argmax does."""

    labels: tuple[str, ...]

    def __call__(
        self, examples: Sequence[Any], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[str]:
        """See `harness.core.task.Postprocessor`."""
        return [self.labels[int(np.argmax(output["logits"]))] for output in outputs]


@dataclass(frozen=True, slots=True)
class BestChoice:
    """The index of the choice whose row scores highest; equal scores go to the earlier choice."""

    def __call__(
        self, examples: Sequence[Any], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[int]:
        """See `harness.core.task.Postprocessor`."""
        scores: list[list[float]] = [[] for _ in examples]
        for feature, output in zip(features, outputs, strict=True):
            scores[feature.example].append(float(output["logits"][0]))
        return [int(np.argmax(row)) for row in scores]


@dataclass(frozen=True, slots=True)
class TiedChoices:
    """The indices of all choices that score highest: rows that truncation made identical score alike."""

    def __call__(
        self, examples: Sequence[Any], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[tuple[int, ...]]:
        """See `harness.core.task.Postprocessor`."""
        scores: list[list[float]] = [[] for _ in examples]
        for feature, output in zip(features, outputs, strict=True):
            scores[feature.example].append(float(output["logits"][0]))
        return [tuple(index for index, score in enumerate(row) if score == max(row)) for row in scores]
