"""A torch module for each head: what the exported graph computes, with the head's output names.

Each takes `input_ids` and `attention_mask`, both (rows, tokens) int64, and returns the outputs of
the head's signature by name.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import PretrainedConfig, PreTrainedModel

from harness.core.errors import CheckpointError
from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
    describe,
)
from harness.core.tensors import Tensors
from harness.encoders.vocabulary import check_vocabulary
from training.checkpoint import Checkpoint
from training.encoders.loading import Source, load, load_encoder, read_config
from training.encoders.networks import networks_of
from training.modules import labels_of

#: What a client decides from an output, so that parity can count decisions that changed.
Decision: TypeAlias = Literal["label", "order", "position", "neighbour"]


class HeadModule(nn.Module, ABC):
    """A checkpoint's network as its graph shall be; Optimum wants the `config` on the module itself."""

    decision: ClassVar[Decision]
    config: PretrainedConfig

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network
        self.config = network.config

    @abstractmethod
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return the outputs of the head's signature by name."""


class Labels(HeadModule):
    """`logits` (rows, labels), or (rows, tokens, labels) where the network tags tokens."""

    decision = "label"

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        return {"logits": self.network(input_ids=input_ids, attention_mask=attention_mask).logits}


class Choices(HeadModule):
    """`logits` (rows, 1): each choice is a row, so nothing in the graph knows how many there are."""

    decision = "order"

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        networks = networks_of(self.config.model_type)
        return {"logits": networks.choice_logits(self.network, input_ids=input_ids, attention_mask=attention_mask)}


class Spans(HeadModule):
    """`start_logits` and `end_logits`, both (rows, tokens)."""

    decision = "position"

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        answers = self.network(input_ids=input_ids, attention_mask=attention_mask)
        return {"start_logits": answers.start_logits, "end_logits": answers.end_logits}


class Embedding(HeadModule):
    """`embedding` (rows, hidden): one hidden state, its mean over attended tokens or its first, unit length."""

    decision = "neighbour"

    def __init__(self, network: PreTrainedModel, layer: int, pooling: Literal["mean", "cls"]) -> None:
        super().__init__(network)
        # The layers above do not reach the output; without them the graph costs what it needs.
        networks_of(network.config.model_type).cut(network, layer)
        self.pooling = pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        hidden = self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.pooling == "cls":
            return {"embedding": normalize(hidden[:, 0], dim=-1)}
        attended = attention_mask.unsqueeze(-1).to(hidden.dtype)
        # A row that is all padding has no token; the clamp keeps its zero vector from becoming NaN.
        mean = (hidden * attended).sum(dim=1) / attended.sum(dim=1).clamp(min=1.0)
        return {"embedding": normalize(mean, dim=-1)}


class Pooled(HeadModule):
    """`embedding` (rows, hidden): the pooler's output over the last layer, unit length."""

    decision = "neighbour"

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        return {"embedding": self.network.embed(input_ids, attention_mask)}


