"""What a task is: a frozen record of where its data lies, what graph answers it and how it is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.data import Layout
from harness.features import Feature, Featurizer
from harness.heads import Head

ExampleT = TypeVar("ExampleT")
ExampleT_contra = TypeVar("ExampleT_contra", contravariant=True)
PredictionT = TypeVar("PredictionT")
PredictionT_co = TypeVar("PredictionT_co", covariant=True)
PredictionT_contra = TypeVar("PredictionT_contra", contravariant=True)

SuiteName = Literal["xtreme", "xtreme-r"]
Split = Literal["train", "dev", "test"]
#: One feature's share of the graph's outputs, padding cut off: output name -> array.
Outputs: TypeAlias = Mapping[str, NDArray[np.float32]]


class Source(Protocol[ExampleT]):
    """Where the examples of a dataset come from."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the dataset has."""
        ...

    def paths(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """Return the files that `read` would open."""
        ...

    def read(self, layout: Layout, language: str, split: Split) -> list[ExampleT]:
        """Return the examples of one language in file order.

        Raises:
            DataError: a file is missing, or a row is malformed (file and line are named).
        """
        ...


class Postprocessor(Protocol[ExampleT_contra, PredictionT_co]):
    """Turns what the graph answered into predictions."""

    def __call__(
        self, examples: Sequence[ExampleT_contra], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[PredictionT_co]:
        """Return one prediction for each example; `outputs` align with `features`."""
        ...


class Metric(Protocol[ExampleT_contra, PredictionT_contra]):
    """Additive statistics of each example and a closing formula over their sum.

    So pooling, bootstrap and paired tests need no code of their own.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the statistics."""
        ...

    def counts(
        self, examples: Sequence[ExampleT_contra], predictions: Sequence[PredictionT_contra], language: str
    ) -> NDArray[np.float64]:
        """Return (examples, columns): one row of statistics for each example of a language."""
        ...

    def scores(self, totals: NDArray[np.float64]) -> dict[str, float]:
        """Return the scores in percent from summed statistics (columns,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """How a graph is fine-tuned where a recipe says nothing else."""

    learning_rate: float
    epochs: float
    #: Rows of an optimiser step.
    batch_rows: int
    #: Where the values come from.
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetune(Generic[ExampleT]):
    """One training set with the graph it trains: several tasks may share it."""

    #: Names the training set: checkpoint, artifact and served model carry it.
    name: str
    head: Head
    featurizer: Featurizer[ExampleT]
    #: None: the graph is the intermediate encoder itself.
    train: Source[ExampleT] | None = None
    #: Languages for which the benchmark trains: the target phase is zero-shot from these.
    languages: tuple[str, ...] = ("en",)
    hyperparameters: Hyperparameters | None = None
    #: What the dev score during training is computed with; None if there is no training.
    postprocess: Postprocessor[ExampleT, Any] | None = None
    metric: Metric[ExampleT, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[ExampleT, PredictionT]):
    """One dataset of the benchmark with its protocol."""

    name: str
    #: Languages of each suite in official order; a suite that lacks the task is not a key.
    languages: Mapping[SuiteName, tuple[str, ...]]
    finetune: Finetune[ExampleT]
    source: Source[ExampleT]
    postprocess: Postprocessor[ExampleT, PredictionT]
    metric: Metric[ExampleT, PredictionT]
    #: The scores whose mean is the task's number, as in the official scorer.
    headline: tuple[str, ...]
    #: Official examples per language: a number for all, or by language. What differs is incomplete.
    official: int | Mapping[str, int]
    paper: str
    #: Choices that a number depends on, printed beside it: direction, layer, scorer variant.
    protocol: str = ""

    def all_languages(self, suite: SuiteName | None) -> tuple[str, ...]:
        """Return the languages of a suite, or of both without one: official order, each once."""
        if suite is not None:
            return self.languages.get(suite, ())
        merged: dict[str, None] = {}
        for languages in self.languages.values():
            merged.update(dict.fromkeys(languages))
        return tuple(merged)

    def official_count(self, language: str) -> int | None:
        """Return the examples of the official test file, or None where the figure is not known."""
        return self.official if isinstance(self.official, int) else self.official.get(language)


AnyTask: TypeAlias = Task[Any, Any]
AnyFinetune: TypeAlias = Finetune[Any]
