"""A declared training set or task as one graph answers it: its label order, prompts, pooling and longest row.

A declaration says what the benchmark does; a checkpoint that was trained elsewhere may number its labels
otherwise, or want a text before each sentence. Evaluation, prediction, serving and the export's checks all
take the declaration from here, so that they cannot differ.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeAlias, cast

from harness.artifacts.checkpoint import CheckpointMetadata, HeadRecord
from harness.artifacts.store import Artifact
from harness.core.errors import ArtifactError
from harness.core.heads import (
    Head,
    Pooling,
    SentenceEmbedding,
    SequenceClassification,
    TokenClassification,
    is_retrieval,
)
from harness.core.task import AnyFinetune, AnyTask

#: Heads whose outputs have names.
Labelled: TypeAlias = SequenceClassification | TokenClassification
#: A featurizer's field -> the prompt that it takes.
_PROMPTS = {"prompt": "query", "query_prompt": "query", "candidate_prompt": "candidate"}
#: Fields that limit the rows of any featurizer.
_ROW_LIMITS = ("max_tokens", "query_tokens", "candidate_tokens")
#: A featurizer's fields that limit a row of one text.
_LIMITS = {"prompt": "max_tokens", "query_prompt": "query_tokens", "candidate_prompt": "candidate_tokens"}


def head_of(declared: Head, recorded: HeadRecord | None) -> Head:
    """Return a declared head with what a checkpoint or a graph records of it: labels in their order, pooling.

    A dual encoder's graph may be the encoder's own sentence embedding: both give one vector for each row.
    """
    if recorded is None:
        return declared
    if recorded.kind == SentenceEmbedding.__name__ and is_retrieval(declared) and recorded.pooling is not None:
        layers = declared.layers if isinstance(declared, SentenceEmbedding) else {}
        return SentenceEmbedding(layers=layers, pooling=cast(Pooling, recorded.pooling))
    if recorded.labels and recorded.kind == type(declared).__name__ and isinstance(declared, Labelled):
        return replace(declared, labels=tuple(recorded.labels))
    return declared


def adapt_finetune(declared: AnyFinetune, head: HeadRecord | None, checkpoint: CheckpointMetadata) -> AnyFinetune:
    """Return a declared training set as a checkpoint, or a graph of it, answers it.

    Args:
        declared: the training set.
        head: what the checkpoint or the graph records of its head.
        checkpoint: gives prompts and the longest row.
    """
    adapted = head_of(declared.head, head)
    labels = tuple(getattr(adapted, "labels", ()))
    return replace(
        declared,
        head=adapted,
        featurizer=_prompted(_labelled(declared.featurizer, labels), checkpoint),
        postprocess=_labelled(declared.postprocess, labels),
    )


def adapt_task(task: AnyTask, finetune: AnyFinetune) -> AnyTask:
    """Return a task with its training set as a graph answers it, as `adapt_finetune` gives it."""
    labels = tuple(getattr(finetune.head, "labels", ()))
    return replace(task, finetune=finetune, postprocess=_labelled(task.postprocess, labels))


def finetune_of(artifact: Artifact, declared: AnyFinetune) -> AnyFinetune:
    """Return a declared training set as an exported graph answers it, no row longer than the graph takes."""
    adapted = adapt_finetune(declared, artifact.manifest.head, artifact.checkpoint)
    return replace(adapted, featurizer=_limited(adapted.featurizer, artifact.manifest.max_tokens))


def task_of(artifact: Artifact, task: AnyTask) -> AnyTask:
    """Return a task as an exported graph answers it.

    Raises:
        ArtifactError: the graph's labels are not the task's.
    """
    finetune = finetune_of(artifact, task.finetune)
    own, wanted = (tuple(getattr(each.head, "labels", ())) for each in (finetune, task.finetune))
    if task.finetune.bind is None and set(own) != set(wanted):
        message = (
            f"graph {artifact.graph} has the labels {', '.join(own)}, task {task.name!r} has {', '.join(wanted)}; "
            f"export a checkpoint that has these"
        )
        raise ArtifactError(message)
    return adapt_task(task, finetune)


def _labelled(value: Any, labels: tuple[str, ...]) -> Any:
    """Return a featurizer or postprocessor with these labels, where it has any."""
    named = {name: labels for name in ("labels", "tags") if hasattr(value, name)} if labels else {}
    return replace(value, **named) if named else value


def _limited(featurizer: Any, longest: int | None) -> Any:
    """Return a featurizer whose rows have at most so many tokens."""
    if longest is None or not is_dataclass(featurizer):
        return featurizer
    own = {entry.name: getattr(featurizer, entry.name) for entry in fields(featurizer) if entry.name in _ROW_LIMITS}
    shorter = {name: longest for name, limit in own.items() if limit > longest}
    return cast(Any, replace(cast(Any, featurizer), **shorter)) if shorter else featurizer


def _prompted(featurizer: Any, checkpoint: CheckpointMetadata) -> Any:
    """Return a featurizer of single texts with a checkpoint's prompts and longest row."""
    names = {entry.name for entry in fields(featurizer)} if is_dataclass(featurizer) else set()
    changed: dict[str, Any] = {}
    for name, side in _PROMPTS.items():
        if name not in names:
            continue
        if checkpoint.prompts is not None:
            changed[name] = getattr(checkpoint.prompts, side)
        if checkpoint.row_tokens is not None:
            changed[_LIMITS[name]] = min(getattr(featurizer, _LIMITS[name]), checkpoint.row_tokens)
    return replace(featurizer, **changed) if changed else featurizer
