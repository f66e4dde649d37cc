"""One training in a process of its own, so that its peak of memory is its own: ours, or transformers' Trainer.

All sides get the same rows, the same weights to start with, the same learning rates and so many steps of as many rows.
What they do not share is what is compared: which rows a batch holds, padding, precision, and what is frozen.
`python -m benchmarks.contenders.trainers '{"side": ...}'` prints one line of JSON; `benchmarks.speed.training` starts
it.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers
from torch import nn
from torch.utils.data import Dataset
from transformers import BertConfig, BertModel, Trainer, TrainerCallback, TrainingArguments

from harness.benchmark import finetunes
from harness.core.errors import UsageError
from harness.core.features import Feature
from harness.core.heads import ChoiceScore, DualEncoder
from harness.core.layout import Layout
from harness.core.machine import cores
from harness.core.progress import Advance, Silent
from harness.encoders.bert import E5_ROWS
from harness.tokenization.tokenizer import FastTokenizer
from training.batches import EpochBatches, TrainingSet, by_example
from training.collate import collate
from training.encoders.loading import load_encoder
from training.experiment import Folders
from training.measure import useful_tokens
from training.modules import build, freeze
from training.recipe import Compute
from training.trainer import Schedule, fit


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One training of one side."""

    side: str
    data: str
    finetune: str
    tokenizer: str
    #: A folder with an encoder; random weights in the shape of multilingual-e5-small where None.
    checkpoint: str | None = None
    #: Of random weights.
    layers: int = 12
    vocabulary: int = E5_ROWS
    examples: int
    rows: int
    #: Timed optimiser steps, and those before, which allocate memory and choose kernels.
    steps: int
    warmup: int
    learning_rate: float
    seed: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one training took and learned."""

    seconds: float
    #: Useful tokens of the timed steps.
    tokens: int
    #: Of the process, in bytes: resident memory, or that of the GPU.
    peak_bytes: int
    #: Of each step, the ones before the clock included.
    losses: list[float]
    #: Tokens computed over useful ones.
    padding: float


@dataclass(frozen=True, slots=True)
class Side:
    """One way to train."""

    name: str
    #: None for ours; what transformers' Trainer is given beside its defaults.
    arguments: Mapping[str, Any] | None
    frozen: bool


OURS = Side("ours", None, frozen=True)
#: Names -> ways to train; `embeddings` says that these are trained too.
SIDES = {
    "ours": OURS,
    "embeddings": Side("ours, embeddings trained", None, frozen=False),
    "defaults": Side("transformers' Trainer with its defaults: fp32, random batches", {}, frozen=False),
    "best": Side(
        "transformers' Trainer at its best: bf16, group_by_length, sdpa, frozen embeddings, fused AdamW",
        {"bf16": True, "group_by_length": True, "optim": "adamw_torch_fused"},
        frozen=True,
    ),
}


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.ends.append(_now())


class _Progress(Silent):
    """Notes when each step of ours ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    @contextmanager
    def step(self, description: str, total: int, unit: str) -> Iterator[Advance]:
        """See `harness.core.progress.Progress`."""
        yield lambda _: self.ends.append(_now())


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def run(job: Job) -> Measured:
    """Train once.

    Raises:
        UsageError: there is no such side, or the training set's rows are no batch of transformers' Trainer.
        DataError: a file is missing.
    """
    side = SIDES[job.side]
    torch.set_num_threads(cores())
    transformers.utils.logging.set_verbosity_error()
    examples, head, pad_id = _examples(job)
    transformers.set_seed(job.seed)
    model = build(head, _encoder(job))
    # The default attention of transformers in either case; its fused kernel has no dropout on a CPU.
    freeze(model.base_model, 0 if side.frozen else None)
    steps = job.warmup + job.steps
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        if side.arguments is None:
            batches = EpochBatches(
                TrainingSet(job.finetune, "en", head, examples),
                rows=job.rows,
                steps=steps,
                seed=job.seed,
                pad_id=pad_id,
            )
            progress = _Progress()
            compute = Compute(save_every=steps + 1, report_to=())
            schedule = Schedule(steps=steps, learning_rate=job.learning_rate, seed=job.seed, compute=compute)
            found = fit(model, batches, schedule, Folders(Path(folder), Path(folder)), "training", progress)
            counted = [useful_tokens(batches[step]) for step in range(steps)]
            padding = next(iter(found.computed.padding.values())) if found.computed is not None else 1.0
            ends, losses = progress.ends, [entry["loss"] for entry in found.losses]
        else:
            ends, losses, counted, padding = _theirs(job, side, model, examples, pad_id, Path(folder), head)
    return Measured(
        seconds=ends[-1] - ends[job.warmup - 1],
        tokens=sum(counted[job.warmup : steps]),
        peak_bytes=_peak(),
        losses=losses,
        padding=padding,
    )


