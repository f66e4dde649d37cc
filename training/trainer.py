"""transformers' Trainer, with given batches in a given order, states in a given folder, and the best step kept.

A step is computed in parts (`training.parts`) and without padding (`training.unpadded`), unless the recipe says
`unpadded = false`: then it is one padded batch, as transformers' own Trainer computes it.
"""

import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers
from safetensors.torch import load_model, save_model
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import integration_utils as integrations

from harness.artifacts.checkpoint import ComputeRecord
from harness.core.errors import CheckpointError, RecipeError, nearest
from harness.core.progress import Progress
from training.distributed import any_of_all, rank, wait, world
from training.encoders.networks import networks_of
from training.experiment import Folders
from training.parts import part_tokens
from training.precision import VARIABLE, memory, name_of, precision_of
from training.recipe import Compute
from training.shares import Shares
from training.states import last_state, step_of, writable
from training.steps import Parts, record_of
from training.stopping import Stop, stop_on_first_interrupt
from training.unpadded import unpadded

transformers.utils.logging.set_verbosity_error()
logging.getLogger("torch.distributed").setLevel(logging.ERROR)

#: In the folder of states: the best weights so far, and what each evaluation found.
BEST, EVALUATIONS = "best.safetensors", "evaluations.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How one training goes."""

    steps: int
    learning_rate: float
    warmup: float = 0.1
    weight_decay: float = 0.01
    #: Of the subword embeddings; `learning_rate` for all where None.
    embedding_learning_rate: float | None = None
    seed: int
    compute: Compute = field(default_factory=Compute)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSelection:
    """How the best step is found."""

    #: Gives the score of the model as it is; higher is better.
    evaluate: Callable[[], float]
    #: Evaluations over the whole training, the last step's included.
    evaluations: int
    #: Stop after so many evaluations without a better one; never where None.
    patience: int | None = None


@dataclass(frozen=True, slots=True)
class StepScore:
    """What one evaluation found."""

    step: int
    score: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a training went."""

    losses: Sequence[dict[str, float]]
    evaluations: Sequence[StepScore] = ()
    #: The step whose weights were kept; the last one where nothing was selected.
    step: int = 0
    computed: ComputeRecord | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what a checkpoint records of it."""
        return {
            "losses": list(self.losses),
            "evaluations": [asdict(found) for found in self.evaluations],
            "chosen_step": self.step,
            "computed": None if self.computed is None else msgspec.to_builtins(self.computed),
        }


class _From(Sampler[int]):
    """The indices of a dataset in order, from where a resumed training continues."""

    def __init__(self, start: int, size: int) -> None:
        self._start = start
        self._size = size

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._start, self._size))

    def __len__(self) -> int:
        return self._size


