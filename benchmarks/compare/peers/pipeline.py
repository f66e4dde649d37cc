"""transformers' pipeline, as https://huggingface.co/docs/transformers/main_classes/pipelines says.

``pipe = pipeline("text-classification", model=..., tokenizer=...)`` and ``pipe(list_of_texts)``; a pair is
``{"text": ..., "text_pair": ...}``. It does not batch by default: "batching is not automatically a win".
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, pipeline

from benchmarks.compare.peers.texts import LabelDecision, Text
from harness.core.machine import cores


class Pipeline:
    """A contender: text to label by the pipeline's defaults, threads = cores."""

    name = "transformers pipeline, its default: one text at a time"

    def __init__(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text]) -> None:
        torch.set_num_threads(cores())
        self._pipe = pipeline("text-classification", model=network, tokenizer=tokenizer, device="cpu")
        self._texts: list[dict[str, str]] = [
            {"text": text.first} if text.second is None else {"text": text.first, "text_pair": text.second}
            for text in texts
        ]
        self._labels = network.config.label2id
        self.decisions: list[LabelDecision] = []

    def warm_up(self) -> None:
        """Answer the first text."""
        self._pipe(self._texts[:1])

    def run(self) -> None:
        """Answer every text."""
        self.decisions = [
            LabelDecision(self._labels[answer["label"]], float(answer["score"])) for answer in self._pipe(self._texts)
        ]
