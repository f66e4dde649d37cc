"""Tiny encoders with random weights, laid out as the hub lays them out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from training.encoders.networks import networks_of

ROWS = 400
LAYERS = 3


def tiny_encoder(
    folder: Path,
    model_type: str = "xlm-roberta",
    *,
    kind: str = "masked",
    shard: str = "5GB",
    seed: int = 0,
    **more: Any,
) -> Path:
    """Write an encoder: config.json, weights, tokenizer.json.

    Args:
        folder: where.
        model_type: the family.
        kind: "masked" with a head over the vocabulary and the family's prefix, "alone" without either, "pooler" alone
            but for a pooler.
        shard: the largest file of weights.
        seed: of the weights.
        more: other values of config.json.
    """
    networks = networks_of(model_type)
    config = networks.config(**{**SHAPE, **SHAPES[model_type], **more})
    torch.manual_seed(seed)
    if kind == "masked":
        network = networks.masked(config)
    else:
        network = networks.base(config, **({} if kind == "pooler" else networks.alone))
    network.eval().save_pretrained(folder, max_shard_size=shard)
    write_tokenizer(folder / "tokenizer.json", model_type)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', encoding="ascii")
    return folder


SHAPE = {
    "vocab_size": ROWS,
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.2,
}
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "xlm-roberta": {
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
}
#: Special tokens in the order of their ids, and the frames of one sentence and of two.
FRAMES = {
    "xlm-roberta": (("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>", "<s> $A </s> </s> $B </s>"),
}


def write_tokenizer(path: Path, model_type: str = "xlm-roberta", rows: int = ROWS, shift: int = 0) -> None:
    """Write a tokenizer of words `w4`, `w5`, ... whose ids are their numbers, plus `shift`; the last is the mask."""
    special, single, pair = FRAMES[model_type]
    mask = "<mask>" if special[0] == "<s>" else "[MASK]"
    words = [*special, *(f"w{index}" for index in range(len(special), rows - 1)), mask]
    ids = {word: index if word in special else index + shift for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=special[3]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([*special, mask])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(special[0], 0), (special[2], 2)]
    )
    tokenizer.save(str(path))


def change_weights(folder: Path, change: Any) -> None:
    """Replace the tensors of a folder with one file of weights by what a function makes of them."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def change_config(folder: Path, **values: Any) -> None:
    """Set values of config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")
