"""Graphs whose weights do not fit into one file: ONNX's external data, `model.onnx.data` beside `model.onnx`.

ONNX Runtime, and Triton over it, find the second file by its name in the first, from the folder of the first.
"""

from math import prod
from pathlib import Path

import onnx
from onnx import helper
from onnx.external_data_helper import set_external_data

from harness.artifacts.store import weights_file

#: Bytes of weights that stay in the graph's own file: a protobuf ends at 2 GiB, and the nodes beside the
#: weights need a little of that.
MAX_INLINE_BYTES = 2**31 - 2**24
#: Bytes of a tensor that moves out; the constants that ONNX's shape inference has to read are smaller.
_LEAST = 1024
#: Offsets are multiples of it, so that a runtime can map a tensor from the file (ONNX, ExternalData.md).
_PAGE = 4096


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph, and its weights beside it where one file cannot hold them.

    Args:
        model: with all weights in memory; those that were written apart are gone from it afterwards.
        path: is replaced where it is there, with the weights beside it.
    """
    set_apart(model, path)
    onnx.save(model, path)


def set_apart(model: onnx.ModelProto, path: Path) -> None:
    """Let a later save of a graph to `path` write its weights beside it, where one file cannot hold them.

    Args:
        model: with all weights in memory.
        path: where it will be saved; weights that lie beside it are removed.
    """
    weights = weights_file(path)
    # What saves would append to it.
    weights.unlink(missing_ok=True)
    sizes = [_size(tensor) for tensor in model.graph.initializer]
    if sum(sizes) <= MAX_INLINE_BYTES:
        return
    offset = 0
    for tensor, size in zip(model.graph.initializer, sizes, strict=True):
        if size >= _LEAST and tensor.HasField("raw_data"):
            set_external_data(tensor, location=weights.name, offset=offset, length=size)
            offset += -(-size // _PAGE) * _PAGE


def move_graph(source: Path, target: Path) -> None:
    """Put a graph, with its weights, in the place of another of the same name in another folder."""
    weights_file(target).unlink(missing_ok=True)
    if weights_file(source).is_file():
        weights_file(source).replace(weights_file(target))
    source.replace(target)


def _size(tensor: onnx.TensorProto) -> int:
    """Return the bytes of a tensor; asking the protobuf would copy them, and fails above 2 GiB."""
    size: int = prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return size
