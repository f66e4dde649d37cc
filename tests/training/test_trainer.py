"""A training that stops and goes on, and the step that it keeps."""

import errno
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import nn
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

from harness.core.errors import CheckpointError, RecipeError
from harness.core.heads import SequenceClassification
from harness.core.progress import Silent
from training import trainer
from training.experiment import Folders
from training.modules import MaskedLanguageModel, MultiTask, build, freeze
from training.recipe import Compute
from training.states import last_state
from training.trainer import Fitted, Schedule, StepSelection, check_trackers, fit


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors of a few numbers lose time to threads that wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """A linear layer behind dropout, so that the state of the random numbers matters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(4, 2)
        self.drop = nn.Dropout(0.5)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": nn.functional.cross_entropy(self.layer(self.drop(input_ids)), labels)}


class Batches:
    """Ten batches that follow from the step; `stops_at` ends the training as a crash would."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.stops_at = stops_at
        self.seen: list[int] = []

    def __len__(self) -> int:
        return 10

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        if step == self.stops_at:
            message = "killed"
            raise RuntimeError(message)
        self.seen.append(step)
        generator = torch.Generator().manual_seed(step)
        return {"input_ids": torch.randn(8, 4, generator=generator), "labels": torch.arange(8) % 2}


def train(
    folder: Path, batches: Batches, selection: StepSelection | None = None, model: Net | None = None, **compute: Any
) -> tuple[Net, Fitted]:
    model = model or Net()
    options = {"save_every": 3, "report_to": (), "bf16": False, **compute}
    schedule = Schedule(steps=10, learning_rate=0.1, seed=5, compute=Compute(**options))
    place = Folders(folder / "states", folder / "logs")
    return model, fit(model, batches, schedule, place, "test", Silent(), selection)


def weights(model: Net) -> list[float]:
    return model.layer.weight.flatten().tolist()


@pytest.mark.parametrize("stops_at", [2, 5, 9])
def test_resumed_training_ends_bit_by_bit_where_an_uninterrupted_one_does(tmp_path: Path, stops_at: int) -> None:
    whole, _ = train(tmp_path / "whole", Batches())
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "cut", Batches(stops_at))
    resumed, _ = train(tmp_path / "cut", Batches())
    assert weights(resumed) == weights(whole)