class _Ordered(Trainer):  # type: ignore[misc]
    """A Trainer whose dataset already holds whole batches in their order."""

    #: See `Schedule`.
    embedding_learning_rate: float | None = None
    #: Index into the dataset at which training continues.
    start: int = 0
    #: How steps are computed in parts; None for one padded batch.
    parts: Parts | None = None

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss of a step whose gradients were added up, part by part."""
        if self.parts is None:
            loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
            return loss
        model.train()
        total = torch.zeros((), device=self.args.device)
        weighed = self.parts.of(inputs)
        for number, (part, weight) in enumerate(weighed):
            # Of several processes, gradients are exchanged once.
            last = number == len(weighed) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                with self.compute_loss_context_manager():
                    loss = model(**self._prepare_inputs(part))["loss"].mean() * weight
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the Trainer's optimiser, with a group of its own for the subword embeddings."""
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

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches as they are: accelerate would deal out whole ones to the processes."""
        size = len(self.train_dataset)
        return DataLoader(
            self.train_dataset,
            batch_size=1,
            sampler=_From(self.start, size),
            collate_fn=self.data_collator,
            # An iterator draws a seed; from the common generator, that would shift dropout when resumed.
            generator=torch.Generator(),
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir)
        try:
            with writable(folder):
                super()._save_checkpoint(model, trial)
                if self.parts is not None and rank() == 0:
                    self.parts.save(folder / f"checkpoint-{self.state.global_step}")
        except CheckpointError:
            # Half a state would only take the room that is lacking; the one before it is still there.
            shutil.rmtree(folder / f"checkpoint-{self.state.global_step}", ignore_errors=True)
            raise

    def _rotate_checkpoints(self, use_mtime: bool = False, output_dir: str | None = None) -> None:
        # The newest is that of the latest step. Times of writing may be equal, and the Trainer warns of that.
        super()._rotate_checkpoints(use_mtime=False, output_dir=output_dir)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        # Heads share one encoder, which `save_file` refuses and `save_model` writes once.
        save_model(self.model, str(folder / "model.safetensors"))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_model(model or self.model, str(Path(resume_from_checkpoint) / "model.safetensors"))


class _Follow(TrainerCallback):  # type: ignore[misc]
    """Moves the bar, keeps the losses, evaluates, and ends the training where that is wanted."""

    def __init__(
        self, advance: Any, model: nn.Module, folder: Path, every: int, selection: StepSelection | None, stop: Stop
    ) -> None:
        self._advance = advance
        self._model = model
        self._folder = folder
        self._every = every
        self._selection = selection
        self._stop = stop
        #: The step after which the training was stopped by the user, once it was.
        self.stopped: int | None = None
        self.evaluations: list[StepScore] = []

    def goes_on(self, step: int) -> None:
        """Take up what was found before a step; what came after it is found again."""
        path = self._folder / EVALUATIONS
        recorded = json.loads(path.read_text(encoding="ascii")) if path.is_file() else []
        self.evaluations = [StepScore(**found) for found in recorded if found["step"] <= step]
        self._advance(step)

    @property
    def best(self) -> StepScore | None:
        """Return the best evaluation, the first of equals."""
        return max(self.evaluations, key=lambda found: (found.score, -found.step), default=None)

    @property
    def out_of_patience(self) -> bool:
        """Return whether too many evaluations found nothing better."""
        best = self.best
        if best is None or self._selection is None or self._selection.patience is None:
            return False
        return sum(found.step > best.step for found in self.evaluations) >= self._selection.patience

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self._advance(1)
        last = state.global_step == state.max_steps
        if self._selection is not None and (last or state.global_step % self._every == 0):
            self._evaluate(state.global_step, self._selection)
            if self.out_of_patience:
                control.should_training_stop = True
        # All processes stop after the same step, or those that continue would wait for the others.
        if any_of_all(self._stop.requested):
            self.stopped = state.global_step
            control.should_save = control.should_training_stop = True

    def _evaluate(self, step: int, selection: StepSelection) -> None:
        self._model.eval()
        self.evaluations.append(StepScore(step, selection.evaluate()))
        self._model.train()
        best = self.best
        if rank() != 0:
            return
        with writable(self._folder):
            if best is not None and best.step == step:
                save_model(self._model, str(self._folder / BEST))
            recorded = json.dumps([asdict(found) for found in self.evaluations])
            (self._folder / EVALUATIONS).write_text(recorded, encoding="ascii")


def _one(batches: Sequence[Any]) -> Any:
    (batch,) = batches
    return batch


def check_trackers(compute: Compute) -> None:
    """Refuse trackers that transformers does not know, or whose package is not installed.

    Raises:
        RecipeError: names them.
    """
    there = integrations.get_available_reporting_integrations()
    for name in compute.report_to:
        if name not in integrations.INTEGRATION_TO_CALLBACK:
            known = sorted(integrations.INTEGRATION_TO_CALLBACK)
            message = (
                f"[compute] report_to names no tracker {name!r}{nearest(name, known)}; they are {', '.join(known)}"
            )
            raise RecipeError(message)
        if name not in there:
            message = f"[compute] report_to names {name!r}, which is not installed; install it, or leave it out"
            raise RecipeError(message)


def refused_of(model: nn.Module) -> Mapping[str, str]:
    """Return the precisions in which a model is not trained, each with the reason; empty for one of no family."""
    config = next((each.config for each in model.modules() if isinstance(each, PreTrainedModel)), None)
    return {} if config is None else networks_of(config.model_type).family.refused


def fit(
    model: nn.Module,
    batches: Dataset[Any],
    schedule: Schedule,
    folders: Folders,
    description: str,
    progress: Progress,
    selection: StepSelection | None = None,
) -> Fitted:
    """Train a model in place over whole batches, and leave its best weights in it.

    Args:
        model: what is trained.
        batches: one whole batch for each step.
        schedule: how it goes.
        folders: where its states and logs go; a training that was stopped there continues bit by bit as if it had
            not been. `Training.keep` removes it.
        description: what the progress bar says.
        progress: gets every step.
        selection: how the best step is found; the last one is kept without it.

    Raises:
        CheckpointError: a state cannot be written.
        RecipeError: the device has no bf16.
        KeyboardInterrupt: the user stopped the training; a state of its last step is there.
    """
    compute, folder = schedule.compute, folders.states
    if compute.bf16 and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        message = f"[compute] bf16 is true, and {torch.cuda.get_device_name()} has no bf16; set it to false"
        raise RecipeError(message)
    precision = precision_of(compute, refused_of(model))
    # The arguments leave it set, and every later training of the process would be of that precision.
    os.environ[VARIABLE] = precision
    transformers.set_seed(schedule.seed)
    if not folders.resume and rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)
    wait()
    # Without padding a step is cut by its lengths, within what the Trainer takes for one step.
    outer = 1 if compute.unpadded else compute.accumulation
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=schedule.steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=outer,
        gradient_checkpointing=compute.gradient_checkpointing,
        # The other form gives no gradients above frozen embeddings.
        gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=precision == "bf16",
        learning_rate=schedule.learning_rate,
        lr_scheduler_type="linear",
        warmup_ratio=schedule.warmup,
        weight_decay=schedule.weight_decay,
        adam_epsilon=1e-8,
        max_grad_norm=1.0,
        logging_dir=str(folders.logs),
        logging_steps=max(1, schedule.steps // 20),
        save_strategy="steps",
        save_steps=compute.save_every,
        save_total_limit=1,
        ignore_data_skip=True,
        report_to=list(compute.report_to),
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        # A step trains the heads of one task.
        ddp_find_unused_parameters=world() > 1,
        seed=schedule.seed,
        use_cpu=not torch.cuda.is_available(),
    )
    shares = Shares(batches, parts=outer, rank=rank(), world=world())
    with (
        unpadded(model) if compute.unpadded else nullcontext() as without,
        progress.step(description, schedule.steps, "steps") as advance,
        stop_on_first_interrupt(progress.say) as stop,
    ):
        every = math.ceil(schedule.steps / selection.evaluations) if selection else schedule.steps
        follow = _Follow(advance, model, folder, every, selection, stop)
        trainer = _Ordered(model=model, args=arguments, train_dataset=shares, data_collator=_one, callbacks=[follow])
        trainer.embedding_learning_rate = schedule.embedding_learning_rate
        trainer.remove_callback(transformers.PrinterCallback)
        if without is not None:
            trainer.parts = Parts(without, tokens=part_tokens(model, memory()), at_least=compute.accumulation)
        state = last_state(folder)
        if state is not None:
            done = step_of(state)
            trainer.start = done * outer
            follow.goes_on(done)
            if trainer.parts is not None:
                trainer.parts.resume(state)
            if follow.out_of_patience:
                trainer.start = len(shares)
        try:
            trainer.train(resume_from_checkpoint=None if state is None else str(state))
        except OSError as error:
            message = f"a state of the training cannot be written to {folder} ({error}); free space and train again"
            raise CheckpointError(message) from error
        finally:
            # accelerate lets a model compute in the training's precision for good.
            trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    wait()
    if follow.stopped is not None:
        progress.say(f"{description}: stopped after step {follow.stopped:,}; the same command resumes there")
        raise KeyboardInterrupt
    best = follow.best
    if best is not None:
        load_model(model, str(folder / BEST))
    model.eval()
    losses = [
        {"step": entry["step"], "loss": round(float(entry["loss"]), 4)}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
    computed = record_of(model, name_of(precision), trainer.parts)
    return Fitted(losses, follow.evaluations, trainer.state.global_step if best is None else best.step, computed)
