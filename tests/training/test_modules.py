"""Fresh heads around a given encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from harness.benchmark.featurizers.dual import CANDIDATE, QUERY
from harness.core.errors import CheckpointError
from harness.core.features import Feature
from harness.core.heads import DualEncoder, SequenceClassification, SpanExtraction
from training.collate import collate
from training.modules import MultiTask, assert_fresh, build, freeze, proceed

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


def matches(*lengths: int) -> list[Feature]:
    """Return the rows of matches whose query and candidate have so many tokens."""
    return [
        Feature(number // 2, np.arange(length) + 4, np.asarray((QUERY, CANDIDATE)[number % 2]))
        for number, length in enumerate(lengths)
    ]


def test_queries_and_candidates_are_padded_apart() -> None:
    batch = collate(DualEncoder(), matches(2, 5, 3, 4), 1)
    assert (batch["input_ids"].shape, batch["candidate_ids"].shape) == ((2, 3), (2, 5))
    assert batch["candidate_mask"].sum(1).tolist() == [5, 4]


def test_query_without_its_candidate_is_refused() -> None:
    with pytest.raises(ValueError, match="2 queries have 1 candidates"):
        collate(DualEncoder(), matches(2, 5, 3), 1)


def test_dual_encoders_loss_is_the_softmax_over_the_batchs_candidates(encoder: XLMRobertaModel) -> None:
    model = build(DualEncoder(), encoder).eval()
    batch = collate(DualEncoder(), matches(2, 5, 3, 4), 1)
    with torch.no_grad():
        queries = model(batch["input_ids"], batch["attention_mask"])["embedding"]
        candidates = model(batch["candidate_ids"], batch["candidate_mask"])["embedding"]
        scores = 100 * queries @ candidates.T
        expected = (torch.logsumexp(scores, dim=1) - scores.diagonal()).mean()
        assert torch.isclose(model(**batch)["loss"], expected)


def test_dual_encoder_learns_its_scale(encoder: XLMRobertaModel) -> None:
    model = build(DualEncoder(), encoder)
    model(**collate(DualEncoder(), matches(2, 5, 3, 4), 1))["loss"].backward()
    assert (model.scale.item(), model.scale.grad is not None) == (100.0, True)


def test_second_stage_continues_with_the_trained_head(encoder: XLMRobertaModel, tmp_path: Path) -> None:
    first = build(HEAD, encoder)
    first.save_pretrained(tmp_path)
    again = proceed(build(HEAD, encoder), tmp_path)
    assert torch.equal(again.classifier.dense.weight, first.classifier.dense.weight)


def test_second_stage_with_another_head_is_refused(encoder: XLMRobertaModel, tmp_path: Path) -> None:
    build(SpanExtraction(), encoder).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="XLMRobertaForSequenceClassification cannot continue with it"):
        proceed(build(HEAD, encoder), tmp_path)
