"""The datasets that the declarations name: each task, and each training set beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from harness.benchmark import finetunes, tasks
from harness.core.errors import UsageError, nearest
from harness.core.examples import scored
from harness.core.languages import language as language_row
from harness.core.layout import Layout, Split, nearest_split
from harness.core.origins import Hub
from harness.core.task import AnyTask, Pool, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What one task is evaluated on, or what one finetune is trained on."""

    name: str
    kind: Literal["task", "training set"]
    languages: tuple[str, ...]
    splits: tuple[Split, ...]
    source: Source[Any]
    hub: Hub | None
    #: Examples of the official test files by language, as far as they are known.
    official: Mapping[str, int]
    pool: Pool | None = None
    #: Counts what `official` is compared with; the scored examples where None.
    size: Callable[[Sequence[Any], str], int] | None = None

    @property
    def label(self) -> str:
        """The name, and what it is the data of where that is not a task."""
        return self.name if self.kind == "task" else f"{self.name} ({self.kind})"

    def languages_of(self, split: Split) -> tuple[str, ...]:
        """Return the languages that have such a split."""
        absent = self.hub.absent.get(split, ()) if self.hub else ()
        return tuple(code for code in self.languages if code not in absent)

    def files(self, layout: Layout, language: str, split: Split) -> tuple[Path, ...]:
        """Return the files of one language and split, without those that it shares with others."""
        if self.hub and self.hub.files:
            return tuple(file.at(layout, language=language, split=split) for file in self.hub.files)
        return self.source.paths(layout, language, split)

    def count(self, layout: Layout, language: str, split: Split) -> int:
        """Return how many examples the reader finds, or whatever the official number counts.

        Raises:
            DataError: a file is missing or malformed, or its labels were stripped.
        """
        return self.size_of(self.source.read(layout, language, split), language)

    def size_of(self, examples: Sequence[Any], language: str) -> int:
        """Return how many examples count, or whatever the official number counts."""
        return self.size(examples, language) if self.size else len(scored(examples))

    def expected(self, language: str, split: Split) -> int | None:
        """Return the number of examples of the official files, or None where it is not known."""
        declared = self.hub.expected(language, split) if self.hub else None
        return self.official.get(language) if declared is None and split == "test" else declared


def _size(task: AnyTask, examples: Sequence[Any], language: str) -> int:
    """Return what a task's official number counts: examples, or gold pairs, which no prediction changes."""
    totals = task.metric.counts(examples, [()] * len(examples), language).sum(axis=0) if task.counted else None
    return len(scored(examples)) if totals is None else task.size(len(scored(examples)), totals)


def catalogue() -> list[Dataset]:
    """Return all datasets: the tasks in alphabetical order, then the training sets."""
    found = []
    for name in tasks.names():
        task = tasks.load(name)
        codes = task.all_languages(None)
        counts = {code: count for code in codes if (count := task.official_count(code)) is not None}
        found.append(
            Dataset(
                name=name,
                kind="task",
                languages=codes,
                splits=tuple(split for split in task.source.splits if split != "train"),
                source=task.source,
                hub=task.hub,
                official=counts,
                pool=task.pool,
                size=partial(_size, task),
            )
        )
    for name in finetunes.names():
        finetune = finetunes.load(name)
        if finetune.train is not None:
            found.append(
                Dataset(
                    name=name,
                    kind="training set",
                    languages=finetune.languages,
                    splits=tuple(split for split in finetune.train.splits if split != "test"),
                    source=finetune.train,
                    hub=finetune.hub,
                    official={},
                )
            )
    return found


def choose(
    names: Sequence[str], languages: Sequence[str] = (), splits: Sequence[str] = (), layout: Layout | None = None
) -> list[Dataset]:
    """Return the datasets of some names; a task and its training set may share one.

    Args:
        names: tasks or training sets; ``all`` stands for every one.
        languages: keep these only, if any are given.
        splits: keep these only, if any are given.
        layout: a data folder that may say which languages it is meant to have.

    Raises:
        UsageError: a name, language or split is unknown, or nothing is left.
    """
    everything = catalogue()
    known = list(dict.fromkeys(dataset.name for dataset in everything))
    names = [name.lower() for name in names]
    for name in names:
        if name != "all" and name not in known:
            meant = tasks.alias(name)
            hint = f", the harness calls it {meant!r}" if meant else nearest(name, known)
            message = f"no task or training set {name!r}{hint}; `harness data list` lists {', '.join(known)}"
            raise UsageError(message)
    for split in splits:
        if split not in ("train", "dev", "test"):
            message = f"no split {split!r}{nearest_split(split)}; they are train, dev and test"
            raise UsageError(message)
    codes = {language_row(code).code for code in languages}
    covered = layout.coverage() if layout else None
    chosen = []
    for dataset in everything:
        kept = tuple(
            code
            for code in dataset.languages
            if (not codes or code in codes)
            and (covered is None or dataset.kind != "task" or code in covered.get(dataset.name, ()))
        )
        parts = tuple(split for split in dataset.splits if not splits or split in splits)
        if kept and parts and ("all" in names or dataset.name in names):
            chosen.append(replace(dataset, languages=kept, splits=parts))
    if not chosen:
        message = f"nothing is left of {', '.join(names)} by these languages and splits; leave a filter out"
        raise UsageError(message)
    return chosen
