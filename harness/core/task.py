"""What a task is: a frozen record of where its data lies, what graph answers it and how it is scored."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import UsageError, nearest
from harness.core.examples import SentenceExample
from harness.core.features import Feature, Featurizer
from harness.core.heads import Head
from harness.core.layout import Layout, Split
from harness.core.origins import Hub

ExampleT = TypeVar("ExampleT")
ExampleT_contra = TypeVar("ExampleT_contra", contravariant=True)
PredictionT = TypeVar("PredictionT")
PredictionT_co = TypeVar("PredictionT_co", covariant=True)
PredictionT_contra = TypeVar("PredictionT_contra", contravariant=True)

SuiteName = Literal["xtreme", "xtreme-r"]
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


@dataclass(slots=True)
class Tally:
    """Predictions that the official scorer would count as wrong, or ignore, without a word."""

    missing: int = 0
    extra: int = 0


class Submission(Protocol[ExampleT, PredictionT]):
    """The official file format of a task's predictions, one file for each language."""

    @property
    def suffix(self) -> str:
        """The files' suffix without the dot."""
        ...

    def render(self, examples: Sequence[ExampleT], predictions: Sequence[PredictionT]) -> str:
        """Return the content of a prediction file; examples that are not scored are left out."""
        ...

    def labels_of(self, examples: Sequence[ExampleT]) -> str:
        """Return the content of the label file of these examples, as `read` takes it."""
        ...

    def read(self, labels: Path, predictions: Path, tally: Tally | None) -> tuple[list[ExampleT], list[PredictionT]]:
        """Return the labelled examples and their predictions, aligned, ready for `Metric.counts`.

        Args:
            labels: the label file of one language.
            predictions: the prediction file of the same language.
            tally: None refuses missing and extra predictions; otherwise they are treated as the
                official scorer does and counted here.

        Raises:
            DataError: a file is missing or malformed (file and line are named), or does not fit.
        """
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


#: What a training set teaches. A (task, language) cell counts as seen where any training set of the
#: same family was in that language, whatever its name: Russian TERRa makes Russian XNLI seen.
Family = Literal[
    "inference", "paraphrase", "choice", "tagging", "supertagging", "entities", "reading", "alignment", "linking"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetune(Generic[ExampleT]):
    """One training set with the graph it trains: several tasks may share it."""

    #: Names the training set: checkpoint, artifact and served model carry it.
    name: str
    family: Family
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
    #: The scores whose mean on the dev set chooses the best step.
    headline: tuple[str, ...] = ("accuracy",)
    #: The finetune whose encoder this one starts from, where it is not the intermediate one. Where
    #: both have the same head it is trained on (SIQA, then COPA); that is one phase, not a carried head.
    body: str | None = None
    #: Gives the finetune its labels, where only the data folder knows them (CCG's categories).
    bind: "Callable[[Layout], AnyFinetune] | None" = None
    #: Left out of phase 3 unless a recipe or `--target` names it, or another one starts from it.
    optional: bool = False
    #: How its files are made from the hub's rows or the official download's.
    hub: Hub | None = None


class PoolSource(Protocol):
    """Where the candidates come from that all languages of a task share."""

    def paths(self, layout: Layout, split: Split) -> tuple[Path, ...]:
        """Return the files that `read` would open."""
        ...

    def read(self, layout: Layout, split: Split) -> Iterator[SentenceExample]:
        """Yield the candidates in their order, one by one: there may be a million.

        Raises:
            DataError: a file is missing or malformed.
        """
        ...


class PoolSearch(Protocol):
    """Finds the candidates of each query."""

    def among(
        self, queries: NDArray[np.float32], blocks: Iterable[tuple[Sequence[str], NDArray[np.float32]]]
    ) -> list[tuple[str, ...]]:
        """Return the ids of the nearest candidates of each query, best first.

        Args:
            queries: vectors (queries, hidden).
            blocks: candidates, block by block: their ids and vectors (candidates, hidden).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Candidates that all languages of a task share, and how they are searched."""

    source: PoolSource
    search: PoolSearch
    #: Candidates of the official set; another number makes a score partial.
    official: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[ExampleT, PredictionT]):
    """One dataset of the benchmark with its protocol."""

    name: str
    #: Languages of each suite in official order; a suite that lacks the task is not a key. The task of another
    #: package belongs to no suite, and has its languages under any other key.
    languages: Mapping[str, tuple[str, ...]]
    #: Dual encoders train on matches and answer sentences, so its examples may be of another type.
    finetune: Finetune[Any]
    source: Source[ExampleT]
    postprocess: Postprocessor[ExampleT, PredictionT]
    metric: Metric[ExampleT, PredictionT]
    #: The scores whose mean is the task's number, as in the official scorer.
    headline: tuple[str, ...]
    #: Official examples per language: a number for all, or by language. What differs is incomplete.
    official: int | Mapping[str, int]
    #: The metric's column whose sum `official` gives, where that is not the number of examples.
    counted: str = ""
    paper: str
    #: The official file format of predictions.
    submission: Submission[ExampleT, PredictionT]
    #: Choices that a number depends on, printed beside it: direction, pooling, scorer variant.
    protocol: str = ""
    #: Where official scripts and papers disagree: name of a choice -> the fields it changes.
    alternatives: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Candidates beyond the examples themselves, shared by all languages.
    pool: Pool | None = None
    #: What the test data are translations of, as (source, language, split): training on it leaks too.
    originals: tuple[tuple[Source[Any], str, Split], ...] = ()
    #: What a reader must know before comparing the number.
    caution: str = ""
    #: Other names of the task in papers and on the hub, in small letters; a wrong name is answered with them.
    aliases: tuple[str, ...] = ()
    #: How its files are made from the hub's rows or the official download's.
    hub: Hub | None = None
    #: Whether examples of one id in several languages are translations of one item, and so no independent evidence.
    parallel: bool = False

    def choose(self, alternative: str) -> Self:
        """Return the task with one of its alternatives.

        Raises:
            UsageError: the task has no such alternative.
        """
        if alternative not in self.alternatives:
            known = ", ".join(self.alternatives) or "none"
            message = (
                f"task {self.name!r} has no protocol {alternative!r}{nearest(alternative, self.alternatives)}; "
                f"beside its default it has: {known}"
            )
            raise UsageError(message)
        return replace(self, **self.alternatives[alternative])

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

    def size(self, examples: int, totals: NDArray[np.float64]) -> int:
        """Return what is compared with the official count: the examples, or a sum of the metric's."""
        return int(totals[self.metric.columns.index(self.counted)]) if self.counted else examples


AnyTask: TypeAlias = Task[Any, Any]
AnyFinetune: TypeAlias = Finetune[Any]
