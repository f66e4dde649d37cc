"""A feature is one row of graph input; every example becomes one or more of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from harness.core.tensors import TOKEN_TYPES, TensorSpec, pad

#: The value that losses skip (torch's cross-entropy ignores it by default).
IGNORED = -100


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One row of the graph's batch."""

    #: Index of the example this row was cut from.
    example: int
    #: Token ids (tokens,), special tokens included, no padding; int64, or int32 where mapped from the cache.
    input_ids: NDArray[np.signedinteger[Any]]
    #: What training predicts for the row, in the form its head's loss takes; None if nothing.
    target: NDArray[np.int64] | None = None
    #: The postprocessor's map from tokens back to the text; its form belongs to the featurizer.
    alignment: NDArray[np.signedinteger[Any]] | None = None
    #: The key, where it is known already.
    digest: bytes | None = None
    #: Which sequence each token belongs to (tokens,), 0 or 1; None where all are 0.
    token_types: NDArray[np.signedinteger[Any]] | None = None

    @property
    def key(self) -> bytes:
        """Return the identity of the row's content, 16 bytes: rows with equal keys get equal answers."""
        known = self.digest
        if known is None:
            content = self.input_ids.astype("<i4").tobytes()
            if self.token_types is not None:
                content += self.token_types.astype("<i1").tobytes()
            known = sha256(content).digest()[:16]
            # Computed once, since a run looks each row up several times; frozen for everyone else.
            object.__setattr__(self, "digest", known)
        return known


def pad_features(
    features: Sequence[Feature], pad_id: int, inputs: Sequence[TensorSpec], width: int | None = None
) -> dict[str, NDArray[np.int64]]:
    """Return rows as a graph takes them, each tensor (rows, width) int64, padded on the right.

    Args:
        features: the rows.
        pad_id: fills `input_ids`.
        inputs: the graph's; token types are among them or not.
        width: columns; the longest row where not given.
    """
    types = [feature.token_types for feature in features] if TOKEN_TYPES in inputs else None
    return pad([feature.input_ids for feature in features], pad_id, width, token_types=types)


@dataclass(frozen=True, slots=True)
class Subwords:
    """One text as subwords: ids, and where each came from in the text."""

    ids: list[int]
    #: Start and end of each subword, in characters of the text.
    offsets: list[tuple[int, int]]
    #: Numbers of the subwords without a letter of their own: white space, or a bare word-boundary mark, whose offsets
    #: may be those of the letter after it.
    blank: frozenset[int] = frozenset()


class Tokenizer(Protocol):
    """What featurizers need of a tokenizer; texts are handed over in bulk, for speed."""

    @property
    def pad_id(self) -> int:
        """The id that fills a row up."""
        ...

    @property
    def unknown_id(self) -> int:
        """The id of what the vocabulary lacks."""
        ...

    @property
    def separator_id(self) -> int:
        """The id that ends a sequence."""
        ...

    def subwords(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the subword ids of each text, no special tokens."""
        ...

    def subwords_with_offsets(self, texts: Sequence[str]) -> list[Subwords]:
        """Return the subwords of each text and where they stand in it."""
        ...

    def single(self, first: Sequence[int]) -> list[int]:
        """Return one sequence in its frame of special tokens."""
        ...

    def pair(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        """Return two sequences in their frame of special tokens."""
        ...

    def pair_types(self, first: int, second: int) -> list[int] | None:
        """Return the token types of two framed sequences of so many subwords; None where all are 0."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A featurizer that knows of rows which do not hold all that they should."""

    def counted(self, features: Sequence[Feature]) -> Mapping[str, int]:
        """Return what is counted in the rows of a job, by what it is called: "words without subwords"."""
        ...


ExampleT_contra = TypeVar("ExampleT_contra", contravariant=True)


class Featurizer(Protocol[ExampleT_contra]):
    """Turns examples into rows; the same one serves training and evaluation."""

    @property
    def max_tokens(self) -> int:
        """The longest row it makes, special tokens included."""
        ...

    def __call__(self, examples: Sequence[ExampleT_contra], tokenizer: Tokenizer) -> list[Feature]:
        """Return the rows in the order of the examples."""
        ...
