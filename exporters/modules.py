"""A torch module for each head: what the exported graph computes, with the head's output names.

Each takes `input_ids` and `attention_mask`, and `token_type_ids` where the graph has them, each (rows, tokens)
int64, and returns the outputs of the head's signature by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import PretrainedConfig, PreTrainedModel

from harness.core.errors import CheckpointError
from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    Pooling,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
    describe,
)
from harness.core.records import to_json
from harness.core.tensors import GraphSignature, Tensors
from harness.encoders.families import Family
from harness.encoders.vocabulary import check_vocabulary
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import Checkpoint
from training.encoders.loading import CheckpointSource, load, load_encoder, read_config
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
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the outputs of the head's signature by name."""


def _given(input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None) -> dict[str, Tensor]:
    """Return the arguments of a network, token types only where there are any."""
    given = {"input_ids": input_ids, "attention_mask": attention_mask}
    return given if token_type_ids is None else {**given, "token_type_ids": token_type_ids}


class Labels(HeadModule):
    """`logits` (rows, labels), or (rows, tokens, labels) where the network tags tokens."""

    decision = "label"

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        return {"logits": self.network(**_given(input_ids, attention_mask, token_type_ids)).logits}


class Choices(HeadModule):
    """`logits` (rows, 1): each choice is a row, so nothing in the graph knows how many there are."""

    decision = "order"

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        networks = networks_of(self.config.model_type)
        return {"logits": networks.choice_logits(self.network, **_given(input_ids, attention_mask, token_type_ids))}


class Spans(HeadModule):
    """`start_logits` and `end_logits`, both (rows, tokens)."""

    decision = "position"

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        answers = self.network(**_given(input_ids, attention_mask, token_type_ids))
        return {"start_logits": answers.start_logits, "end_logits": answers.end_logits}


class Embedding(HeadModule):
    """`embedding` (rows, hidden): one hidden state, pooled as `SentenceEmbedding` says, unit length."""

    decision = "neighbour"

    def __init__(self, network: PreTrainedModel, layer: int, pooling: Pooling) -> None:
        super().__init__(network)
        # The layers above do not reach the output; without them the graph costs what it needs.
        networks_of(network.config.model_type).cut(network, layer)
        self.pooling = pooling

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        answers = self.network(**_given(input_ids, attention_mask, token_type_ids))
        return {"embedding": normalize(_POOL[self.pooling](answers, attention_mask), dim=-1)}


def _mean(answers: Any, attention_mask: Tensor) -> Tensor:
    hidden: Tensor = answers.last_hidden_state
    attended = attention_mask.unsqueeze(-1).to(hidden.dtype)
    # A row that is all padding has no token; the clamp keeps its zero vector from becoming NaN.
    return (hidden * attended).sum(dim=1) / attended.sum(dim=1).clamp(min=1.0)


def _first(answers: Any, attention_mask: Tensor) -> Tensor:
    hidden: Tensor = answers.last_hidden_state
    return hidden[:, 0]


def _last(answers: Any, attention_mask: Tensor) -> Tensor:
    hidden: Tensor = answers.last_hidden_state
    last = (attention_mask.sum(dim=1) - 1).clamp(min=0)
    return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[-1])).squeeze(1)


def _pooler(answers: Any, attention_mask: Tensor) -> Tensor:
    pooled: Tensor = answers.pooler_output
    return pooled


_POOL: Mapping[Pooling, Callable[[Any, Tensor], Tensor]] = {
    "mean": _mean,
    "cls": _first,
    "last": _last,
    "pooler": _pooler,
}


class Pooled(HeadModule):
    """`embedding` (rows, hidden): the pooler's output over the last layer, unit length."""

    decision = "neighbour"

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """See `HeadModule.forward`."""
        return {"embedding": self.network.embed(input_ids, attention_mask)}


