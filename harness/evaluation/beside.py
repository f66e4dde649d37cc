"""What stands beside the official score of a task in a language: a fairer number, and what was counted in its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.artifacts.store import Artifact
from harness.core.examples import scored
from harness.core.features import Counting
from harness.evaluation.journal import Journal
from harness.evaluation.workload import FeaturizedJob
from harness.tokenization.tokenizer import holds_special, special_tokens

#: What texts with a special token's name are counted as.
SPECIAL = "examples with a special token in their text"
#: Fields of an example that no graph reads.
_UNREAD = frozenset({"id", "label", "tags", "answers", "side", "gold", "tuning"})


def second_scores(
    item: FeaturizedJob, predictions: Sequence[Any], artifact: Artifact, journal: Journal
) -> dict[str, float]:
    """Return the fairer scores of a task in a language, in percent; none where the task declares none.

    Args:
        item: the job with its rows.
        predictions: the official ones.
        artifact: the graph that answered.
        journal: holds its answers, which some rules decode otherwise.
    """
    second, job = item.job.task.second, item.job
    if second is None or second.metric is None:
        return {}
    if second.postprocess is not None:
        keys = (feature.key for feature in item.features)
        outputs = journal.outputs(artifact.graph_sha256, keys, artifact.signature)
        predictions = second.postprocess(item.examples, item.features, outputs)
    totals = second.metric.counts(item.examples, predictions, job.language).sum(axis=0)
    return second.metric.scores(totals)


def counted(item: FeaturizedJob, artifact: Artifact) -> dict[str, int]:
    """Return how many examples, words or choices are not read as they stand; what there is none of is left out.

    Special tokens in a text are control ids in evaluation, as in the official scripts.
    """
    names = _names(artifact.tokenizer, artifact.tokenizer_sha256)
    special = sum(any(holds_special(text, names) for text in _texts(example)) for example in scored(item.examples))
    featurizer = item.job.task.featurizer
    found = dict(featurizer.counted(item.features)) if isinstance(featurizer, Counting) else {}
    return {name: count for name, count in {**found, SPECIAL: special}.items() if count}


@lru_cache(maxsize=8)
def _names(tokenizer: Path, digest: str) -> tuple[str, ...]:  # the digest: a path may get another file
    return tuple(special_tokens(tokenizer))


def _texts(example: Any) -> Iterator[str]:
    """Yield the texts of an example that a graph reads."""
    for entry in fields(example):
        value = getattr(example, entry.name)
        if entry.name not in _UNREAD and isinstance(value, str | tuple):
            yield from (value,) if isinstance(value, str) else value
