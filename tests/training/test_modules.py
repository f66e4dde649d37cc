"""Fresh heads around a given encoder."""

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from harness.errors import CheckpointError
from harness.heads import SequenceClassification, SpanExtraction
from training.modules import MultiTask, assert_fresh, build, freeze

HEAD = SequenceClassification(("no", "yes", "perhaps"))


@pytest.fixture
def encoder() -> XLMRobertaModel:
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=40, type_vocab_size=1, pad_token_id=1,
    )  # fmt: skip
    return XLMRobertaModel(config, add_pooling_layer=False)


def test_encoder_weights_are_carried(encoder: XLMRobertaModel) -> None:
    model = build(HEAD, encoder)
    weights = model.roberta.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in encoder.state_dict().items())


def test_two_heads_on_one_encoder_start_differently(encoder: XLMRobertaModel) -> None:
    first, second = build(HEAD, encoder), build(HEAD, encoder)
    assert not torch.equal(first.classifier.dense.weight, second.classifier.dense.weight)


def test_carried_head_is_refused(encoder: XLMRobertaModel) -> None:
    model = build(HEAD, encoder)
    before = {"classifier.dense.weight": model.state_dict()["classifier.dense.weight"].clone()}
    with torch.no_grad():
        model.classifier.dense.weight.add_(1.0)
    with pytest.raises(CheckpointError, match=r"classifier\.dense\.weight"):
        assert_fresh(model, before)


def test_frozen_layers_and_embeddings_get_no_gradient(encoder: XLMRobertaModel) -> None:
    freeze(encoder, 1)
    assert not any(value.requires_grad for value in encoder.embeddings.parameters())
    assert not any(value.requires_grad for value in encoder.encoder.layer[0].parameters())
    assert all(value.requires_grad for value in encoder.encoder.layer[1].parameters())


def test_tasks_train_one_encoder(encoder: XLMRobertaModel) -> None:
    model = MultiTask({"a": HEAD, "b": SpanExtraction()}, encoder)
    ids = torch.tensor([[0, 5, 2]])
    model(task="b", input_ids=ids, attention_mask=torch.ones_like(ids), start_positions=torch.tensor([1]),
          end_positions=torch.tensor([1]))["loss"].backward()  # fmt: skip
    assert model.models["a"].roberta.encoder is model.models["b"].roberta.encoder
    assert model.models["a"].roberta.encoder.layer[0].output.dense.weight.grad is not None


def test_shared_encoder_has_the_trained_weights(encoder: XLMRobertaModel) -> None:
    model = MultiTask({"a": HEAD}, encoder)
    with torch.no_grad():
        model.encoder.encoder.layer[1].output.dense.bias.fill_(3.0)
    alone = model.shared_encoder()
    assert torch.equal(alone.encoder.layer[1].output.dense.bias, torch.full((16,), 3.0))
