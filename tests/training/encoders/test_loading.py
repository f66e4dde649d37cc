"""Nothing random: each checkpoint that is not whole is refused before it is loaded, in one sentence."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_encoders import LAYERS, change_config, change_weights, tiny_encoder, tiny_tokenizer
from transformers import AutoModel

from harness.core.errors import CheckpointError
from harness.encoders.families import families
from harness.tokenization.tokenizer import FastTokenizer
from training.encoders.loading import CheckpointSource, load, load_encoder, read_config, write_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path / "encoder", "xlm-roberta")


def without(pattern: str) -> Callable[[dict], dict]:
    return lambda tensors: {name: value for name, value in tensors.items() if not re.search(pattern, name)}


def renamed(old: str, new: str) -> Callable[[dict], dict]:
    return lambda tensors: {re.sub(old, new, name): value for name, value in tensors.items()}


def refused(folder: Path, match: str) -> str:
    """Return the sentence with which a folder is refused."""
    with pytest.raises(CheckpointError, match=match) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("family", families())
@pytest.mark.parametrize("layout", ["masked", "alone", "pooler"])
@pytest.mark.parametrize("shard", ["5GB", "60KB"])
def test_encoder_is_loaded_to_the_last_bit_from_every_layout(
    tmp_path: Path, family: str, layout: str, shard: str
) -> None:
    folder = tiny_encoder(tmp_path / "encoder", family, layout=layout, shard=shard)
    assert (len(list(folder.glob("*.safetensors"))) > 1) == (shard == "60KB")
    ids = torch.tensor([[0, 10, 20, 2]])
    with torch.no_grad():
        right = AutoModel.from_pretrained(folder).eval()(ids).last_hidden_state
        assert torch.equal(load_encoder(folder).eval()(ids).last_hidden_state, right)


def test_norms_of_2018_are_read_under_their_old_names(folder: Path) -> None:
    right = load_encoder(folder).embeddings.LayerNorm.weight
    change_weights(folder, renamed(r"LayerNorm\.weight$", "LayerNorm.gamma"))
    change_weights(folder, renamed(r"LayerNorm\.bias$", "LayerNorm.beta"))
    assert torch.equal(load_encoder(folder).embeddings.LayerNorm.weight, right)


def test_weights_of_torchs_own_format_are_compared_too(folder: Path) -> None:
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    load_encoder(folder)
    torch.save(without(r"layer\.1\.")(tensors), folder / "pytorch_model.bin")
    refused(folder, r"lacks 16 of \d+ tensors \(roberta\.encoder\.layer\.1\.")
    (folder / "pytorch_model.bin").write_bytes(b"no archive")
    refused(folder, r"pytorch_model\.bin holds no weights that can be read")


def test_deleted_layer_is_refused_with_three_tensors_and_their_number(folder: Path) -> None:
    change_weights(folder, without(r"layer\.1\."))
    said = refused(folder, "cannot be loaded as xlm-roberta: it lacks 16 of 53 tensors")
    assert said.count("roberta.encoder.layer.1.") == 3
    assert said.endswith("give the whole checkpoint, or the config.json that belongs to the weights")


def test_layer_beyond_the_config_is_refused(folder: Path) -> None:
    change_config(folder, num_hidden_layers=LAYERS - 1)
    refused(folder, r"it has 16 of \d+ tensors \(roberta\.encoder\.layer\.2\..* that XLMRobertaModel does not have")


def test_layout_of_another_family_is_refused_and_named(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "bert")
    change_config(folder, model_type="xlm-roberta", type_vocab_size=1)
    refused(folder, r"lacks 53 of 53 tensors .*; its tensors begin with 'bert\.', as those of bert do: give the config")


def test_prefix_that_does_not_fit_is_refused(folder: Path) -> None:
    change_weights(folder, renamed(r"^", "model."))
    refused(folder, "lacks 53 of 53 tensors")


def test_bert_under_xlm_rs_name_is_refused_though_its_tensors_fit(tmp_path: Path) -> None:
    # Its positions count from 0, XLM-R's from 2.
    folder = tiny_encoder(tmp_path / "encoder", "xlm-roberta", layout="alone", type_vocab_size=2)
    refused(folder, "says type_vocab_size = 2, an encoder of xlm-roberta has 1; give the config.json that belongs")


@pytest.mark.parametrize("model_type", ["distilbert", "xlm-robert", "t5"])
def test_unknown_model_type_is_refused_with_the_list_of_the_known(folder: Path, model_type: str) -> None:
    change_config(folder, model_type=model_type)
    refused(folder, f"is of model_type '{model_type}'.*; the known ones are .*xlm-roberta.*docs/encoders.md")


def test_config_without_model_type_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{}", encoding="ascii")
    refused(folder, "has no model_type; add it, one of .*xlm-roberta")


def test_missing_shard_is_refused(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "xlm-roberta", shard="60KB")
    sorted(folder.glob("model-*.safetensors"))[-1].unlink()
    refused(folder, r"index\.json names \d+ of \d+ tensors \(.*\) that are in none of its files; copy or download")


def test_shard_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "encoder", "xlm-roberta", shard="60KB")
    index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
    shard = folder / index["weight_map"]["roberta.encoder.layer.2.output.dense.bias"]
    shard.rename(folder / "model.safetensors")
    change_weights(folder, without(r"layer\.2\.output\.dense\.bias"))
    (folder / "model.safetensors").rename(shard)
    refused(folder, r"names 1 of \d+ tensors \(roberta\.encoder\.layer\.2\.output\.dense\.bias\) that is in none")


def test_truncated_file_is_refused_with_both_sizes(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused(folder, r"model\.safetensors has [\d,]+ bytes, its header says [\d,]+; copy or download")


@pytest.mark.parametrize("content", [b"", b"12345678", b"\xff" * 40, b"\x02" + b"\0" * 7 + b"[]"])
def test_file_that_is_no_safetensors_file_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, r"model\.safetensors is no safetensors file")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_refused(folder: Path, value: float) -> None:
    def spoil(tensors: dict) -> dict:
        tensors["roberta.encoder.layer.2.output.dense.weight"][3, 4] = value
        return tensors

    change_weights(folder, spoil)
    refused(folder, r"has NaN or infinity in 1 of \d+ tensors \(encoder\.layer\.2\.output\.dense\.weight\)")


def test_weights_that_are_no_floats_are_refused(folder: Path) -> None:
    def quantised(tensors: dict) -> dict:
        name = "roberta.encoder.layer.0.output.dense.weight"
        return {**tensors, name: (tensors[name] * 100).to(torch.int8)}

    change_weights(folder, quantised)
    refused(folder, r"1 of \d+ tensors \(roberta\.encoder\.layer\.0\.output\.dense\.weight\) are of type I8; give a")


def test_half_precision_is_loaded_as_fp32(folder: Path) -> None:
    change_weights(folder, lambda tensors: {name: value.half() for name, value in tensors.items()})
    assert {value.dtype for value in load_encoder(folder).parameters()} == {torch.float32}


def test_other_shape_is_refused_with_both(folder: Path) -> None:
    change_config(folder, vocab_size=390)
    refused(folder, r"1 of 53 tensors .*word_embeddings.weight has \(400, 32\), \(390, 32\) is right")


def test_tensor_of_another_model_is_refused(folder: Path) -> None:
    change_weights(folder, lambda tensors: {**tensors, "roberta.adapters.down.weight": torch.ones(2, 2)})
    refused(folder, r"it has 1 of \d+ tensors \(roberta\.adapters\.down\.weight\) that XLMRobertaModel does not have")


def test_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, "has no weights; a checkpoint has one of model.safetensors, ")


def test_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, r"has no config\.json; name a folder with config\.json, weights and tokenizer")


def test_tokenizer_of_another_size_is_refused_before_weights_are_read(folder: Path, tmp_path: Path) -> None:
    tiny_tokenizer(tmp_path / "tokenizer.json", "xlm-roberta", rows=300)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="it has 300 subwords, the embedding has 400 rows; give the checkpoint's"):
        load_encoder(folder, tokenizer=tmp_path / "tokenizer.json")


@pytest.mark.parametrize("family", families())
def test_deleted_layer_of_every_family_is_refused(tmp_path: Path, family: str) -> None:
    folder = tiny_encoder(tmp_path / "encoder", family)
    change_weights(folder, without(r"\.1\."))
    refused(folder, rf"cannot be loaded as {family}: it lacks \d+ of \d+ tensors .*; give the whole checkpoint")


def test_pooler_is_kept_where_it_is_asked_for_and_has_to_be_there(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "with", "bert", layout="pooler")
    assert load_encoder(folder, pooler=True).pooler is not None
    assert load_encoder(folder).pooler is None
    with pytest.raises(CheckpointError, match=r"lacks 2 of \d+ tensors \(bert\.pooler\.dense\.bias, "):
        load_encoder(tiny_encoder(tmp_path / "without", "bert", layout="alone"), pooler=True)
    with pytest.raises(CheckpointError, match="encoders of modernbert have no pooler; take the pooling mean, cls or"):
        load_encoder(tiny_encoder(tmp_path / "modernbert", "modernbert"), pooler=True)


@pytest.mark.parametrize("family", families())
def test_tokenizer_marks_the_second_sequence_only_where_the_encoder_reads_that(tmp_path: Path, family: str) -> None:
    folder = tiny_encoder(tmp_path / "encoder", family)
    write_tokenizer(CheckpointSource(str(folder)), tmp_path / "tokenizer.json")
    types = FastTokenizer(tmp_path / "tokenizer.json").pair_types(2, 1)
    assert types == ([0, 0, 0, 0, 1, 1] if families()[family].token_types else None)


def test_masked_language_model_needs_its_head(tmp_path: Path) -> None:
    source = CheckpointSource(str(tiny_encoder(tmp_path / "encoder", "xlm-roberta", layout="alone")))
    networks, config = read_config(source)
    with pytest.raises(CheckpointError, match=r"lacks 5 of \d+ tensors \(lm_head\.bias, lm_head\.dense"):
        load(networks.masked, networks, config, source)


def test_tied_output_layer_is_the_embedding_table(folder: Path) -> None:
    source = CheckpointSource(str(folder))
    networks, config = read_config(source)
    model = load(networks.masked, networks, config, source)
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight


def test_what_transformers_says_of_tensors_is_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("transformers").addHandler(handler)
    # As if the comparison were not there: then transformers itself says it, and the load is refused all the same.
    monkeypatch.setattr("training.encoders.loading.check_tensors", lambda *_, **__: None)
    try:
        load_encoder(folder)
        assert said == []
        change_weights(folder, without(r"layer\.1\."))
        with pytest.raises(CheckpointError, match="transformers did not load 16 tensors"):
            load_encoder(folder)
    finally:
        logging.getLogger("transformers").removeHandler(handler)
    assert "were not initialized from the model checkpoint" in said[0]