def test_resumed_training_asks_only_for_the_steps_that_are_left(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(tmp_path, Batches(8))
    batches = Batches()
    train(tmp_path, batches)
    assert batches.seen == [6, 7, 8, 9]


def test_torn_state_is_passed_over(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(tmp_path, Batches(8))
    torn = tmp_path / "states/checkpoint-7"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_st')
    assert last_state(tmp_path / "states").name == "checkpoint-6"


def test_accumulated_parts_train_as_the_whole_batch_does(tmp_path: Path) -> None:
    def trained(folder: str, parts: int) -> list[float]:
        model = Net()
        model.drop.p = 0.0
        return weights(train(tmp_path / folder, Batches(), model=model, accumulation=parts)[0])

    assert trained("parts", 4) == pytest.approx(trained("whole", 1), abs=1e-5)


def select(scores: Sequence[float], **options: Any) -> StepSelection:
    left = iter(scores)
    return StepSelection(evaluate=lambda: next(left), evaluations=5, **options)


def test_weights_of_the_best_step_are_kept(tmp_path: Path) -> None:
    kept: dict[int, list[float]] = {}
    model = Net()
    scores = iter([1.0, 3.0, 2.0, 3.0, 0.0])

    def evaluate() -> float:
        kept[len(kept)] = weights(model)
        return next(scores)

    model, fitted = train(tmp_path, Batches(), StepSelection(evaluate=evaluate, evaluations=5), model)
    # Evaluated after steps 2, 4, 6, 8 and 10; the first of equals wins.
    assert (fitted.step, weights(model)) == (4, kept[1])
    assert [found.step for found in fitted.evaluations] == [2, 4, 6, 8, 10]


def test_training_without_selection_keeps_the_last_step(tmp_path: Path) -> None:
    assert train(tmp_path, Batches())[1].step == 10


def test_training_stops_when_patience_is_over(tmp_path: Path) -> None:
    batches = Batches()
    _, fitted = train(tmp_path, batches, select([1.0, 0.5, 0.4, 9.0, 9.0], patience=2))
    assert (fitted.step, len(batches.seen)) == (2, 6)


def test_resumed_training_remembers_the_best_step(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(tmp_path, Batches(8), select([1.0, 5.0, 2.0, 3.0, 0.0]))
    reported = json.loads((tmp_path / "states/evaluations.json").read_text())
    assert [found["step"] for found in reported] == [2, 4, 6, 8]
    _, fitted = train(tmp_path, Batches(), select([2.0, 3.0, 0.0]))
    # The state is that of step 6, so steps 8 and 10 are evaluated again, and step 4 stays the best.
    assert (fitted.step, [found.score for found in fitted.evaluations]) == (4, [1.0, 5.0, 2.0, 2.0, 3.0])


class Interrupted(Batches):
    """As `Batches`; at one step the user presses Ctrl-C so many times."""

    def __init__(self, step: int, times: int = 1) -> None:
        super().__init__()
        self.step = step
        self.times = times

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        for _ in range(self.times if step == self.step else 0):
            signal.raise_signal(signal.SIGINT)
        return super().__getitem__(step)


# The state of step 5 is none of `save_every`, that of step 10 is the last.
@pytest.mark.parametrize("step", [4, 9])
def test_stopped_training_goes_on_after_the_step_that_ran(tmp_path: Path, step: int) -> None:
    whole, _ = train(tmp_path / "whole", Batches())
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", Interrupted(step))
    last = last_state(tmp_path / "cut/states")
    batches = Batches()
    resumed, fitted = train(tmp_path / "cut", batches)
    assert last is not None
    # The loader is one batch ahead of the step that runs.
    assert batches.seen == list(range(int(last.name.partition("-")[2]), 10))
    assert int(last.name.partition("-")[2]) in (step, step + 1)
    assert (weights(resumed), fitted.step) == (weights(whole), 10)


def test_second_interrupt_leaves_the_state_before(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, Interrupted(4, times=2))
    assert [path.name for path in (tmp_path / "states").glob("checkpoint-*")] == ["checkpoint-3"]


def test_training_that_ran_out_of_patience_does_not_go_on_when_it_is_resumed(tmp_path: Path) -> None:
    scores = iter([1.0, 0.5, 0.4])

    def evaluate() -> float:
        score = next(scores)
        if score == 0.4:
            signal.raise_signal(signal.SIGINT)
        return score

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, Batches(), StepSelection(evaluate=evaluate, evaluations=5, patience=2))
    batches = Batches()
    _, fitted = train(tmp_path, batches, select([], patience=2))
    assert (fitted.step, batches.seen) == (2, [])


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
    ],
    ids=["python", "safetensors", "torch"],
)
def test_full_disk_is_told_and_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    write = trainer.save_model

    def save(model: nn.Module, path: str) -> None:
        write(model, path)
        if "checkpoint-6" in path:
            raise failure

    monkeypatch.setattr(trainer, "save_model", save)
    with pytest.raises(CheckpointError, match=r"cannot be written to .*; free space and train again"):
        train(tmp_path, Batches())
    assert [path.name for path in (tmp_path / "states").glob("checkpoint-*")] == ["checkpoint-3"]


def test_full_disk_while_the_best_weights_are_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(model: nn.Module, path: str) -> None:
        message = "No space left on device (os error 28)"
        raise SafetensorError(message)

    monkeypatch.setattr(trainer, "save_model", save)
    with pytest.raises(CheckpointError, match="No space left"):
        train(tmp_path, Batches(), select([1.0]))


def encoder_config() -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=20, type_vocab_size=1, pad_token_id=1,
    )  # fmt: skip


