from pathlib import Path

import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import load_file, save_file
from tiny_checkpoints import HEADS, LAYERS, save_checkpoint, tiny_network, write_tokenizer
from torch import Tensor

from exporters.modules import load_module
from harness.core.errors import CheckpointError
from harness.core.heads import SentenceEmbedding, TokenClassification, describe
from harness.core.tensors import pad
from training.checkpoint import read_checkpoint, write_checkpoint


@pytest.fixture
def batch(probes: list) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in pad(probes, 1).items()}


def test_choice_rows_score_as_the_multiple_choice_network_scores_them(checkpoints, batch) -> None:
    pairs = {name: value[:4] for name, value in batch.items()}
    with torch.no_grad():
        expected = tiny_network("copa")(**{name: value.view(2, 2, -1) for name, value in pairs.items()}).logits
        rows = load_module(read_checkpoint(checkpoints["copa"]), HEADS["copa"]).module(**pairs)["logits"]

    assert rows.shape == (4, 1)
    assert_allclose(rows.view(2, 2), expected, atol=1e-5)


@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_cut_embedding_equals_the_full_networks_hidden_state(layer: int, tmp_path: Path, batch) -> None:
    directory = save_checkpoint(tmp_path / "encoder", "encoder", metadata={"retrieval_layer": layer})
    with torch.no_grad():
        hidden = tiny_network("encoder")(**batch, output_hidden_states=True).hidden_states[layer]
        embedding = load_module(read_checkpoint(directory), HEADS["encoder"]).module(**batch)["embedding"]
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (hidden * mask).sum(1) / mask.sum(1)

    assert_allclose(embedding, mean / mean.norm(dim=1, keepdim=True), atol=1e-5)


def test_cls_embedding_is_the_first_token_of_the_hidden_state(checkpoints, batch) -> None:
    with torch.no_grad():
        first = tiny_network("encoder_cls")(**batch, output_hidden_states=True).hidden_states[1][:, 0]
        loaded = load_module(read_checkpoint(checkpoints["encoder_cls"]), HEADS["encoder_cls"])
        embedding = loaded.module(**batch)["embedding"]

    assert_allclose(embedding, first / first.norm(dim=1, keepdim=True), atol=1e-5)


def test_dual_encoders_embedding_is_the_pooled_last_layer(checkpoints, batch) -> None:
    with torch.no_grad():
        expected = tiny_network("lareqa")(**batch)["embedding"]
        embedding = load_module(read_checkpoint(checkpoints["lareqa"]), HEADS["lareqa"]).module(**batch)["embedding"]

    assert_allclose(embedding, expected, atol=1e-5)
    assert_allclose(embedding.norm(dim=1), torch.ones(len(embedding)), atol=1e-5)


def test_the_recipes_layer_goes_before_the_official_one_of_that_depth(checkpoints) -> None:
    head = SentenceEmbedding(layers={LAYERS: 2})

    assert load_module(read_checkpoint(checkpoints["encoder"]), head).retrieval_layer == 1


def test_the_official_layer_of_a_depth_is_used_where_the_recipe_says_nothing(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path / "encoder", "encoder", metadata={"retrieval_layer": None})
    head = SentenceEmbedding(layers={LAYERS: 2})

    assert load_module(read_checkpoint(directory), head).retrieval_layer == 2


def test_encoder_of_a_phase_without_head_can_be_exported(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path / "encoder", "encoder", metadata={"head": None, "finetune": None})

    assert load_module(read_checkpoint(directory), HEADS["encoder"]).layers == LAYERS


def test_unknown_depth_names_the_recipe_key(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path / "encoder", "encoder", metadata={"retrieval_layer": None})

    with pytest.raises(CheckpointError, match=r"has 3 hidden layers.*12.*`retrieval_layer` in \[pretrained\]"):
        load_module(read_checkpoint(directory), HEADS["encoder"])


def test_layer_beyond_the_network_is_refused(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path / "encoder", "encoder", metadata={"retrieval_layer": 4})

    with pytest.raises(CheckpointError, match="retrieval layer 4 is none of the hidden states 0 to 3"):
        load_module(read_checkpoint(directory), HEADS["encoder"])


def test_checkpoint_of_another_head_is_refused_naming_both(checkpoints) -> None:
    with pytest.raises(CheckpointError, match=r"SpanExtraction.*TokenClassification"):
        load_module(read_checkpoint(checkpoints["squad"]), HEADS["udpos"])


def test_architecture_that_belies_the_metadata_is_refused(tmp_path: Path) -> None:
    directory = save_checkpoint(tmp_path / "squad", "squad", metadata={"head": describe(HEADS["udpos"])})

    with pytest.raises(CheckpointError, match="holds XLMRobertaForQuestionAnswering, XLMRobertaForTokenClass"):
        load_module(read_checkpoint(directory), HEADS["udpos"])


def test_label_count_that_belies_the_metadata_is_refused(tmp_path: Path) -> None:
    head = TokenClassification(("A", "B"))
    directory = save_checkpoint(tmp_path / "udpos", "udpos", metadata={"head": describe(head)})

    with pytest.raises(CheckpointError, match="has 5 labels, the head has 2"):
        load_module(read_checkpoint(directory), head)


def test_checkpoint_without_its_heads_weights_is_refused(tmp_path: Path) -> None:
    source = save_checkpoint(tmp_path / "source", "mnli")

    def save(draft: Path) -> None:
        (draft / "config.json").write_bytes((source / "config.json").read_bytes())
        weights = load_file(source / "model.safetensors")
        kept = {name: value for name, value in weights.items() if not name.startswith("classifier.out_proj")}
        save_file(kept, draft / "model.safetensors", metadata={"format": "pt"})
        write_tokenizer(draft / "tokenizer.json")

    metadata = {"phase": "target", "model": "tiny", "parents": {}, "seen": {}, "head": describe(HEADS["mnli"])}
    directory = write_checkpoint(tmp_path / "broken", metadata, save).directory
    with pytest.raises(
        CheckpointError,
        match=r"lacks 2 of \d+ tensors \(classifier\.out_proj\.bias, classifier\.out",
    ):
        load_module(read_checkpoint(directory), HEADS["mnli"])


def test_checkpoint_without_any_weights_is_refused(tmp_path: Path) -> None:
    def save(draft: Path) -> None:
        write_tokenizer(draft / "tokenizer.json")
        tiny_network("mnli").config.save_pretrained(draft)
        config = draft / "config.json"
        config.write_text(
            config.read_text().replace("{", '{"architectures": ["XLMRobertaForSequenceClassification"],', 1)
        )

    metadata = {"phase": "target", "model": "tiny", "parents": {}, "seen": {}, "head": describe(HEADS["mnli"])}
    directory = write_checkpoint(tmp_path / "empty", metadata, save).directory
    with pytest.raises(CheckpointError, match=r"has no weights; a checkpoint has one of model\.safetensors, "):
        load_module(read_checkpoint(directory), HEADS["mnli"])
