"""The closed set of graph endings, each with the signature a graph of that kind must have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from harness.core.tensors import ENCODER_INPUTS, TOKEN_TYPES, Axis, GraphSignature, TensorSpec

#: How one vector is made of a row's hidden states.
Pooling: TypeAlias = Literal["mean", "cls", "last", "pooler"]


def _signature(*outputs: tuple[str, tuple[Axis, ...]], token_types: bool) -> GraphSignature:
    inputs = (*ENCODER_INPUTS, TOKEN_TYPES) if token_types else ENCODER_INPUTS
    return GraphSignature(inputs, tuple(TensorSpec(name, "float32", axes) for name, axes in outputs))


@dataclass(frozen=True, slots=True)
class SequenceClassification:
    """One label for each row: `logits` (rows, labels)."""

    #: Whether a row may hold two sequences, which token types tell apart.
    pairs: ClassVar[bool] = True

    labels: tuple[str, ...]

    def signature(self, hidden: int, *, token_types: bool = False) -> GraphSignature:
        """Return inputs and outputs of a graph that ends so.

        Args:
            hidden: the encoder's width.
            token_types: whether the graph takes token types.
        """
        return _signature(("logits", ("rows", len(self.labels))), token_types=token_types)


@dataclass(frozen=True, slots=True)
class ChoiceScore:
    """One score for each row, where each choice of an example is a row: `logits` (rows, 1)."""

    pairs: ClassVar[bool] = True

    def signature(self, hidden: int, *, token_types: bool = False) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("logits", ("rows", 1)), token_types=token_types)


@dataclass(frozen=True, slots=True)
class TokenClassification:
    """One label for each token: `logits` (rows, tokens, labels)."""

    pairs: ClassVar[bool] = False

    labels: tuple[str, ...]

    def signature(self, hidden: int, *, token_types: bool = False) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("logits", ("rows", "tokens", len(self.labels))), token_types=token_types)


@dataclass(frozen=True, slots=True)
class SpanExtraction:
    """Where an answer starts and ends: `start_logits` and `end_logits`, both (rows, tokens)."""

    pairs: ClassVar[bool] = True

    def signature(self, hidden: int, *, token_types: bool = False) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(
            ("start_logits", ("rows", "tokens")), ("end_logits", ("rows", "tokens")), token_types=token_types
        )


@dataclass(frozen=True, slots=True)
class SentenceEmbedding:
    """One vector for each row, unit length, that nothing was trained to make: `embedding` (rows, hidden).

    Mean pooling is over all attended tokens, the special ones included, of one hidden layer; cls pooling takes the
    first of them, last the last one; pooler is the encoder's own tanh layer on the first token of its last layer.
    """

    pairs: ClassVar[bool] = False

    #: Number of the encoder's layers -> index into its hidden states, where 0 is the embedding
    #: output; the values of XTREME's scripts, for where neither the recipe nor the encoder names one.
    layers: Mapping[int, int] = field(hash=False)
    pooling: Pooling = "mean"

    def signature(self, hidden: int, *, token_types: bool = False) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("embedding", ("rows", hidden)), token_types=token_types)


@dataclass(frozen=True, slots=True)
class DualEncoder:
    """One vector for each row, unit length, trained to meet its counterpart's: `embedding` (rows, hidden).

    The pooler's output over the last layer (a tanh layer on the first token), as in
    google-research/xtreme@838c13b third_party/run_retrieval.py; queries and candidates share one encoder.
    """

    pairs: ClassVar[bool] = False

    pooling: Literal["pooler"] = "pooler"

    def signature(self, hidden: int, *, token_types: bool = False) -> GraphSignature:
        """See `SequenceClassification.signature`."""
        return _signature(("embedding", ("rows", hidden)), token_types=token_types)


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
