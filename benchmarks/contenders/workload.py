"""The rows that both sides answer, tokenized beforehand, and how they are scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from harness.core.errors import DataError
from harness.core.examples import is_scored
from harness.core.features import Tokenizer
from harness.core.languages import language
from harness.core.layout import Layout
from harness.core.task import AnyTask, Outputs
from harness.evaluation.workload import FeaturizedJob, Job
from harness.inference.planner import Batch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workload:
    """The rows of one task, or of several that one graph answers, in several languages, in file order."""

    #: The first of them; all share its finetune, and so its rows and its graph.
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
    return [items[int(index)] for index in np.arange(count) * len(items) / count]


def sample(examples: Sequence[Any], count: int | None) -> list[Any]:
    """Return `count` scored examples spread evenly over a file, and of the others those that are their gold.

    Sentences that are searched for stay with the sentences that should find them: 100 queries of Tatoeba
    bring their 100 translations, in file order.
    """
    kept = evenly([example for example in examples if is_scored(example)], count)
    chosen = {id(example) for example in kept}
    gold = {name for example in kept for name in getattr(example, "gold", ())}
    return [example for example in examples if id(example) in chosen or (not is_scored(example) and example.id in gold)]


def read(jobs: Sequence[Job], layout: Layout, tokenizer: Tokenizer, limit: int | None) -> Workload:
    """Return the rows of jobs whose tasks share a finetune: at most `limit` scored examples of each language.

    Raises:
        DataError: a file is missing or malformed, or a featurizer made no row.
    """
    featurized = []
    for job in jobs:
        examples = sample(job.read(layout), limit)
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


def files(item: FeaturizedJob) -> list[list[int]]:
    """Return the rows of each file that a job was read from, in file order.

    A retrieval job has two: the sentences to be found, and those that look for them.
    """
    sides: dict[str, list[int]] = {}
    for row, feature in enumerate(item.features):
        sides.setdefault(getattr(item.examples[feature.example], "side", ""), []).append(row)
    return list(sides.values())


def predictions(workload: Workload, outputs: Sequence[Sequence[Outputs]]) -> list[Sequence[Any]]:
    """Return the predictions of each language; `outputs` align with jobs and features."""
    return [
        item.job.task.postprocess(item.examples, item.features, answers)
        for item, answers in zip(workload.featurized, outputs, strict=True)
    ]


def score(workload: Workload, predicted: Sequence[Sequence[Any]]) -> float:
    """Return the number of `harness eval`, percent: mean headline over languages, and then over tasks."""
    return float(np.mean(list(scores_by(workload, predicted, "task").values())))


def scores_by(
    workload: Workload, predicted: Sequence[Sequence[Any]], group: Literal["task", "script"]
) -> dict[str, float]:
    """Return the mean headline over the languages of each task, or of each script, percent."""
    grouped: dict[str, list[float]] = {}
    for item, values in zip(workload.featurized, predicted, strict=True):
        task = item.job.task
        scores = task.metric.scores(task.metric.counts(item.examples, values, item.job.language).sum(axis=0))
        name = task.name if group == "task" else language(item.job.language).script
        grouped.setdefault(name, []).append(float(np.mean([scores[metric] for metric in task.headline])))
    return {name: float(np.mean(values)) for name, values in grouped.items()}


def decisions(workload: Workload, predicted: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return the predictions that are scored: a sentence that is only searched for decides nothing."""
    return [
        [value for example, value in zip(item.examples, values, strict=True) if is_scored(example)]
        for item, values in zip(workload.featurized, predicted, strict=True)
    ]


def agreement(left: Sequence[Sequence[Any]], right: Sequence[Sequence[Any]]) -> float:
    """Return the share of predictions that are equal, in percent."""
    pairs = [pair for ours, theirs in zip(left, right, strict=True) for pair in zip(ours, theirs, strict=True)]
    return 100 * float(np.mean([one == other for one, other in pairs]))
