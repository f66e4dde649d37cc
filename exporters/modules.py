"""A torch module for each head: what the exported graph computes, with the head's output names.

Each takes `input_ids` and `attention_mask`, both (rows, tokens) int64, and returns the outputs of
the head's signature by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import (
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForMultipleChoice,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaForTokenClassification,
    XLMRobertaModel,
)

from exporters.quiet import quiet
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
from harness.core.records import to_json
from harness.core.tensors import Tensors
from training.checkpoint import Checkpoint
from training.modules import DualEncoderModel

#: What a client decides from an output, so that parity can count decisions that changed.
Decision: TypeAlias = Literal["label", "order", "position", "neighbour"]


class HeadModule(nn.Module, ABC):
    """A checkpoint's network as its graph shall be; Optimum wants the `config` on the module itself."""

    decision: ClassVar[Decision]
    config: XLMRobertaConfig

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
        encoded = self.network.roberta(input_ids=input_ids, attention_mask=attention_mask)
        return {"logits": self.network.classifier(encoded.pooler_output)}


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
        network.encoder.layer = network.encoder.layer[:layer]
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
        pooled = self.network.roberta(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        return {"embedding": normalize(pooled, dim=-1)}


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
    trained = None if checkpoint.metadata.head is None else to_json(checkpoint.metadata.head)
    # An encoder straight from phase 1 or 2 has no head of its own to disagree.
    if trained != describe(head) and not (trained is None and isinstance(head, SentenceEmbedding)):
        message = f"checkpoint {checkpoint.directory} was trained with head {trained}, {describe(head)} is wanted"
        raise CheckpointError(message)
    module = build_module(head, checkpoint).eval()
    config = module.config
    layers = config.num_hidden_layers
    return Loaded(
        module=module,
        hidden=config.hidden_size,
        layers=layers,
        vocabulary=config.vocab_size,
        pad_id=config.pad_token_id,
        # XLM-R counts positions from the padding id + 1 (create_position_ids_from_input_ids).
        max_tokens=config.max_position_embeddings - config.pad_token_id - 1,
        retrieval_layer=retrieval_layer(head, checkpoint, layers) if isinstance(head, SentenceEmbedding) else None,
    )


@singledispatch
def build_module(head: object, checkpoint: Checkpoint) -> HeadModule:
    """Return the module that computes a head's outputs from a checkpoint's weights.

    Raises:
        CheckpointError: see `load_module`.
    """
    message = f"no module is registered for a head of type {type(head).__name__}"
    raise TypeError(message)


@build_module.register
def _(head: SequenceClassification, checkpoint: Checkpoint) -> HeadModule:
    return Labels(_network(XLMRobertaForSequenceClassification, checkpoint, labels=len(head.labels)))


@build_module.register
def _(head: TokenClassification, checkpoint: Checkpoint) -> HeadModule:
    return Labels(_network(XLMRobertaForTokenClassification, checkpoint, labels=len(head.labels)))


@build_module.register
def _(head: ChoiceScore, checkpoint: Checkpoint) -> HeadModule:
    return Choices(_network(XLMRobertaForMultipleChoice, checkpoint))


@build_module.register
def _(head: SpanExtraction, checkpoint: Checkpoint) -> HeadModule:
    # The two columns of its one linear layer are start and end.
    return Spans(_network(XLMRobertaForQuestionAnswering, checkpoint, labels=2))


@build_module.register
def _(head: SentenceEmbedding, checkpoint: Checkpoint) -> HeadModule:
    network = _network(XLMRobertaModel, checkpoint, options={"add_pooling_layer": False})
    return Embedding(network, retrieval_layer(head, checkpoint, network.config.num_hidden_layers), head.pooling)


@build_module.register
def _(head: DualEncoder, checkpoint: Checkpoint) -> HeadModule:
    return Pooled(_network(DualEncoderModel, checkpoint))


def retrieval_layer(head: SentenceEmbedding, checkpoint: Checkpoint, layers: int) -> int:
    """Return the hidden state that a sentence's vector is read from.

    Raises:
        CheckpointError: neither the head nor the recipe names one for this depth, or it is none of
            the network's.
    """
    layer = head.layers.get(layers, checkpoint.metadata.retrieval_layer)
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


def _network(
    kind: type[PreTrainedModel],
    checkpoint: Checkpoint,
    *,
    labels: int | None = None,
    options: Mapping[str, bool] | None = None,
) -> PreTrainedModel:
    directory = checkpoint.directory
    try:
        config = XLMRobertaConfig.from_pretrained(directory)
        _check_kind(kind, config, directory, labels)
        with quiet():
            network, info = kind.from_pretrained(
                directory,
                config=config,
                # Both kinds export and fuse (onnxruntime.transformers finds every layer's Attention),
                # but eager needs a seventh fewer nodes, and unlike sdpa it adds the mask outside a
                # trace too, so that the parity check's reference computes what the graph computes.
                attn_implementation="eager",
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                **(options or {}),
            )
    except (OSError, ValueError) as error:
        message = f"checkpoint {directory} cannot be loaded ({error}); run `harness train` again"
        raise CheckpointError(message) from error
    # transformers fills what is missing with random numbers and goes on.
    wrong = sorted({*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])})
    if wrong:
        message = f"checkpoint {directory} lacks weights of {kind.__name__}: {', '.join(wrong)}"
        raise CheckpointError(message)
    return network


def _check_kind(kind: type[PreTrainedModel], config: XLMRobertaConfig, directory: Path, labels: int | None) -> None:
    if config.architectures != [kind.__name__]:
        found = ", ".join(config.architectures or ["no architecture"])
        message = f"checkpoint {directory} holds {found}, {kind.__name__} is wanted"
        raise CheckpointError(message)
    if labels is not None and config.num_labels != labels:
        message = f"checkpoint {directory} has {config.num_labels} labels, the head has {labels}"
        raise CheckpointError(message)
