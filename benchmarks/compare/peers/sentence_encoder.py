"""sentence-transformers with its ONNX backend, as its documentation says.

https://sbert.net/docs/sentence_transformer/usage/efficiency.html:
``SentenceTransformer(..., backend="onnx")`` and ``encode(sentences)`` by its defaults: sorted by length,
batches of 32. Built from local files: the graph of token vectors that stops at the layer that ours stops
at, and the library's own mean pooling and normalisation.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare.peers.texts import Text
from harness.core.errors import MissingExtra
from harness.core.machine import cores

try:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
except ImportError as error:
    raise MissingExtra(error.name or "sentence_transformers", "bench") from error


class SentenceEncoder:
    """A contender: text to unit vector by `encode`, threads = cores."""

    name = 'sentence-transformers backend="onnx", encode() by default: sorted, batches of 32'

    def __init__(self, folder: Path, width: int, texts: Sequence[Text]) -> None:
        """Load.

        Args:
            folder: a local model whose model.onnx gives `last_hidden_state`.
            width: of the vectors.
            texts: single sentences.
        """
        from onnxruntime import SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = cores()
        encoder = Transformer(
            str(folder),
            backend="onnx",
            model_kwargs={
                "provider": "CPUExecutionProvider",
                "session_options": options,
                "file_name": "model.onnx",
                "export": False,
                "local_files_only": True,
            },
        )
        self._model = SentenceTransformer(modules=[encoder, Pooling(width, "mean"), Normalize()], device="cpu")
        self._texts = [text.first for text in texts]
        self.vectors: NDArray[np.float32] = np.zeros((0, width), dtype=np.float32)

    def warm_up(self) -> None:
        """Encode the first text."""
        self._encode(self._texts[:1])

    def run(self) -> None:
        """Encode every text."""
        self.vectors = self._encode(self._texts)

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        return np.asarray(self._model.encode(texts, show_progress_bar=False), dtype=np.float32)
