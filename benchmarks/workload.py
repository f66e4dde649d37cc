"""The rows that both sides answer, tokenized beforehand, and how they are scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from harness.data import Layout
from harness.errors import DataError
from harness.features import Tokenizer
from harness.planner import Batch
from harness.task import AnyTask, Outputs
from harness.workload import FeaturizedJob, Job

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workload:
    """One task's rows in several languages, in file order."""

    task: AnyTask
    featurized: Sequence[FeaturizedJob]
    pad_id: int

    @property
    def rows(self) -> int:
        """Return the rows of all languages, repeated ones counted as often as they occur."""
        return sum(len(item.features) for item in self.featurized)

    @property
    def useful_tokens(self) -> int:
        """Return the unpadded tokens of all rows, repeated ones counted as often as they occur."""
        return sum(len(feature.input_ids) for item in self.featurized for feature in item.features)

    @property
    def max_tokens(self) -> int:
        """Return the longest row that the task's featurizer makes."""
        return int(self.task.finetune.featurizer.max_tokens)


def evenly(items: Sequence[T], count: int | None) -> list[T]:
    """Return `count` items spread evenly over a file, in its order; all without a count.

    XNLI's files hold one genre after the other, so the first rows would be of one genre.
    """
    if count is None or count >= len(items):
        return list(items)
    return [items[int(place)] for place in np.arange(count) * len(items) / count]


def read(jobs: Sequence[Job], layout: Layout, tokenizer: Tokenizer, limit: int | None) -> Workload:
    """Return the rows of jobs of one task: at most `limit` examples of each language.

    Raises:
        DataError: a file is missing or malformed, or a featurizer made no row.
    """
    featurized = []
    for job in jobs:
        examples = evenly(job.read(layout), limit)
        features = job.task.finetune.featurizer(examples, tokenizer)
        if not features:
            message = f"{job.task.name} {job.language} gives no rows; its file must hold examples"
            raise DataError(message)
        featurized.append(FeaturizedJob(job, examples, features))
    return Workload(jobs[0].task, featurized, tokenizer.pad_id)


def file_order(lengths: Sequence[int], *, rows: int, width: int | Literal["longest"]) -> list[Batch]:
    """Return batches of consecutive rows, the last one smaller, as a loader gives them.

    Args:
        lengths: of each row, in file order.
        rows: of each batch.
        width: of every batch, or the longest row of each.
    """
    batches = []
    for start in range(0, len(lengths), rows):
        members = tuple(range(start, min(start + rows, len(lengths))))
        longest = max(lengths[row] for row in members)
        batches.append(Batch(members, longest if width == "longest" else width))
    return batches


def predictions(workload: Workload, outputs: Sequence[Sequence[Outputs]]) -> list[Sequence[Any]]:
    """Return the predictions of each language; `outputs` align with jobs and features."""
    return [
        workload.task.postprocess(item.examples, item.features, answers)
        for item, answers in zip(workload.featurized, outputs, strict=True)
    ]


def score(workload: Workload, predicted: Sequence[Sequence[Any]]) -> float:
    """Return the task's number as `harness eval` does: mean headline over languages, percent."""
    task = workload.task
    headlines = []
    for item, values in zip(workload.featurized, predicted, strict=True):
        scores = task.metric.scores(task.metric.counts(item.examples, values, item.job.language).sum(axis=0))
        headlines.append([scores[name] for name in task.headline])
    return float(np.mean(headlines))


def agreement(left: Sequence[Sequence[Any]], right: Sequence[Sequence[Any]]) -> float:
    """Return the share of predictions that are equal, in percent."""
    pairs = [pair for ours, theirs in zip(left, right, strict=True) for pair in zip(ours, theirs, strict=True)]
    return 100 * float(np.mean([one == other for one, other in pairs]))
