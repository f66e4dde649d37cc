"""One record for each family of encoders, found by looking through this package."""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from harness.core.errors import CheckpointError, nearest

#: The constant by which a module of this package declares a family.
CONSTANT = "FAMILY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the encoders of one `model_type` have in common.

    Patterns are regular expressions that have to match a tensor's whole name.
    """

    #: `model_type` in config.json.
    model_type: str
    #: Models that people know, for lists.
    examples: tuple[str, ...]
    #: The attribute under which a class with a head keeps the encoder; names of tensors begin with it and a dot.
    prefix: str
    #: The list of layers, as an attribute path from the encoder.
    layers: str
    #: Head's kind -> the class of transformers, or of `training.encoders`, as config.json names it.
    architectures: Mapping[str, str]
    #: Tensors of heads and poolers that a checkpoint may have although the class that is loaded has none.
    heads: tuple[str, ...]
    #: Tensors that are no weights, as position_ids; a checkpoint may have them.
    buffers: tuple[str, ...] = ()
    #: Key of config.json -> the values that this family's graphs are right for; absent keys are the family's default.
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    #: Key of config.json -> which id of the tokenizer it has to be: "pad", "first" or "last" of a framed sentence.
    special_ids: Mapping[str, str] = field(default_factory=lambda: {"pad_token_id": "pad"})
    #: Rows of the embedding table -> text -> ids of the framed text, for vocabularies that are well known.
    known_ids: Mapping[int, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    #: Keys of config.json that hold a dropout rate.
    dropout: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    #: How a sentence's vector is made of its tokens' where nobody says.
    pooling: str = "mean"
    #: Nodes `Attention` that ONNX Runtime's fusion makes of a layer; 0 where it knows none for this attention.
    fused_attention: int = 1
    #: The values of config.json -> products of activations and weights in a layer, as quantisation counts them.
    products: Callable[[Mapping[str, Any]], int] = lambda config: 6
    #: The same -> products of a table of positions and weights in a layer.
    position_products: Callable[[Mapping[str, Any]], int] = lambda config: 0
    #: Precision -> why it is refused: "fp16" in exports, "bf16" in training.
    refused: Mapping[str, str] = field(default_factory=dict)
    #: Whether the two sequences of a pair are distinguished by token types.
    token_types: bool = False
    #: Whether positions are counted from the padding id + 1, and not from 0.
    positions_from_pad: bool = False

    def takes_token_types(self, config: Mapping[str, Any], *, pairs: bool) -> bool:
        """Return whether a graph takes token types.

        Args:
            config: the values of config.json.
            pairs: whether rows of the graph hold two sequences.
        """
        return self.token_types and pairs and int(config["type_vocab_size"]) > 1

    def longest_row(self, config: Mapping[str, Any]) -> int:
        """Return the most tokens that a row may have, from the values of config.json."""
        positions = int(config["max_position_embeddings"])
        return positions - int(config["pad_token_id"]) - 1 if self.positions_from_pad else positions


@cache
def families() -> Mapping[str, Family]:
    """Return the families by their `model_type`, in alphabetical order."""
    package = import_module(__package__)
    found = [
        getattr(import_module(f"{__package__}.{module.name}"), CONSTANT, None)
        for module in pkgutil.iter_modules(package.__path__)
    ]
    known = [family for family in found if isinstance(family, Family)]
    return {family.model_type: family for family in sorted(known, key=lambda family: family.model_type)}


def module_of(family: Family) -> str:
    """Return the name of the two modules that make a family: `bert` for `harness/encoders/bert.py`."""
    return family.model_type.replace("-", "_")


def family_of(config: Mapping[str, Any], source: object) -> Family:
    """Return the family of a checkpoint.

    Args:
        config: the values of its config.json.
        source: its folder or hub id, for the message.

    Raises:
        CheckpointError: config.json names no family, or one that is not known.
    """
    named, known = config.get("model_type"), families()
    if named is None:
        message = f"config.json of {str(source)!r} has no model_type; add it, one of {', '.join(known)}"
        raise CheckpointError(message)
    if named not in known:
        message = (
            f"{str(source)!r} is of model_type {named!r}{nearest(str(named), known)}; the known ones are "
            f"{', '.join(known)}, and docs/encoders.md says how to add another family"
        )
        raise CheckpointError(message)
    return known[named]
