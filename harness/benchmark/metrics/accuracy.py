"""Accuracy: 100 * correct / total (google-research/xtreme@838c13b evaluate.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.core.examples import WordsExample


class _Labelled(Protocol):
    @property
    def label(self) -> str | int: ...


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of examples whose prediction equals the label."""

    columns: tuple[str, ...] = ("correct", "total")

    def counts(self, examples: Sequence[_Labelled], predictions: Sequence[Any], language: str) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        correct = [example.label == prediction for example, prediction in zip(examples, predictions, strict=True)]
        return np.stack([np.asarray(correct, dtype=np.float64), np.ones(len(correct))], axis=1)

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return {"accuracy": 100 * float(totals[0] / totals[1])}


@dataclass(frozen=True, slots=True)
class TiedAccuracy:
    """Accuracy where a tie is worth chance: the second number beside `Accuracy` for choices.

    A prediction is the choices that score best together, from `harness.benchmark.postprocessors.label.TiedChoices`.
    """

    columns: tuple[str, ...] = ("correct", "total")

    def counts(
        self, examples: Sequence[_Labelled], predictions: Sequence[Sequence[int]], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        correct = [(example.label in best) / len(best) for example, best in zip(examples, predictions, strict=True)]
        return np.stack([np.asarray(correct, dtype=np.float64), np.ones(len(correct))], axis=1)

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return {"tied_accuracy": 100 * float(totals[0] / totals[1])}


@dataclass(frozen=True, slots=True)
class TokenAccuracy:
    """The share of words whose tag is right, over all sentences (CCG supertagging)."""

    columns: tuple[str, ...] = ("correct", "total")

    def counts(
        self, examples: Sequence[WordsExample], predictions: Sequence[Sequence[str]], language: str
    ) -> NDArray[np.float64]:
        """See `harness.core.task.Metric`."""
        right = [
            sum(tag == own for tag, own in zip(tags, example.tags, strict=True))
            for example, tags in zip(examples, predictions, strict=True)
        ]
        return np.stack([np.asarray(right, dtype=np.float64), [len(example.tags) for example in examples]], axis=1)

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """See `harness.core.task.Metric`."""
        return {"accuracy": 100 * float(totals[0] / totals[1])}