def infer(module: HeadModule, inputs: Tensors) -> Tensors:
    """Return a module's outputs for one padded batch, by name."""
    with torch.inference_mode():
        answers = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in answers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A module in eval mode, with what its manifest records of the network."""

    module: HeadModule
    family: Family
    signature: GraphSignature
    hidden: int
    #: Hidden layers of the checkpoint, those that a retrieval graph leaves out included.
    layers: int
    vocabulary: int
    pad_id: int
    #: The longest row that the position table allows, in tokens.
    max_tokens: int
    #: Products of activations and weights in a layer of the graph as it was traced.
    products: int
    #: Products of a table of positions and weights in a layer.
    position_products: int = 0
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
    trained = None if checkpoint.metadata.head is None else to_json(checkpoint.metadata.head)
    # An encoder straight from phase 1 or 2 has no head of its own to disagree.
    if trained != describe(head) and not (trained is None and isinstance(head, SentenceEmbedding)):
        message = f"checkpoint {checkpoint.directory} was trained with head {trained}, {describe(head)} is wanted"
        raise CheckpointError(message)
    _check_origin(checkpoint)
    source = CheckpointSource(str(checkpoint.directory))
    networks, config = read_config(source)
    check_vocabulary(checkpoint.tokenizer, config.to_dict(), networks.family, source.name)
    kind = networks.kind(head)
    # A choice's one score is no label: transformers' class has it whatever config.json says.
    _check_kind(kind, config, checkpoint.directory, None if isinstance(head, ChoiceScore) else labels_of(head))
    # Both kinds of attention export and fuse (onnxruntime.transformers finds every layer's Attention), but eager
    # needs a seventh fewer nodes, and unlike sdpa it adds the mask outside a trace too, so that the parity check's
    # reference computes what the graph computes.
    layers = config.num_hidden_layers
    layer = retrieval_layer(head, checkpoint, layers) if isinstance(head, SentenceEmbedding) else None
    network = load(kind, networks, config, source, pooler=_uses_pooler(head), attn_implementation="eager")
    values = config.to_dict()
    token_types = networks.family.takes_token_types(values, pairs=head.pairs)
    return Loaded(
        module=build_module(head, network, layer).eval(),
        family=networks.family,
        signature=head.signature(config.hidden_size, token_types=token_types),
        hidden=config.hidden_size,
        layers=layers,
        vocabulary=config.vocab_size,
        # What the tokenizer pads with: equal to the config's where an answer depends on it.
        pad_id=FastTokenizer(checkpoint.tokenizer).pad_id,
        max_tokens=networks.family.longest_row(values),
        products=networks.family.products(values),
        position_products=networks.family.position_products(values),
        retrieval_layer=layer,
    )


def _uses_pooler(head: Head) -> bool:
    """Return whether the encoder's own pooler makes the vectors."""
    return isinstance(head, SentenceEmbedding) and head.pooling == "pooler"


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


_KINDS: Mapping[type[Head], type[HeadModule]] = {
    SequenceClassification: Labels,
    TokenClassification: Labels,
    ChoiceScore: Choices,
    SpanExtraction: Spans,
    SentenceEmbedding: Embedding,
    DualEncoder: Pooled,
}


def decision_of(head: Head) -> Decision:
    """Return what a client decides from the outputs of a head's graph."""
    return _KINDS[type(head)].decision


def retrieval_layer(head: SentenceEmbedding, checkpoint: Checkpoint, layers: int) -> int:
    """Return the hidden state that a sentence's vector is read from.

    What the recipe or the encoder says comes first. The head's own values are those of XTREME's scripts, and
    right for encoders that were trained to predict masked subwords alone.

    Raises:
        CheckpointError: neither the head nor the recipe names one for this depth, or it is none of
            the network's.
    """
    chosen = (checkpoint.metadata.retrieval_layer, head.layers.get(layers))
    layer = next((value for value in chosen if value is not None), None)
    if layer is None:
        message = (
            f"checkpoint {checkpoint.directory} has {layers} hidden layers, for which no retrieval layer is known "
            f"(known depths: {', '.join(str(depth) for depth in sorted(head.layers))}); "
            f"set `retrieval_layer` in [pretrained] of the recipe and train again"
        )
        raise CheckpointError(message)
    if head.pooling == "pooler" and layer != layers:
        message = (
            f"pooling 'pooler' reads the last of {layers} layers, and retrieval layer {layer} is set for checkpoint "
            f"{checkpoint.directory}; set {layers}, or another pooling"
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
    start = checkpoint.metadata.recipe.pretrained
    if checkpoint.metadata.loading is None and start.checkpoint is not None:
        try:
            load_encoder(start.checkpoint, start.revision, tokenizer=checkpoint.tokenizer)
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
