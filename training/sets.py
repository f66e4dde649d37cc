"""Training sets: which files a mix reads, what is switched in them, and how many examples each gives."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from harness.benchmark import finetunes
from harness.core.errors import DataError
from harness.core.features import Feature
from harness.core.layout import DataFile, Layout
from harness.core.task import AnyFinetune, Source
from harness.tokenization.tokenizer import FastTokenizer
from training.batches import TrainingSet, by_example
from training.experiment import Training
from training.recipe import Mixed
from training.switching import Lexicon, switched


def sources(layout: Layout, task: Mixed) -> dict[str, Source[Any]]:
    """Return where a task of the mix is read from in each of its languages.

    Raises:
        DataError: the task has no training set, or one whose files a recipe cannot name.
    """
    finetune = finetunes.bound(task.name, layout)
    if finetune.train is None:
        message = f"{task.name!r} has no training set, it cannot be an intermediate task"
        raise DataError(message)
    found = {}
    for language in task.languages:
        source = finetune.train
        if language in task.files:
            if not hasattr(source, "file"):
                message = f"{task.name!r} is read from several files; `files` cannot name another one for {language!r}"
                raise DataError(message)
            section, _, pattern = task.files[language].partition("/")
            source = replace(source, file=DataFile(section, pattern))  # type: ignore[arg-type, type-var]
        found[language] = source
    return found


def train_paths(layout: Layout, task: Mixed) -> list[Path]:
    """Return every file that a task of the mix trains on."""
    paths = [path for code, source in sources(layout, task).items() for path in source.paths(layout, code, "train")]
    return paths if task.switch is None else [*paths, lexicon_path(layout, task)]


def lexicon_path(layout: Layout, task: Mixed) -> Path:
    """Return the file of the lexicon that a task switches words with."""
    if task.switch is None:
        message = f"task {task.name!r} switches no words"
        raise ValueError(message)
    named = task.switch.lexicon or f"text/lexicons/en-{task.switch.language}.tsv"
    section, _, rest = named.partition("/")
    return DataFile(section, rest).at(layout)  # type: ignore[arg-type]


def every_row(finetune: AnyFinetune, examples: Sequence[Any], tokenizer: FastTokenizer) -> list[list[Feature]]:
    """Return the rows of each example, all made now."""
    features: list[Feature] = finetune.featurizer(examples, tokenizer)
    return by_example(features)


class RowsOnDemand(Sequence[Sequence[Feature]]):
    """The rows of each example, made on first use: what looks at a few of many does not wait."""

    def __init__(self, finetune: AnyFinetune, examples: Sequence[Any], tokenizer: FastTokenizer) -> None:
        self._finetune = finetune
        self._examples = examples
        self._tokenizer = tokenizer
        self._made: dict[int, list[Feature]] = {}

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> list[Feature]: ...

    @overload
    def __getitem__(self, index: slice) -> "RowsOnDemand": ...

    def __getitem__(self, index: int | slice) -> "list[Feature] | RowsOnDemand":
        if isinstance(index, slice):
            return RowsOnDemand(self._finetune, self._examples[index], self._tokenizer)
        if index not in self._made:
            self._made[index] = list(self._finetune.featurizer([self._examples[index]], self._tokenizer))
        return self._made[index]


#: Makes the rows of each example.
Rows = Callable[[AnyFinetune, Sequence[Any], FastTokenizer], Sequence[Sequence[Feature]]]


def training_set(
    training: Training,
    finetune: AnyFinetune,
    language: str,
    tokenizer: FastTokenizer,
    *,
    source: Source[Any] | None = None,
    task: Mixed | None = None,
    count: int | None = None,
    without: Callable[[Any], bool] = lambda _: False,
    rows: Rows = every_row,
) -> TrainingSet:
    """Return the featurized train split of one task in one language, but for the examples held out.

    Raises:
        DataError: a file is malformed, or no example is left to train on.
    """
    source = source or finetune.train
    if source is None:
        message = f"{finetune.name!r} has no training set"
        raise DataError(message)
    with training.progress.step(f"{training.recipe.name}: reading {finetune.name} {language}", 1, "files") as advance:
        read = source.read(training.layout, language, "train")[:count]
        examples = [example for example in read if not without(example)]
        if task is not None and task.switch is not None and language == "en":
            lexicon = Lexicon.read(lexicon_path(training.layout, task))
            examples = switched(examples, lexicon, task.switch.rate, training.recipe.seed)
        made = rows(finetune, examples, tokenizer) if examples else ()
        advance(1)
    if not made:
        files = " and ".join(str(path) for path in source.paths(training.layout, language, "train"))
        message = (
            f"{files} gives {finetune.name} no example in {language!r} to train on; "
            f"put rows there, or leave the language out of the recipe"
        )
        raise DataError(message)
    weight = 1.0 if task is None else task.languages[language]
    return TrainingSet(finetune.name, language, finetune.head, made, weight)


def share_out(sets: Sequence[TrainingSet], total: int | None) -> list[TrainingSet]:
    """Return the sets cut so that the mix has `total` examples, by the tasks' sizes and the languages' weights.

    Each language of a task takes other examples of its file, as files that translate each other are
    parallel: a mix shall not see one example twice because it sees it in two languages.

    Raises:
        DataError: a set is smaller than its share.
    """
    if total is None:
        return list(sets)
    largest: dict[str, int] = {}
    weights: dict[str, float] = {}
    for item in sets:
        largest[item.task] = max(largest.get(item.task, 0), len(item.examples))
        weights[item.task] = weights.get(item.task, 0.0) + item.weight
    cut = []
    start: dict[str, int] = {}
    for item in sets:
        wanted = round(total * largest[item.task] / sum(largest.values()) * item.weight / weights[item.task])
        if wanted > len(item.examples):
            message = (
                f"source_examples = {total:,} needs {wanted:,} examples of {item.task} {item.language}, "
                f"which has {len(item.examples):,}; lower it, or the language's share"
            )
            raise DataError(message)
        first = start.get(item.task, 0)
        first = first if first + wanted <= len(item.examples) else 0
        start[item.task] = first + wanted
        cut.append(replace(item, examples=item.examples[first : first + wanted]))
    return cut
