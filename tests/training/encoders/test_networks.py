"""One step of training changes the encoder and its head, in every family."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_encoders import LAYERS, tiny_encoder
from torch import Tensor

from benchmarks.families import CASES
from exporters.modules import Embedding
from harness.benchmark.featurizers.dual import DualFeaturizer
from harness.core.errors import CheckpointError
from harness.core.examples import MatchExample
from harness.core.features import Feature
from harness.core.heads import DualEncoder, SentenceEmbedding
from harness.encoders.families import families
from harness.tokenization.tokenizer import FastTokenizer
from training.collate import collate
from training.encoders.loading import CheckpointSource, load, load_encoder, read_config, write_tokenizer
from training.encoders.networks import networks_of
from training.modules import MaskedLanguageModel, MultiTask, build, freeze
from training.sweep import _hidden_states

TRAINED = [name for name, case in CASES.items() if not isinstance(case.head, SentenceEmbedding)]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {name: tiny_encoder(root / name, name) for name in families()}


def batch_of(name: str, folder: Path) -> dict[str, Tensor]:
    case = CASES[name]
    write_tokenizer(CheckpointSource(str(folder)), folder / "own.json")
    tokenizer = FastTokenizer(folder / "own.json")
    if isinstance(case.head, DualEncoder):
        examples = [MatchExample(str(place), f"w1{place} w20", f"w3{place} w40 w50") for place in range(3)]
        features = DualFeaturizer(32, 32)(examples, tokenizer)
    else:
        features = case.rows(32, case.texts(20)[:4], tokenizer)
    return collate(case.head, features, tokenizer.pad_id)


def changed(before: dict[str, Tensor], model: torch.nn.Module) -> set[str]:
    return {name for name, value in model.named_parameters() if not torch.equal(before[name], value)}


@pytest.mark.parametrize("family", families())
@pytest.mark.parametrize("name", TRAINED)
def test_one_step_changes_encoder_and_head(encoders: dict[str, Path], family: str, name: str) -> None:
    torch.manual_seed(0)
    model = build(CASES[name].head, load_encoder(encoders[family])).train()
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    batch = batch_of(name, encoders[family])
    assert ("token_type_ids" in batch) == (families()[family].token_types and CASES[name].head.pairs)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(**batch)["loss"].backward()
    optimizer.step()
    moved = changed(before, model)
    own = f"{model.base_model_prefix}."
    layers = {key for key in moved if key.startswith(f"{own}{families()[family].layers}.")}
    assert {key.split(".")[2 if ".encoder." not in key else 3] for key in layers} == {str(n) for n in range(LAYERS)}
    assert any(key.startswith(f"{own}embeddings.") for key in moved)
    heads = {key for key in before if not key.startswith(own)}
    assert heads <= moved | {key for key in heads if key.endswith("bias")}


@pytest.mark.parametrize("family", families())
def test_heads_and_masked_language_model_share_one_encoder(encoders: dict[str, Path], family: str) -> None:
    source = CheckpointSource(str(encoders[family]))
    networks, config = read_config(source)
    text = load(networks.masked, networks, config, source)
    heads = {name: CASES[name].head for name in ("label", "tags")}
    model = MultiTask(heads, load_encoder(encoders[family]), text).train()
    before = {key: value.detach().clone() for key, value in model.shared_encoder().state_dict().items()}
    ids = torch.tensor([[2, 10, 20, 3]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.tensor([[-100, 30, -100, -100]])}
    assert isinstance(model.models["text"], MaskedLanguageModel)
    model(task="text", **batch)["loss"].backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    after = model.shared_encoder().state_dict()
    assert after.keys() == load_encoder(encoders[family]).state_dict().keys()
    layer = f"{families()[family].layers}.{LAYERS - 1}."
    assert any(not torch.equal(before[key], after[key]) for key in after if key.startswith(layer))
    assert len({id(each.base_model.embeddings) for each in (model.models["label"], model.models["tags"], text)}) == 1


@pytest.mark.parametrize("family", families())
def test_frozen_layers_get_no_gradient(encoders: dict[str, Path], family: str) -> None:
    encoder = load_encoder(encoders[family])
    freeze(encoder, 2)
    free = [all(value.requires_grad for value in layer.parameters()) for layer in networks_of(family).layers(encoder)]
    assert free == [False] * 2 + [True] * (LAYERS - 2)
    assert not any(value.requires_grad for value in encoder.embeddings.parameters())


@pytest.mark.parametrize("family", families())
@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_cut_encoder_ends_at_its_hidden_state(encoders: dict[str, Path], family: str, layer: int) -> None:
    encoder, ids = load_encoder(encoders[family]).eval(), torch.tensor([[2, 10, 20, 3]])
    with torch.no_grad():
        whole = encoder(ids, output_hidden_states=True)
        right = whole.last_hidden_state if layer == LAYERS else whole.hidden_states[layer]
        if layer == 0 and family == "deberta-v2":
            with pytest.raises(CheckpointError, match=r"retrieval layer 0, the embeddings, .* take 1 to 3"):
                networks_of(family).cut(encoder, layer)
            return
        networks_of(family).cut(encoder, layer)
        assert torch.equal(encoder(ids).last_hidden_state, right)


@pytest.mark.parametrize("family", families())
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_swept_vectors_are_those_of_a_cut_encoder(encoders: dict[str, Path], family: str, pooling: Any) -> None:
    rows = [Feature(number, np.array([2, *range(10, 10 + number), 3])) for number in (1, 5)]
    head = SentenceEmbedding(layers={}, pooling=pooling)
    swept = _hidden_states(load_encoder(encoders[family]).eval(), rows, 0, head)
    for layer in range(1, LAYERS + 1):
        encoder = load_encoder(encoders[family]).eval()
        module = Embedding(encoder, layer, pooling)
        for number, row in enumerate(rows):
            ids = torch.from_numpy(row.input_ids)[None]
            with torch.no_grad():
                right = module(ids, torch.ones_like(ids))["embedding"][0].numpy()
            np.testing.assert_allclose(swept[layer, number], right, atol=1e-5)
