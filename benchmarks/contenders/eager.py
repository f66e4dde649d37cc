"""The baseline: transformers' own network in PyTorch eager mode, batches in file order.

It runs as the scripts of the benchmark's repository do (google-research/xtreme@838c13b third_party/):
a sequential loader for each file, batches of 32.

- classification (run_classify.py): every row padded to the maximal length, 128;
- questions (run_squad.py): every window padded to 384;
- retrieval (evaluate_retrieval.py): all layers computed and returned (`output_hidden_states`), the
  mean over the attended tokens of one of them, rows padded to the longest of the batch.

What can be done before the clock starts is done before: tokenization, padding and the tensors.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, singledispatch
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoModel, AutoModelForQuestionAnswering, AutoModelForSequenceClassification
from transformers.utils import logging

from benchmarks.contenders.workload import Workload, file_order, files
from harness.core.errors import CheckpointError, UsageError
from harness.core.heads import Head, SentenceEmbedding, SequenceClassification, SpanExtraction
from harness.core.machine import cores
from harness.core.task import Outputs
from harness.core.tensors import pad

#: Rows of a batch: `--per_gpu_eval_batch_size 32` of the scripts.
ROWS = 32
#: What a network answers for a padded batch, by the names of the head's signature.
ReadOutputs: TypeAlias = Callable[[nn.Module, Mapping[str, Tensor]], dict[str, Tensor]]


@singledispatch
def answering(head: object, layer: int | None) -> ReadOutputs:
    """Return how the scripts read a head's outputs off transformers' network.

    Args:
        head: the kind of network.
        layer: the hidden state that sentences are compared by, for `SentenceEmbedding`.

    Raises:
        UsageError: the scripts' procedure for such a head is not written here.
    """
    message = f"there is no baseline for a head of type {type(head).__name__}; classify, extract spans or embed"
    raise UsageError(message)


@answering.register
def _(head: SequenceClassification, layer: int | None) -> ReadOutputs:
    return lambda network, inputs: {"logits": network(**inputs).logits}


@answering.register
def _(head: SpanExtraction, layer: int | None) -> ReadOutputs:
    return _spans


@answering.register
def _(head: SentenceEmbedding, layer: int | None) -> ReadOutputs:
    if layer is None:
        message = "sentences are compared by one of the hidden states; which one is not given"
        raise UsageError(message)
    return partial(_embedding, layer)


def _spans(network: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    answers = network(**inputs)
    return {"start_logits": answers.start_logits, "end_logits": answers.end_logits}


def _embedding(layer: int, network: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    hidden = network(**inputs, output_hidden_states=True).hidden_states[layer]
    mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return {"embedding": normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)}


class EagerTorch:
    """A contender: transformers' own network and attention, threads = cores, inference mode."""

    def __init__(
        self,
        network: nn.Module,
        workload: Workload,
        *,
        answer: ReadOutputs,
        rows: int = ROWS,
        width: int | Literal["longest"],
    ) -> None:
        """Prepare every batch.

        Args:
            network: as transformers loads it, in eval mode.
            workload: what to answer.
            answer: reads the outputs off the network.
            rows: of a batch.
            width: that every batch is padded to, or the longest row of each.
        """
        padded = "padded to the longest of the batch" if width == "longest" else f"padded to {width}"
        self.name = f"PyTorch eager, file order, batches of {rows}, {padded}"
        self._workload = workload
        self._answer_of = answer
        #: Job, its rows, and their tensors.
        self._batches: list[tuple[int, tuple[int, ...], dict[str, Tensor]]] = []
        for job, item in enumerate(workload.featurized):
            for file in files(item):
                for batch in file_order([len(item.features[row].input_ids) for row in file], rows=rows, width=width):
                    members = tuple(file[index] for index in batch.rows)
                    tensors = pad([item.features[row].input_ids for row in members], workload.pad_id, batch.width)
                    torched = {name: torch.from_numpy(value) for name, value in tensors.items()}
                    self._batches.append((job, members, torched))
        # The width of an embedding does not matter for which outputs have a tokens axis.
        outputs = workload.task.finetune.head.signature(1).outputs
        self._per_token = {spec.name for spec in outputs if spec.per_token}
        self._network = network
        torch.set_num_threads(cores())
        self._answers: list[dict[str, NDArray[np.float32]]] = []

    @property
    def padded_tokens(self) -> int:
        """Return what the hardware computes in one run."""
        return sum(tensors["input_ids"].numel() for _, _, tensors in self._batches)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Return rows and width of each batch, in order."""
        return [(tensors["input_ids"].shape[0], tensors["input_ids"].shape[1]) for _, _, tensors in self._batches]

    def warm_up(self) -> None:
        """Run the smallest batch."""
        self._answer(min((tensors for _, _, tensors in self._batches), key=lambda each: each["input_ids"].numel()))

    def run(self) -> None:
        """Run every batch and keep the answers."""
        self._answers = [self._answer(tensors) for _, _, tensors in self._batches]

    def outputs(self) -> list[list[Outputs]]:
        """Return the last run's answer to every row of every job, padding cut off."""
        found: list[list[Outputs]] = [[{}] * len(item.features) for item in self._workload.featurized]
        for (job, members, tensors), answers in zip(self._batches, self._answers, strict=True):
            lengths = tensors["attention_mask"].sum(dim=1).tolist()
            for index, row in enumerate(members):
                found[job][row] = {
                    name: value[index, : lengths[index]] if name in self._per_token else value[index]
                    for name, value in answers.items()
                }
        return found

    def _answer(self, tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            return {name: value.numpy() for name, value in self._answer_of(self._network, tensors).items()}


_CLASSES = {
    SequenceClassification: AutoModelForSequenceClassification,
    SpanExtraction: AutoModelForQuestionAnswering,
    SentenceEmbedding: AutoModel,
}


def load_model(directory: Path, head: Head) -> nn.Module:
    """Return a checkpoint's network as transformers loads it by itself, in eval mode.

    Raises:
        CheckpointError: transformers cannot load it.
        UsageError: no baseline is written for the head.
    """
    kind = _CLASSES.get(type(head))
    if kind is None:
        message = f"there is no baseline for a head of type {type(head).__name__}; classify, extract spans or embed"
        raise UsageError(message)
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model: nn.Module = kind.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        message = f"checkpoint {directory} cannot be loaded by transformers ({error}); run `harness train` again"
        raise CheckpointError(message) from error
    finally:
        logging.set_verbosity(level)
    return model.eval()


def contenders(directory: Path, workload: Workload) -> Sequence[EagerTorch]:
    """Return the baselines of the throughput benchmark, the harder one last."""
    head = workload.task.finetune.head
    network, answer = load_model(directory, head), answering(head, None)
    widths: tuple[int | Literal["longest"], ...] = (workload.max_tokens, "longest")
    return [EagerTorch(network, workload, answer=answer, width=width) for width in widths]
