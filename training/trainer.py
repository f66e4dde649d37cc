"""transformers' Trainer, told which batch each step sees and how to show that it goes on."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from harness.progress import Progress

transformers.utils.logging.set_verbosity_error()
logging.getLogger("torch.distributed").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How one training goes."""

    steps: int
    learning_rate: float
    warmup: float = 0.1
    weight_decay: float = 0.01
    #: Of the piece embeddings; `learning_rate` for all where None.
    embedding_learning_rate: float | None = None
    seed: int


class _Ordered(Trainer):  # type: ignore[misc]
    """A Trainer whose dataset already holds whole batches in their order."""

    #: See `Schedule`.
    embedding_learning_rate: float | None = None

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the Trainer's optimiser, with a group of its own for the piece embeddings."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(*([model] if model is not None else []))
        if self.embedding_learning_rate is not None:
            words = {id(value) for name, value in self.model.named_parameters() if "word_embeddings" in name}
            for group in list(optimizer.param_groups):
                own = [value for value in group["params"] if id(value) in words]
                if own:
                    group["params"] = [value for value in group["params"] if id(value) not in words]
                    settings = {name: value for name, value in group.items() if name not in ("params", "lr")}
                    optimizer.add_param_group({**settings, "params": own, "lr": self.embedding_learning_rate})
        return optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)


class _Follow(TrainerCallback):  # type: ignore[misc]
    """Moves the bar and keeps the losses."""

    def __init__(self, advance: Any) -> None:
        self._advance = advance
        self.losses: list[dict[str, float]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self._advance(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append({"step": state.global_step, "loss": round(float(logs["loss"]), 4)})


def _one(batches: Sequence[Any]) -> Any:
    (batch,) = batches
    return batch


def fit(
    model: nn.Module, batches: Dataset[Any], schedule: Schedule, description: str, progress: Progress
) -> list[dict[str, float]]:
    """Train a model in place over whole batches; return the losses that were logged."""
    transformers.set_seed(schedule.seed)
    with tempfile.TemporaryDirectory(prefix="harness-train-") as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=schedule.steps,
            per_device_train_batch_size=1,
            learning_rate=schedule.learning_rate,
            lr_scheduler_type="linear",
            warmup_ratio=schedule.warmup,
            weight_decay=schedule.weight_decay,
            adam_epsilon=1e-8,
            max_grad_norm=1.0,
            logging_steps=max(1, schedule.steps // 20),
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            seed=schedule.seed,
            use_cpu=not torch.cuda.is_available(),
        )
        with progress.step(description, schedule.steps, "steps") as advance:
            follow = _Follow(advance)
            trainer = _Ordered(
                model=model, args=arguments, train_dataset=batches, data_collator=_one, callbacks=[follow]
            )
            trainer.embedding_learning_rate = schedule.embedding_learning_rate
            trainer.remove_callback(transformers.PrinterCallback)
            trainer.train()
    model.eval()
    return follow.losses
