"""Optimum's ORTModelForSequenceClassification, as its page says.

https://huggingface.co/docs/optimum-onnx/onnxruntime/package_reference/modeling_ort:

``inputs = tokenizer(..., return_tensors="pt")`` and ``model(**inputs).logits``. The page names no batch size:
32 texts in file order, padded to the longest of them (``padding=True``).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from onnxruntime import SessionOptions
from transformers import PreTrainedTokenizerBase

from benchmarks.compare.peers.texts import ROWS, LabelDecision, Text, batches, decide
from harness.core.errors import MissingExtra
from harness.core.machine import cores

try:
    from optimum.onnxruntime import ORTModelForSequenceClassification
except ImportError as error:
    raise MissingExtra(error.name or "optimum", "export") from error


class OrtModel:
    """A contender: text to label by Optimum, threads = cores."""

    name = f"Optimum ORTModelForSequenceClassification, batches of {ROWS} in file order"

    def __init__(self, folder: Path, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> None:
        options = SessionOptions()
        options.intra_op_num_threads = cores()
        self._model = ORTModelForSequenceClassification.from_pretrained(
            folder, session_options=options, provider="CPUExecutionProvider", local_files_only=True
        )
        self._tokenizer, self._batches = tokenizer, batches(texts)
        self.decisions: list[LabelDecision] = []

    def warm_up(self) -> None:
        """Answer the first batch."""
        self._answer(self._batches[0])

    def run(self) -> None:
        """Answer every batch."""
        self.decisions = [decision for batch in self._batches for decision in self._answer(batch)]

    def _answer(self, batch: tuple[list[str], list[str] | None]) -> list[LabelDecision]:
        inputs = self._tokenizer(*batch, padding=True, return_tensors="pt")
        with torch.inference_mode():
            return decide(np.asarray(self._model(**inputs).logits))
