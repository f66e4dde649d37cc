"""Triton's model configuration as protobuf: the only module that reads the text of a config.pbtxt."""

import os
from typing import Any

from harness.core.errors import MissingExtra

# gRPC's core writes each failed handshake to stderr, beside the error that reports it. It is set before the first
# import of tritonclient, which is here: `harness.inference.endpoints.triton` imports this module.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
try:
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2
except ImportError as error:
    raise MissingExtra(package="tritonclient", extra="triton") from error

_DTYPES = {model_config_pb2.TYPE_INT64: "int64", model_config_pb2.TYPE_FP32: "float32"}


def parse_config(text: str) -> Any:
    """Return the message `inference.ModelConfig` that the text of a config.pbtxt stands for.

    Raises:
        ValueError: the text is not one; says where.
    """
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ValueError(str(error)) from error


def config_json(text: str) -> dict[str, Any]:
    """Return the text of a config.pbtxt in the JSON form that a server loads a model with.

    Raises:
        ValueError: see `parse_config`.
    """
    value: dict[str, Any] = json_format.MessageToDict(parse_config(text), preserving_proto_field_name=True)
    return value


def dtype_name(data_type: int) -> Any:
    """Return the name of a tensor's `data_type` as `TensorSpec` has it; Triton's own for one that no head has."""
    return _DTYPES.get(data_type) or model_config_pb2.DataType.Name(data_type)
