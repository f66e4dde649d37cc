"""The baseline: a checkpoint in PyTorch eager mode, batches in file order.

It runs as the classification script of the benchmark's repository does (google-research/xtreme@838c13b
third_party/run_classify.py): a sequential loader for each language's file, every row padded to the
maximal length. What can be done before the clock starts is done before: tokenization, padding
and the tensors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging

from benchmarks.workload import Workload, file_order
from harness.errors import CheckpointError
from harness.machine import cores
from harness.task import Outputs
from harness.tensors import pad


class EagerTorch:
    """A contender: transformers' own model and attention, threads = cores, inference mode."""

    def __init__(self, directory: Path, workload: Workload, *, rows: int = 32, width: int | Literal["longest"]) -> None:
        padded = "padded to the longest of the batch" if width == "longest" else f"padded to {width}"
        self.name = f"PyTorch eager, file order, batches of {rows}, {padded}"
        self._jobs = len(workload.featurized)
        self._batches: list[tuple[int, dict[str, torch.Tensor]]] = []
        for job, item in enumerate(workload.featurized):
            lengths = [len(feature.input_ids) for feature in item.features]
            for batch in file_order(lengths, rows=rows, width=width):
                tensors = pad([item.features[row].input_ids for row in batch.rows], workload.pad_id, batch.width)
                self._batches.append((job, {name: torch.from_numpy(value) for name, value in tensors.items()}))
        self._model = load_model(directory)
        self._logits: list[tuple[int, NDArray[np.float32]]] = []

    @property
    def padded_tokens(self) -> int:
        """Return what the hardware computes in one run."""
        return sum(tensors["input_ids"].numel() for _, tensors in self._batches)

    def warm_up(self) -> None:
        """Run the first, the middle and the last batch."""
        for place in sorted({0, len(self._batches) // 2, len(self._batches) - 1}):
            self._answer(self._batches[place][1])

    def run(self) -> None:
        """Run every batch and keep the logits."""
        self._logits = [(job, self._answer(tensors)) for job, tensors in self._batches]

    def outputs(self) -> list[list[Outputs]]:
        """Return the last run's answer to every row of every job."""
        answers: list[list[Outputs]] = [[] for _ in range(self._jobs)]
        for job, logits in self._logits:
            answers[job].extend({"logits": row} for row in logits)
        return answers

    def _answer(self, tensors: dict[str, torch.Tensor]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = self._model(**tensors).logits.numpy()
        return logits


def load_model(directory: Path) -> torch.nn.Module:
    """Return a checkpoint's classifier as transformers loads it by itself, in eval mode.

    Raises:
        CheckpointError: transformers cannot load it.
    """
    torch.set_num_threads(cores())
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(
            directory, local_files_only=True, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        message = f"checkpoint {directory} cannot be loaded by transformers ({error}); run `harness train` again"
        raise CheckpointError(message) from error
    finally:
        logging.set_verbosity(level)
    return model.eval()


def contenders(directory: Path, workload: Workload) -> Sequence[EagerTorch]:
    """Return the baselines of the throughput benchmark, the harder one last."""
    width = workload.max_tokens
    return [EagerTorch(directory, workload, width=width), EagerTorch(directory, workload, width="longest")]