def infer(module: HeadModule, inputs: Tensors) -> Tensors:
    """Return a module's outputs for one padded batch, by name."""
    with torch.inference_mode():
        answers = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in answers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A module in eval mode, with what its manifest tells about the network."""

    module: HeadModule
    hidden: int
    #: Hidden layers of the checkpoint, those that a retrieval graph leaves out included.
    layers: int
    vocabulary: int
    pad_id: int
    #: The longest row that the position table allows, in tokens.
    max_tokens: int
    #: Index into the hidden states, where 0 is the embedding output; None for other heads.
    retrieval_layer: int | None

    @property
    def depth(self) -> int:
        """Return how many layers the graph computes."""
        return self.layers if self.retrieval_layer is None else self.retrieval_layer


def load_module(checkpoint: Checkpoint, head: Head) -> Loaded:
    """Return the module of a checkpoint, ready to export.

    Raises:
        CheckpointError: the checkpoint is of another kind or label count, lacks weights, or is an
            encoder whose retrieval layer nobody named.
    """
    trained = checkpoint.account.get("head")
    # An encoder straight from phase 1 or 2 has no head of its own to disagree.
    if trained != describe(head) and not (trained is None and isinstance(head, SentenceEmbedding)):
        message = f"checkpoint {checkpoint.directory} was trained with head {trained}, {describe(head)} is wanted"
        raise CheckpointError(message)
    _check_origin(checkpoint)
    source = Source(str(checkpoint.directory))
    networks, config = read_config(source)
    check_vocabulary(checkpoint.tokenizer, config.to_dict(), networks.family, source.name)
    kind = networks.kind(head)
    # A choice's one score is no label: transformers' class has it whatever config.json says.
    _check_kind(kind, config, checkpoint.directory, None if isinstance(head, ChoiceScore) else labels_of(head))
    # Both kinds of attention export and fuse (onnxruntime.transformers finds every layer's Attention), but eager
    # needs a seventh fewer nodes, and unlike sdpa it adds the mask outside a trace too, so that the parity check's
    # reference computes what the graph computes.
    network = load(kind, networks, config, source, attn_implementation="eager")
    layers = config.num_hidden_layers
    layer = retrieval_layer(head, checkpoint, layers) if isinstance(head, SentenceEmbedding) else None
    return Loaded(
        module=build_module(head, network, layer).eval(),
        hidden=config.hidden_size,
        layers=layers,
        vocabulary=config.vocab_size,
        pad_id=config.pad_token_id,
        max_tokens=networks.family.longest_row(config.to_dict()),
        retrieval_layer=layer,
    )


@singledispatch
def build_module(head: object, network: PreTrainedModel, layer: int | None) -> HeadModule:
    """Return the module that computes a head's outputs.

    Args:
        head: what the graph ends in.
        network: with all weights.
        layer: the hidden state of a `SentenceEmbedding`; None for other heads.
    """
    message = f"no module is registered for a head of type {type(head).__name__}"
    raise TypeError(message)


@build_module.register
def _(head: SequenceClassification | TokenClassification, network: PreTrainedModel, layer: int | None) -> HeadModule:
    return Labels(network)


@build_module.register
def _(head: ChoiceScore, network: PreTrainedModel, layer: int | None) -> HeadModule:
    return Choices(network)


@build_module.register
def _(head: SpanExtraction, network: PreTrainedModel, layer: int | None) -> HeadModule:
    return Spans(network)


@build_module.register
def _(head: SentenceEmbedding, network: PreTrainedModel, layer: int | None) -> HeadModule:
    assert layer is not None
    return Embedding(network, layer, head.pooling)


@build_module.register
def _(head: DualEncoder, network: PreTrainedModel, layer: int | None) -> HeadModule:
    return Pooled(network)


def retrieval_layer(head: SentenceEmbedding, checkpoint: Checkpoint, layers: int) -> int:
    """Return the hidden state that a sentence's vector is read from.

    What the recipe or the encoder says comes first. The head's own values are those of XTREME's scripts, and
    right for encoders that were trained to predict masked subwords alone.

    Raises:
        CheckpointError: neither the head nor the recipe names one for this depth, or it is none of
            the network's.
    """
    chosen = (checkpoint.account.get("retrieval_layer"), head.layers.get(layers))
    layer = next((value for value in chosen if value is not None), None)
    if layer is None:
        message = (
            f"checkpoint {checkpoint.directory} has {layers} hidden layers, for which no retrieval layer is known "
            f"(known depths: {', '.join(str(depth) for depth in sorted(head.layers))}); "
            f"set `retrieval_layer` in [pretrained] of the recipe and train again"
        )
        raise CheckpointError(message)
    if not 0 <= layer <= layers:
        message = (
            f"retrieval layer {layer} is none of the hidden states 0 to {layers} of checkpoint "
            f"{checkpoint.directory}; mend `retrieval_layer` in [pretrained] of the recipe and train again"
        )
        raise CheckpointError(message)
    return int(layer)


def _check_origin(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose public encoder was loaded before tensors were compared, if that is not whole.

    What was trained from it is whole, though it may have started from random weights.
    """
    start = checkpoint.account.get("recipe", {}).get("pretrained", {})
    if checkpoint.account.get("loading") is None and start.get("checkpoint") is not None:
        try:
            load_encoder(start["checkpoint"], start.get("revision"), tokenizer=checkpoint.tokenizer)
        except CheckpointError as error:
            message = (
                f"checkpoint {checkpoint.directory} was trained before tensors were compared, and its encoder cannot "
                f"be confirmed: {error}; run `harness train` with its recipe again"
            )
            raise CheckpointError(message) from error


def _check_kind(
    kind: type[PreTrainedModel], config: PretrainedConfig, directory: Path, labels: tuple[str, ...] | None
) -> None:
    if config.architectures != [kind.__name__]:
        found = ", ".join(config.architectures or ["no architecture"])
        message = f"checkpoint {directory} holds {found}, {kind.__name__} is wanted"
        raise CheckpointError(message)
    if labels is not None and config.num_labels != len(labels):
        message = f"checkpoint {directory} has {config.num_labels} labels, the head has {len(labels)}"
        raise CheckpointError(message)
