"""OpenVINO's runtime on the exported ONNX file, for throughput as its documentation says.

https://docs.openvino.ai/2025/openvino-workflow/running-inference/optimize-inference/high-level-performance-hints.html:
``core.compile_model(path, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})`` with the asynchronous API and as many
requests in flight as ``OPTIMAL_NUMBER_OF_INFER_REQUESTS`` says; inference precision f32; 32 texts in file
order, padded to the longest of them.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from benchmarks.compare.peers.texts import ROWS, LabelDecision, Text, batches, decide
from harness.core.errors import MissingExtra
from harness.core.machine import cores
from harness.core.tensors import Tensors

try:
    import openvino  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingExtra(error.name or "openvino", "bench") from error

Hint: TypeAlias = Literal["THROUGHPUT", "LATENCY"]


class Compiled:
    """A graph compiled for the CPU in fp32, threads = cores."""

    def __init__(self, graph: Path, hint: Hint) -> None:
        """Compile.

        Args:
            graph: an ONNX file.
            hint: THROUGHPUT answers several batches at a time, LATENCY one with all cores.
        """
        settings = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": cores()}
        self._model = openvino.Core().compile_model(str(graph), "CPU", settings)
        # As AsyncInferQueue does, but without its callbacks: those run on threads of its own, and after some tests
        # one of them aborted the process (OpenVINO 2026.4.1).
        count = self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._requests = [self._model.create_infer_request() for _ in range(count)]
        self._outputs = [output.get_any_name() for output in self._model.outputs]

    def answer(self, batches: Iterable[Tensors]) -> list[dict[str, NDArray[np.float32]]]:
        """Return the outputs of each batch by name, in order."""
        found: list[dict[str, NDArray[np.float32]]] = []
        waiting: deque[Any] = deque()
        free = list(self._requests)
        for batch in batches:
            if not free:
                free.append(self._finished(waiting.popleft(), found))
            request = free.pop()
            request.start_async(dict(batch))
            waiting.append(request)
        while waiting:
            self._finished(waiting.popleft(), found)
        return found

    def _finished(self, request: Any, found: list[dict[str, NDArray[np.float32]]]) -> Any:
        request.wait()
        found.append({name: request.get_tensor(name).data.copy() for name in self._outputs})
        return request


class OpenVino:
    """A contender: text to label by OpenVINO's runtime."""

    name = f"OpenVINO runtime, hint THROUGHPUT, f32, batches of {ROWS} in file order"

    def __init__(self, graph: Path, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> None:
        self._compiled = Compiled(graph, "THROUGHPUT")
        self._tokenizer, self._batches = tokenizer, batches(texts)
        self.decisions: list[LabelDecision] = []

    def warm_up(self) -> None:
        """Answer the first batch."""
        self._answer(self._batches[:1])

    def run(self) -> None:
        """Answer every batch."""
        self.decisions = self._answer(self._batches)

    def _answer(self, texts: Iterable[tuple[list[str], list[str] | None]]) -> list[LabelDecision]:
        tokenized = (dict(self._tokenizer(*batch, padding=True, return_tensors="np")) for batch in texts)
        return [decision for answer in self._compiled.answer(tokenized) for decision in decide(answer["logits"])]
