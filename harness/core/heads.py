"""The closed set of graph endings, each with the signature a graph of that kind must have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from harness.core.tensors import ENCODER_INPUTS, Axis, GraphSignature, TensorSpec


def _signature(*outputs: tuple[str, tuple[Axis, ...]]) -> GraphSignature:
    return GraphSignature(ENCODER_INPUTS, tuple(TensorSpec(name, "float32", axes) for name, axes in outputs))


@dataclass(frozen=True, slots=True)
class SequenceClassification:
    """One label for each row: `logits` (rows, labels)."""

    labels: tuple[str, ...]

    def signature(self, hidden: int) -> GraphSignature:
        """Return inputs and outputs of a graph that ends so; `hidden` is the encoder's width."""
        return _signature(("logits", ("rows", len(self.labels))))


@dataclass(frozen=True, slots=True)
class ChoiceScore:
    """One score for each row, where each choice of an example is a row: `logits` (rows, 1)."""

    def signature(self, hidden: int) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("logits", ("rows", 1)))


@dataclass(frozen=True, slots=True)
class TokenClassification:
    """One label for each token: `logits` (rows, tokens, labels)."""

    labels: tuple[str, ...]

    def signature(self, hidden: int) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("logits", ("rows", "tokens", len(self.labels))))


@dataclass(frozen=True, slots=True)
class SpanExtraction:
    """Where an answer starts and ends: `start_logits` and `end_logits`, both (rows, tokens)."""

    def signature(self, hidden: int) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("start_logits", ("rows", "tokens")), ("end_logits", ("rows", "tokens")))


@dataclass(frozen=True, slots=True)
class SentenceEmbedding:
    """One vector for each row, unit length, that nothing was trained to make: `embedding` (rows, hidden).

    Mean pooling is over all attended tokens, the special ones included, of one hidden layer; cls
    pooling takes the first token of it.
    """

    #: Number of the encoder's layers -> index into its hidden states, where 0 is the embedding
    #: output. Depths that are not listed take `retrieval_layer` from the recipe.
    layers: Mapping[int, int] = field(hash=False)
    pooling: Literal["mean", "cls"] = "mean"

    def signature(self, hidden: int) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("embedding", ("rows", hidden)))


@dataclass(frozen=True, slots=True)
class DualEncoder:
    """One vector for each row, unit length, trained to meet its counterpart's: `embedding` (rows, hidden).

    The pooler's output over the last layer (a tanh layer on the first token), as in
    google-research/xtreme@838c13b third_party/run_retrieval.py; queries and candidates share one encoder.
    """

    pooling: Literal["pooler"] = "pooler"

    def signature(self, hidden: int) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("embedding", ("rows", hidden)))


Head: TypeAlias = (
    SequenceClassification | ChoiceScore | TokenClassification | SpanExtraction | SentenceEmbedding | DualEncoder
)


def is_retrieval(head: Head) -> bool:
    """Return whether a graph that ends so gives vectors to search among."""
    return isinstance(head, SentenceEmbedding | DualEncoder)


def shape(head: Head) -> tuple[str, int]:
    """Return a head's kind and its number of labels; two with one shape can learn from each other's data."""
    return type(head).__name__, len(getattr(head, "labels", ()))


def describe(head: Head) -> dict[str, Any]:
    """Return the head as a manifest holds it: its kind, and its labels or pooling, if it has any."""
    description: dict[str, Any] = {"kind": type(head).__name__}
    labels = getattr(head, "labels", None)
    if labels is not None:
        description["labels"] = list(labels)
    pooling = getattr(head, "pooling", None)
    if pooling is not None:
        description["pooling"] = pooling
    return description
