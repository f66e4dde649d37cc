"""From features to the batch that a head's module takes; padded to the batch, as in evaluation."""

from collections.abc import Sequence
from functools import singledispatch

import numpy as np
import torch

from harness.benchmark.featurizers.dual import CANDIDATE, QUERY
from harness.core.features import IGNORED, Feature
from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
)
from harness.core.tensors import pad

Batch = dict[str, torch.Tensor]


@singledispatch
def collate(head: Head, features: Sequence[Feature], pad_id: int) -> Batch:
    """Return the keyword arguments of the head's module, labels included.

    Args:
        head: decides how targets are laid out.
        features: the rows of whole examples, in order.
        pad_id: fills rows up.
    """
    message = f"the head {head!r} has no training batches"
    raise TypeError(message)


def _inputs(features: Sequence[Feature], pad_id: int) -> Batch:
    padded = pad([feature.input_ids for feature in features], pad_id)
    return {name: torch.from_numpy(value) for name, value in padded.items()}


def _targets(features: Sequence[Feature]) -> list[np.ndarray]:  # type: ignore[type-arg]
    targets = [feature.target for feature in features if feature.target is not None]
    if len(targets) != len(features):
        message = f"{len(features) - len(targets)} of {len(features)} rows have no target to train on"
        raise ValueError(message)
    return targets


@collate.register
def _(head: SequenceClassification, features: Sequence[Feature], pad_id: int) -> Batch:
    return {**_inputs(features, pad_id), "labels": torch.from_numpy(np.stack(_targets(features)))}


@collate.register
def _(head: TokenClassification, features: Sequence[Feature], pad_id: int) -> Batch:
    inputs = _inputs(features, pad_id)
    labels = np.full(inputs["input_ids"].shape, IGNORED, dtype=np.int64)
    for row, target in zip(labels, _targets(features), strict=True):
        row[: len(target)] = target
    return {**inputs, "labels": torch.from_numpy(labels)}


@collate.register
def _(head: SpanExtraction, features: Sequence[Feature], pad_id: int) -> Batch:
    starts, ends = np.stack(_targets(features)).T
    return {
        **_inputs(features, pad_id),
        "start_positions": torch.from_numpy(starts.copy()),
        "end_positions": torch.from_numpy(ends.copy()),
    }


@collate.register
def _(head: ChoiceScore, features: Sequence[Feature], pad_id: int) -> Batch:
    inputs = _inputs(features, pad_id)
    examples = len({feature.example for feature in features})
    choices = len(features) // examples
    if choices * examples != len(features):
        message = f"{len(features)} rows are not an equal number of choices for each of {examples} examples"
        raise ValueError(message)
    shaped = {name: value.view(examples, choices, -1) for name, value in inputs.items()}
    return {**shaped, "labels": torch.from_numpy(np.stack(_targets(features))[::choices].copy())}


@collate.register
def _(head: DualEncoder, features: Sequence[Feature], pad_id: int) -> Batch:
    sides = np.stack(_targets(features))
    queries, candidates = (
        [feature for feature, own in zip(features, sides, strict=True) if own == side] for side in (QUERY, CANDIDATE)
    )
    if len(queries) != len(candidates):
        message = f"{len(queries)} queries have {len(candidates)} candidates; each needs its own"
        raise ValueError(message)
    answers = _inputs(candidates, pad_id)
    return {
        **_inputs(queries, pad_id),
        "candidate_ids": answers["input_ids"],
        "candidate_mask": answers["attention_mask"],
    }
