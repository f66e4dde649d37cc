"""A Python-based Triton backend with the name and the config of the C++ one: ONNX Runtime on the CPU.

Triton runs this file in a stub process per instance; nothing of the project imports it. Where the
config merges requests (the profile online), they come with unequal lengths, and are packed into the
batches that cost least. Where it does not (the profile evaluation), each request is one batch as it
came, so that no answer depends on another request.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

from harness.core.tensors import NOT_FINITE, row_problem
from harness.inference.planner import BatchPlanner
from harness.serving.padding import PaddingCounters

Feed = dict[str, "np.ndarray[Any, Any]"]
#: What fills up the rows of other inputs than the ids, of the mask above all.
_NOTHING = 0


class BatchMember(NamedTuple):
    """A request's number, and its inputs: arrays of one shape (rows, tokens)."""

    number: int
    feed: Feed


class Refusal(Exception):
    """A request that this model cannot answer."""


class NotFinite(Exception):
    """What the graph computed is no answer, though the request was right."""


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
        self._max_tokens = int(parameters["max_tokens"]) if "max_tokens" in parameters else None
        self._inputs = [entry["name"] for entry in config["input"]]
        self._per_token = {entry["name"] for entry in config["output"] if int(entry["dims"][0]) == -1}
        self._merges = "dynamic_batching" in config
        if self._merges and "pad_id" not in parameters:
            message = f"the config of {self._name!r} merges requests and lacks pad_id; publish the model again"
            raise Refusal(message)
        self._fill = {"input_ids": int(parameters.get("pad_id", _NOTHING))}
        self._planner = BatchPlanner(max_rows=int(config["max_batch_size"]))
        self._padding = PaddingCounters(pb_utils, self._name, args["model_version"])
        self._session = _session(Path(args["model_repository"]) / args["model_version"] / "model.onnx", parameters)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request for itself: an exception that left here would fail all of them."""
        answers: list[Any] = [None] * len(requests)
        groups: dict[frozenset[str], list[BatchMember]] = {}
        for index, request in enumerate(requests):
            try:
                feed = self._feed(request)
            except Exception as error:  # whatever it is, the other requests must not fail by it
                answers[index] = self._failure(error)
                continue
            groups.setdefault(frozenset(request.requested_output_names()), []).append(BatchMember(index, feed))
        for names, members in groups.items():
            for member, answer in self._answers(members, sorted(names)):
                answers[member.number] = answer
        return answers

    def _feed(self, request: Any) -> Feed:
        feed = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
        shapes = {name: value.shape for name, value in feed.items()}
        if len(set(shapes.values())) > 1:
            message = f"inputs of shapes {shapes}; all must have the same (rows, tokens)"
            raise Refusal(message)
        # Nothing of a request without rows comes this far, unless others are merged with it.
        if problem := row_problem(next(iter(feed.values())).shape, self._max_tokens):
            raise Refusal(problem)
        ids = feed.get("input_ids")
        if self._vocabulary and ids is not None and not 0 <= ids.min() <= ids.max() < self._vocabulary:
            message = (
                f"input_ids from {ids.min()} to {ids.max()}, its vocabulary has 0 to {self._vocabulary - 1}; "
                "tokenize with the model's own tokenizer.json"
            )
            raise Refusal(message)
        mask = feed.get("attention_mask")
        if mask is not None and not ((mask == 0) | (mask == 1)).all():
            message = (
                f"attention_mask with values from {mask.min()} to {mask.max()}; give 1 for a token and 0 for padding"
            )
            raise Refusal(message)
        types = feed.get("token_type_ids")
        if types is not None and not ((types == 0) | (types == 1)).all():
            message = (
                f"token_type_ids with values from {types.min()} to {types.max()}; give 0 for the first sequence and "
                "for padding, and 1 for the second"
            )
            raise Refusal(message)
        return feed

    def _answers(self, members: list[BatchMember], outputs: list[str]) -> list[tuple[BatchMember, Any]]:
        """Return a response for each member; all want the same outputs."""
        if not self._merges and len(members) > 1:
            return [pair for member in members for pair in self._answers([member], outputs)]
        try:
            values = self._run(members[0].feed, outputs) if len(members) == 1 else self._packed(members, outputs)
        except Exception as error:
            if len(members) == 1:
                return [(members[0], self._failure(error))]
            return [pair for member in members for pair in self._answers([member], outputs)]
        answers = []
        start = 0
        for member in members:
            rows = len(member.feed[self._inputs[0]])
            own = values if len(members) == 1 else self._own(values, member, start, rows)
            tensors = [pb_utils.Tensor(name, own[name]) for name in outputs]
            answers.append((member, pb_utils.InferenceResponse(tensors)))
            start += rows
        return answers

    def _run(self, feed: Feed, outputs: list[str]) -> dict[str, Any]:
        values = dict(zip(outputs, self._session.run(outputs, feed), strict=True))
        for name, value in values.items():
            if not np.isfinite(value).all():
                message = f"{NOT_FINITE} in {name!r}; export it again with `harness export`"
                raise NotFinite(message)
        self._padding.count(feed)
        return values

    def _packed(self, members: Sequence[BatchMember], outputs: list[str]) -> dict[str, Any]:
        """Return the rows of all members, in their order, each with its padding, run in batches of like lengths."""
        rows = [(member.feed, row) for member in members for row in range(len(member.feed[self._inputs[0]]))]
        answered: dict[str, list[Any]] = {name: [None] * len(rows) for name in outputs}
        for batch in self._planner.plan([feed[self._inputs[0]].shape[1] for feed, _ in rows]):
            padded = {}
            for name in self._inputs:
                fill = self._fill.get(name, _NOTHING)
                padded[name] = np.full((len(batch.rows), batch.width), fill, dtype=rows[0][0][name].dtype)
                for row_index, number in enumerate(batch.rows):
                    feed, row = rows[number]
                    padded[name][row_index, : feed[name].shape[1]] = feed[name][row]
            for name, value in self._run(padded, outputs).items():
                for row_index, number in enumerate(batch.rows):
                    answered[name][number] = value[row_index]
        return answered

    def _own(self, values: dict[str, Any], member: BatchMember, start: int, rows: int) -> dict[str, Any]:
        """Return one member's answers, cut back to its own length."""
        width = member.feed[self._inputs[0]].shape[1]
        return {
            name: np.stack([row[:width] if name in self._per_token else row for row in value[start : start + rows]])
            for name, value in values.items()
        }

    def _failure(self, error: Exception) -> Any:
        if isinstance(error, NotFinite):
            message = f"model {self._name!r} {error}"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INTERNAL))
        reason = str(error) if isinstance(error, Refusal) else f"a request that ONNX Runtime refuses: {error}"
        message = f"model {self._name!r} was sent {reason}"
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG))
