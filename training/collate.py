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


def inputs_of(features: Sequence[Feature], pad_id: int, width: int | None = None) -> Batch:
    """Return the rows as a network takes them, each tensor (rows, width); token types where a row has any.

    Args:
        features: the rows.
        pad_id: fills rows up.
        width: columns; the longest row where None.
    """
    types = [feature.token_types for feature in features]
    given = types if any(each is not None for each in types) else None
    padded = pad([feature.input_ids for feature in features], pad_id, width, token_types=given)
    return {name: torch.from_numpy(value) for name, value in padded.items()}


def _targets(features: Sequence[Feature]) -> list[np.ndarray]:  # type: ignore[type-arg]
    targets = [feature.target for feature in features if feature.target is not None]
    if len(targets) != len(features):
        message = f"{len(features) - len(targets)} of {len(features)} rows have no target to train on"
        raise ValueError(message)
    return targets


@collate.register
def _(head: SequenceClassification, features: Sequence[Feature], pad_id: int) -> Batch:
    return {**inputs_of(features, pad_id), "labels": torch.from_numpy(np.stack(_targets(features)))}


@collate.register
def _(head: TokenClassification, features: Sequence[Feature], pad_id: int) -> Batch:
    inputs = inputs_of(features, pad_id)
    labels = np.full(inputs["input_ids"].shape, IGNORED, dtype=np.int64)
    for row, target in zip(labels, _targets(features), strict=True):
        row[: len(target)] = target
    return {**inputs, "labels": torch.from_numpy(labels)}


@collate.register
def _(head: SpanExtraction, features: Sequence[Feature], pad_id: int) -> Batch:
    starts, ends = np.stack(_targets(features)).T
    return {
        **inputs_of(features, pad_id),
        "start_positions": torch.from_numpy(starts.copy()),
        "end_positions": torch.from_numpy(ends.copy()),
    }


@collate.register
def _(head: ChoiceScore, features: Sequence[Feature], pad_id: int) -> Batch:
    inputs = inputs_of(features, pad_id)
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
    answers = inputs_of(candidates, pad_id)
    return {
        **inputs_of(queries, pad_id),
        "candidate_ids": answers["input_ids"],
        "candidate_mask": answers["attention_mask"],
    }