def _examples(job: Job) -> tuple[Sequence[Sequence[Feature]], Any, int]:
    layout = Layout.at(Path(job.data))
    finetune = finetunes.bound(job.finetune, layout)
    if finetune.train is None or isinstance(finetune.head, ChoiceScore | DualEncoder):
        message = f"training set {job.finetune!r} has no plain rows to train on; take mnli, squad or udpos"
        raise UsageError(message)
    tokenizer = FastTokenizer(Path(job.tokenizer))
    read = finetune.train.read(layout, "en", "train")[: job.examples]
    return by_example(finetune.featurizer(read, tokenizer)), finetune.head, tokenizer.pad_id


def _encoder(job: Job) -> transformers.PreTrainedModel:
    if job.checkpoint is not None:
        return load_encoder(job.checkpoint, None, tokenizer=Path(job.tokenizer))
    shape = BertConfig(
        vocab_size=job.vocabulary, hidden_size=384, num_hidden_layers=job.layers, num_attention_heads=12,
        intermediate_size=1536, max_position_embeddings=512, pad_token_id=1,
    )  # fmt: skip
    return BertModel(shape, add_pooling_layer=False)


class _Rows(Dataset[dict[str, Any]]):
    """One example an item, as a `datasets` table would give it."""

    def __init__(self, examples: Sequence[Sequence[Feature]]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        features = self._examples[index]
        # Rows are grouped by the length of these.
        return {"features": features, "input_ids": features[0].input_ids}


def _theirs(
    job: Job, side: Side, model: nn.Module, examples: Any, pad_id: int, folder: Path, head: Any
) -> tuple[list[float], list[float], list[int], float]:
    """Train with transformers' Trainer; return when steps ended, losses, useful tokens a step, and the padding."""
    counted: list[int] = []
    computed: list[int] = []

    def collator(items: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        # Padded to the longest, as its own collators do.
        batch = collate(head, [feature for item in items for feature in item["features"]], pad_id)
        counted.append(useful_tokens(batch))
        computed.append(batch["attention_mask"].numel())
        return batch

    steps = job.warmup + job.steps
    clock = _Clock()
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=job.rows, learning_rate=job.learning_rate,
        warmup_ratio=0.1, weight_decay=0.01, seed=job.seed, report_to=[], save_strategy="no", logging_steps=1,
        disable_tqdm=True, remove_unused_columns=False, use_cpu=not torch.cuda.is_available(), **(side.arguments or {}),
    )  # fmt: skip
    trainer = Trainer(
        model=model, args=arguments, train_dataset=_Rows(examples), data_collator=collator, callbacks=[clock]
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    return clock.ends, losses, counted, sum(computed[:steps]) / sum(counted[:steps])


def _peak() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Train once as the command line says, and print what was measured."""
    found = run(msgspec.json.decode(sys.argv[1], type=Job))
    print(json.dumps(msgspec.to_builtins(found)))


if __name__ == "__main__":
    main()
