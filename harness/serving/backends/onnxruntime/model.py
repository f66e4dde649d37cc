"""A Python-based Triton backend with the name and the config of the C++ one: ONNX Runtime on the CPU.

Triton runs this file in a stub process per instance; nothing of the project imports it, and it
imports nothing of the project, since it lies alone in the server's backend directory.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

Feed = dict[str, "np.ndarray[Any, Any]"]


class Refusal(Exception):
    """A request that this model cannot answer."""


def _session(graph: Path, parameters: dict[str, str]) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # Never ONNX Runtime's own default, which is all cores of the host for every session.
    options.intra_op_num_threads = int(parameters["intra_op_thread_count"])
    options.inter_op_num_threads = int(parameters["inter_op_thread_count"])
    options.enable_mem_pattern = parameters.get("enable_mem_pattern", "0") != "0"
    # Several sessions share the cores, and spinning threads take them from whichever has work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


class TritonPythonModel:
    """One instance of one served graph."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph; what this raises, Triton reports as the reason why the model did not load."""
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        self._name = args["model_name"]
        missing = {"intra_op_thread_count", "inter_op_thread_count"} - parameters.keys()
        if missing:
            message = f"the config of {self._name!r} lacks {', '.join(sorted(missing))}; publish the model again"
            raise Refusal(message)
        if args["model_instance_kind"] != "CPU":
            message = f"{self._name!r} asks for {args['model_instance_kind']}; this backend answers on the CPU only"
            raise Refusal(message)
        self._vocabulary = int(parameters.get("vocabulary", 0))
        self._inputs = [entry["name"] for entry in config["input"]]
        self._session = _session(Path(args["model_repository"]) / args["model_version"] / "model.onnx", parameters)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request for itself: an exception that left here would fail all of them."""
        answers: list[Any] = [None] * len(requests)
        groups: dict[tuple[Any, ...], list[tuple[int, Feed]]] = {}
        for index, request in enumerate(requests):
            try:
                feed = self._feed(request)
            except Exception as error:  # whatever it is, it must not reach the neighbours
                answers[index] = self._failure(error)
                continue
            key = (feed[self._inputs[0]].shape[1:], frozenset(request.requested_output_names()))
            groups.setdefault(key, []).append((index, feed))
        for (_, outputs), members in groups.items():
            for (index, _feed), answer in zip(members, self._answer(members, sorted(outputs)), strict=True):
                answers[index] = answer
        return answers

    def _feed(self, request: Any) -> Feed:
        feed = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
        shapes = {name: value.shape for name, value in feed.items()}
        if len(set(shapes.values())) > 1:
            message = f"inputs of shapes {shapes}; all must have the same (rows, tokens)"
            raise Refusal(message)
        ids = feed.get("input_ids")
        if self._vocabulary and ids is not None and ids.size and not 0 <= ids.min() <= ids.max() < self._vocabulary:
            message = (
                f"input_ids from {ids.min()} to {ids.max()}, its vocabulary has 0 to {self._vocabulary - 1}; "
                "tokenize with the model's own tokenizer.json"
            )
            raise Refusal(message)
        return feed

    def _answer(self, members: list[tuple[int, Feed]], outputs: list[str]) -> list[Any]:
        """Return a response for each member; all have the same width and ask for the same outputs."""
        try:
            feed = {name: np.concatenate([member[name] for _, member in members]) for name in self._inputs}
            values = self._session.run(outputs, feed)
        except Exception as error:
            if len(members) == 1:
                return [self._failure(error)]
            return [self._answer([member], outputs)[0] for member in members]
        ends = np.cumsum([member[self._inputs[0]].shape[0] for _, member in members])[:-1]
        split = [np.split(value, ends) for value in values]
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor(name, parts[position]) for name, parts in zip(outputs, split, strict=True)]
            )
            for position in range(len(members))
        ]

    def _failure(self, error: Exception) -> Any:
        reason = str(error) if isinstance(error, Refusal) else f"a request that ONNX Runtime refuses: {error}"
        message = f"model {self._name!r} was sent {reason}"
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG))