class Sentences:
    """Twenty batches of one classification task: two kinds of sentences, one of high pieces."""

    def __init__(self, **more: object) -> None:
        self._more = more

    def __len__(self) -> int:
        return 20

    def __getitem__(self, step: int) -> dict[str, object]:
        ids = torch.randint(4, 21, (8, 8), generator=torch.Generator().manual_seed(step))
        labels = torch.arange(8) % 2
        ids += 18 * labels[:, None]
        return {**self._more, "input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


class MaskedSentences(Sentences):
    """The same as text: the fourth piece says the kind."""

    def __getitem__(self, step: int) -> dict[str, object]:
        batch = super().__getitem__(step)
        ids = batch["input_ids"]
        labels = torch.full_like(ids, -100)
        labels[:, 3] = 4 + batch["labels"]
        return {**batch, "labels": labels}


HEAD = SequenceClassification(("low", "high"))


def masked() -> nn.Module:
    return MaskedLanguageModel(XLMRobertaForMaskedLM(encoder_config()))


def two_heads() -> nn.Module:
    model = MultiTask({"first": HEAD, "second": HEAD}, XLMRobertaModel(encoder_config(), add_pooling_layer=False))
    freeze(model.encoder, 1)
    return model


def one_head() -> nn.Module:
    return build(HEAD, XLMRobertaModel(encoder_config(), add_pooling_layer=False))


#: Each phase's module, and batches it learns from.
PHASES = [(masked, MaskedSentences()), (two_heads, Sentences(task="second")), (one_head, Sentences())]


def losses(folder: Path, make: Callable[[], nn.Module], batches: Sentences, **compute: bool) -> list[float]:
    torch.manual_seed(1)
    options = {"save_every": 100, "report_to": (), "bf16": False, **compute}
    schedule = Schedule(steps=len(batches), learning_rate=2e-2, seed=5, compute=Compute(**options))
    fitted = fit(make(), batches, schedule, Folders(folder / "states", folder / "logs"), "test", Silent())
    return [entry["loss"] for entry in fitted.losses]


@pytest.mark.parametrize(("make", "batches"), PHASES, ids=["pretrained", "intermediate", "target"])
def test_checkpointed_gradients_train_as_kept_ones_do(
    tmp_path: Path, make: Callable[[], nn.Module], batches: Sentences
) -> None:
    kept = losses(tmp_path / "kept", make, batches)
    assert losses(tmp_path / "again", make, batches, gradient_checkpointing=True) == pytest.approx(kept, abs=1e-3)
    assert kept[-1] < 0.8 * kept[0]


def test_layers_are_computed_again_only_where_the_recipe_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    apply = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        "transformers.modeling_utils.checkpoint", lambda *args, **rest: (calls.append(args), apply(*args, **rest))[1]
    )
    losses(tmp_path / "kept", two_heads, Sentences(task="first"))
    assert not calls
    losses(tmp_path / "again", two_heads, Sentences(task="first"), gradient_checkpointing=True)
    assert len(calls) == 20 * 2


@pytest.mark.parametrize(("make", "batches"), PHASES, ids=["pretrained", "intermediate", "target"])
def test_bf16_learns(tmp_path: Path, make: Callable[[], nn.Module], batches: Sentences) -> None:
    full = losses(tmp_path / "full", make, batches)
    half = losses(tmp_path / "half", make, batches, bf16=True)
    # Near, but rounded otherwise; equal ones would mean that nothing was computed in bf16.
    assert half != full
    assert half == pytest.approx(full, abs=0.15)
    assert half[-1] < 0.8 * half[0]


def test_bf16_is_of_one_training_and_not_of_the_next(tmp_path: Path) -> None:
    before = losses(tmp_path / "before", *PHASES[2])
    losses(tmp_path / "half", *PHASES[2], bf16=True)
    assert losses(tmp_path / "after", *PHASES[2]) == before


def test_weights_trained_in_bf16_are_whole_numbers_of_32_bits(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = one_head()
    schedule = Schedule(steps=2, learning_rate=2e-2, seed=5, compute=Compute(bf16=True, report_to=()))
    fit(model, Sentences(), schedule, Folders(tmp_path / "states", tmp_path / "logs"), "test", Silent())
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {torch.float32}


def test_bf16_on_a_device_without_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "an old card")
    with pytest.raises(RecipeError, match="an old card has no bf16; set it to false"):
        losses(tmp_path, *PHASES[2], bf16=True)


def test_tracker_that_nobody_knows_is_refused() -> None:
    with pytest.raises(RecipeError, match="no tracker 'tensorbord', did you mean 'tensorboard'"):
        check_trackers(Compute(report_to=("tensorbord",)))


def test_tracker_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer.integrations, "get_available_reporting_integrations", lambda: ["tensorboard"])
    check_trackers(Compute(report_to=("tensorboard",)))
    with pytest.raises(RecipeError, match="'wandb', which is not installed"):
        check_trackers(Compute(report_to=("tensorboard", "wandb")))
