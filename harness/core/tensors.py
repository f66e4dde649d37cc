"""Names, types and axes of a graph's tensors, and padding: only here do rows get equal width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

DType: TypeAlias = Literal["int64", "float32"]
#: A dynamic axis by name, or a fixed size.
Axis: TypeAlias = Literal["rows", "tokens"] | int
Tensors: TypeAlias = Mapping[str, NDArray[Any]]
#: What a served graph says of outputs that are no numbers; its clients look for it in the error.
NOT_FINITE = "answers with NaN or infinity"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a graph."""

    name: str
    dtype: DType
    axes: tuple[Axis, ...]

    @property
    def per_token(self) -> bool:
        """Whether the tensor has a tokens axis, so that padding has to be cut off."""
        return "tokens" in self.axes

    def describe(self) -> str:
        """Return the spec as people write it, for messages: ``logits float32 (rows, 3)``."""
        return f"{self.name} {self.dtype} ({', '.join(str(axis) for axis in self.axes)})"

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        return {"name": self.name, "dtype": self.dtype, "axes": list(self.axes)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "TensorSpec":
        """Return the spec that `to_json` wrote."""
        return TensorSpec(value["name"], value["dtype"], tuple(value["axes"]))


@dataclass(frozen=True, slots=True)
class GraphSignature:
    """What a graph takes and gives; two graphs with equal signatures are interchangeable to a client."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def describe(self) -> str:
        """Return the outputs as people write them, for messages."""
        return ", ".join(spec.describe() for spec in self.outputs)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        return {
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "GraphSignature":
        """Return the signature that `to_json` wrote."""
        return GraphSignature(
            tuple(TensorSpec.from_json(spec) for spec in value["inputs"]),
            tuple(TensorSpec.from_json(spec) for spec in value["outputs"]),
        )


#: What every graph takes. An input that a client could leave out cannot be declared optional in a batching Triton
#: model (onnxruntime_backend, onnxruntime.cc), so a graph takes token types or does not.
ENCODER_INPUTS = (
    TensorSpec("input_ids", "int64", ("rows", "tokens")),
    TensorSpec("attention_mask", "int64", ("rows", "tokens")),
)


#: Which sequence of a pair a token belongs to, 0 or 1; graphs of BERT that read pairs take it as well.
TOKEN_TYPES = TensorSpec("token_type_ids", "int64", ("rows", "tokens"))


def pad(
    rows: Sequence[NDArray[np.signedinteger[Any]]],
    pad_id: int,
    width: int | None = None,
    *,
    token_types: Sequence[NDArray[np.signedinteger[Any]] | None] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Return the inputs of a graph, each (rows, width) int64, padded on the right.

    They are `input_ids` and `attention_mask`, and `token_type_ids` where token types are given.

    Args:
        rows: token ids, each (tokens,).
        pad_id: fills `input_ids`; the others are 0 there.
        width: columns; the longest row where not given. Must not be below it.
        token_types: of each row (tokens,), or None for a row where all are 0; None for a graph that takes none.
    """
    longest = max(len(row) for row in rows)
    columns = longest if width is None else width
    if columns < longest:
        message = f"width {columns} is below the longest row, {longest}"
        raise ValueError(message)
    ids = np.full((len(rows), columns), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), columns), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    padded = {"input_ids": ids, "attention_mask": mask}
    if token_types is not None:
        types = np.zeros((len(rows), columns), dtype=np.int64)
        for index, own in enumerate(token_types):
            if own is not None:
                types[index, : len(own)] = own
        padded[TOKEN_TYPES.name] = types
    return padded


def row_problem(shape: tuple[int, ...], max_tokens: int | None) -> str | None:
    """Return what is wrong with the shape of a graph's inputs (rows, tokens); None where a graph can take it.

    Args:
        shape: of the token ids.
        max_tokens: of the longest row that the graph takes; None where it is not known.
    """
    if len(shape) != 2 or not all(shape):
        return f"inputs of shape {shape}; give at least one row of at least one token, as (rows, tokens)"
    if max_tokens is not None and shape[1] > max_tokens:
        return f"rows of {shape[1]} tokens, and this graph takes at most {max_tokens} tokens; give shorter rows"
    return None
