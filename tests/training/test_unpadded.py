"""Training without padding learns what transformers' padded batches teach."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaModel,
)

from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
)
from harness.core.progress import Silent
from training.experiment import Folders
from training.modules import MaskedLanguageModel, MultiTask, build, freeze
from training.parts import parts_of
from training.recipe import Compute
from training.trainer import Schedule, fit
from training.unpadded import rate, unpadded

ROWS, WIDTH = 12, 24
SHAPE = {
    "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 40, "pad_token_id": 1,
}  # fmt: skip
NONE = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def bert(**more: Any) -> PreTrainedModel:
    return BertModel(BertConfig(**SHAPE, **{**NONE, **more}), add_pooling_layer=False)


def xlm_roberta(**more: Any) -> PreTrainedModel:
    return XLMRobertaModel(XLMRobertaConfig(**SHAPE, **{**NONE, **more}), add_pooling_layer=False)


def deberta() -> PreTrainedModel:
    return DebertaV2Model(DebertaV2Config(**SHAPE, **NONE))


def inputs(rows: int = ROWS, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(5, WIDTH + 1, (rows,), generator=generator)
    mask = (torch.arange(WIDTH) < lengths[:, None]).long()
    ids = torch.randint(4, 40, (rows, WIDTH), generator=generator)
    return {"input_ids": torch.where(mask == 1, ids, 1), "attention_mask": mask}


def of_rows() -> dict[str, torch.Tensor]:
    return {**inputs(), "labels": torch.arange(ROWS) % 3}


def of_tokens() -> dict[str, torch.Tensor]:
    found = inputs()
    labels = torch.where(found["attention_mask"] == 1, found["input_ids"] % 3, -100)
    return {**found, "labels": labels}


def of_choices() -> dict[str, torch.Tensor]:
    return {name: value.view(ROWS // 2, 2, WIDTH) for name, value in inputs().items()} | {
        "labels": torch.arange(ROWS // 2) % 2
    }


def of_spans() -> dict[str, torch.Tensor]:
    return {**inputs(), "start_positions": torch.arange(ROWS) % 4, "end_positions": torch.arange(ROWS) % 4 + 1}


def of_pairs() -> dict[str, torch.Tensor]:
    other = inputs(seed=1)
    return {**inputs(), "candidate_ids": other["input_ids"], "candidate_mask": other["attention_mask"]}


HEADS: list[tuple[Head, Callable[[], dict[str, torch.Tensor]]]] = [
    (SequenceClassification(("a", "b", "c")), of_rows),
    (TokenClassification(("a", "b", "c")), of_tokens),
    (ChoiceScore(), of_choices),
    (SpanExtraction(), of_spans),
    (DualEncoder(), of_pairs),
]


def gradients(model: nn.Module, parts: list[tuple[dict[str, Any], float]]) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    model.train()
    total = 0.0
    for part, weight in parts:
        loss = model(**part)["loss"] * weight
        loss.backward()
        total += float(loss.detach())
    return total, {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def padded_spans(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """transformers' padded network, and its loss with the padding left out of the softmax."""
    found = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    padding = batch["attention_mask"] == 0
    start, end = (found[name].masked_fill(padding, -1e30) for name in ("start_logits", "end_logits"))
    return (cross_entropy(start, batch["start_positions"]) + cross_entropy(end, batch["end_positions"])) / 2


@pytest.mark.parametrize("make", [bert, xlm_roberta])
@pytest.mark.parametrize(("head", "batch"), HEADS, ids=[type(head).__name__ for head, _ in HEADS])
@pytest.mark.parametrize("most", [10_000, 40])
def test_loss_and_gradients_are_those_of_the_padded_step(
    make: Callable[..., PreTrainedModel], head: Head, batch: Callable[[], dict[str, torch.Tensor]], most: int
) -> None:
    torch.manual_seed(1)
    model = build(head, make())
    whole = batch()
    if isinstance(head, SpanExtraction):
        model.train()
        loss = padded_spans(model, whole)
        loss.backward()
        expected = float(loss), {name: each.grad.clone() for name, each in model.named_parameters()}
    else:
        expected = gradients(model, [(whole, 1.0)])
    with unpadded(model) as state:
        parts = parts_of(whole, most, unpadded=state.active)
        found = gradients(model, parts)
    assert state.active
    assert isinstance(head, DualEncoder) or len(parts) > 3 or most > 40
    # The dual encoder multiplies cosines, and so their rounding, by 100.
    scale = 100 if isinstance(head, DualEncoder) else 1
    assert found[0] == pytest.approx(expected[0], abs=1e-6 * scale)
    for name, value in expected[1].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-6 * scale, rtol=1e-4)


def test_network_that_keeps_its_padding_has_the_loss_of_the_undivided_step() -> None:
    torch.manual_seed(1)
    model = build(SequenceClassification(("a", "b", "c")), deberta())
    expected, _ = gradients(model, [(of_rows(), 1.0)])
    with unpadded(model) as state:
        parts = parts_of(of_rows(), 10_000, unpadded=state.active)
        found, _ = gradients(model, parts)
    assert (state.active, len(parts) > 2) == (False, True)
    assert found == pytest.approx(expected, abs=1e-6)


def test_every_hidden_state_is_padded_again() -> None:
    torch.manual_seed(1)
    model = MaskedLanguageModel(XLMRobertaForMaskedLM(XLMRobertaConfig(**SHAPE, **NONE)))
    batch = {**of_tokens(), "aligned": torch.tensor(ROWS // 2)}
    expected = gradients(model, [(batch, 1.0)])
    with unpadded(model):
        found = gradients(model, [(batch, 1.0)])
    assert found[0] == pytest.approx(expected[0], abs=2e-6)
    for name, value in expected[1].items():
        torch.testing.assert_close(found[1][name], value, atol=2e-6, rtol=1e-4)


def test_model_computes_as_before_afterwards() -> None:
    torch.manual_seed(1)
    model = build(SpanExtraction(), bert(hidden_dropout_prob=0.1))
    before = {name: dict(module.__dict__) for name, module in model.named_modules()}
    with unpadded(model):
        assert any("forward" in module.__dict__ for module in model.modules())
    assert {name: dict(module.__dict__) for name, module in model.named_modules()} == before


@pytest.mark.parametrize(("dropout", "drawn"), [(0.1, 26 / 256), (0.5, 0.5), (0.001, 0.001)])
def test_states_are_dropped_at_the_rate_that_is_recorded(dropout: float, drawn: float) -> None:
    torch.manual_seed(1)
    layer = nn.Dropout(dropout)
    states = torch.ones(1000, 1000)
    with unpadded(layer):
        found = layer(states)
        layer.eval()
        assert torch.equal(layer(states), states)
    assert rate(dropout) == drawn
    # 1e6 draws: five standard deviations.
    assert float((found == 0).float().mean()) == pytest.approx(drawn, abs=5 * (drawn / 1e6) ** 0.5)
    assert float(found.max()) == pytest.approx(1 / (1 - drawn))


class Steps:
    """Ten steps of rows of many lengths; `stops_at` ends the training as a crash would."""

    def __init__(self, stops_at: int | None = None, **more: Any) -> None:
        self.stops_at = stops_at
        self.more = more

    def __len__(self) -> int:
        return 10

    def __getitem__(self, step: int) -> dict[str, Any]:
        if step == self.stops_at:
            message = "killed"
            raise RuntimeError(message)
        return {**self.more, **inputs(seed=step), "labels": torch.arange(ROWS) % 3}


def train(folder: Path, steps: Steps, model: nn.Module, **compute: Any) -> Any:
    options = {"save_every": 3, "report_to": (), "bf16": False, **compute}
    schedule = Schedule(steps=10, learning_rate=1e-3, seed=5, compute=Compute(**options))
    return fit(model, steps, schedule, Folders(folder / "states", folder / "logs"), "test", Silent())


def classifier() -> nn.Module:
    torch.manual_seed(1)
    return build(SequenceClassification(("a", "b", "c")), bert(hidden_dropout_prob=0.1))


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_resumed_training_without_padding_ends_bit_by_bit_where_a_whole_one_does(
    tmp_path: Path, accumulation: int
) -> None:
    whole, cut = classifier(), classifier()
    expected = train(tmp_path / "whole", Steps(), whole, accumulation=accumulation)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "cut", Steps(8), classifier(), accumulation=accumulation)
    found = train(tmp_path / "cut", Steps(), cut, accumulation=accumulation)
    assert same(whole, cut)
    assert found.computed == expected.computed
    assert found.computed.parts == {"": accumulation}


def test_what_was_computed_is_recorded_for_each_set(tmp_path: Path) -> None:
    model = MultiTask({"nli": SequenceClassification(("a", "b", "c"))}, bert(hidden_dropout_prob=0.1))
    freeze(model.encoder, 0)
    found = train(tmp_path, Steps(task="nli"), model).computed
    assert 1.0 < found.padding["nli"] <= 1.1
    assert (found.precision, found.unpadded, found.attention_dropout, found.dropout) == ("fp32", True, 0.0, 26 / 256)
    assert found.frozen_parameters == sum(value.numel() for value in model.encoder.embeddings.parameters())


def test_padded_steps_are_recorded_as_such(tmp_path: Path) -> None:
    found = train(tmp_path, Steps(), classifier(), unpadded=False).computed
    assert (found.unpadded, found.padding, found.part_tokens, found.attention_dropout) == (False, {}, None, None)


def test_training_is_that_of_padded_steps_where_nothing_is_dropped(tmp_path: Path) -> None:
    losses = [
        [entry["loss"] for entry in train(tmp_path / str(way), Steps(), build_plain(), unpadded=way).losses]
        for way in (True, False)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=2e-4)


def build_plain() -> nn.Module:
    torch.manual_seed(1)
    return build(SequenceClassification(("a", "b", "c")), xlm_roberta())


def test_frozen_embeddings_are_neither_differentiated_nor_in_the_optimiser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier()
    freeze(model.base_model, 0)
    before = {name: value.clone() for name, value in model.named_parameters()}
    groups: list[Any] = []
    make = torch.optim.AdamW.__init__

    def remember(self: Any, params: Any, *args: Any, **rest: Any) -> None:
        groups.extend(params)
        make(self, groups, *args, **rest)

    monkeypatch.setattr(torch.optim.AdamW, "__init__", remember)
    train(tmp_path, Steps(), model)
    known = {id(value) for group in groups for value in group["params"]}
    for name, value in model.named_parameters():
        frozen = ".embeddings." in name
        assert (id(value) in known, torch.equal(value, before[name])) == (not frozen, frozen)
        assert not frozen or value.grad is None


def test_norms_get_fp32_while_products_are_bf16(tmp_path: Path) -> None:
    model = classifier()
    seen: dict[str, set[torch.dtype]] = {"norm": set(), "product": set()}
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_hook(lambda _m, given, _o: seen["norm"].add(given[0].dtype))
        elif name.endswith("intermediate.dense"):
            module.register_forward_hook(lambda _m, _g, made: seen["product"].add(made.dtype))
    losses = train(tmp_path, Steps(), model, bf16=True).losses
    assert seen == {"norm": {torch.float32}, "product": {torch.bfloat16}}
    assert losses
