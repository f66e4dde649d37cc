"""The torch module of each head, always around a given encoder and always with a fresh head.

Classes come from `training.encoders`, weights through `training.encoders.loading`.
"""

from collections.abc import Mapping
from functools import singledispatch
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from harness.core.errors import CheckpointError
from harness.core.heads import (
    ChoiceScore,
    Head,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
)
from training.encoders.loading import CheckpointSource, load, read_config
from training.encoders.networks import networks_of

#: What transformers calls the part of an encoder that belongs to its head.
POOLER = "pooler"


def build(head: Head, encoder: PreTrainedModel) -> PreTrainedModel:
    """Return a model that ends in a head: the encoder's weights, and a head freshly initialised.

    Raises:
        CheckpointError: encoders of this family have no such head.
    """
    kind = networks_of(encoder.config.model_type).kind(head)
    labels = labels_of(head)
    if isinstance(head, SentenceEmbedding):
        return encoder
    return _around(encoder, kind(encoder.config if labels is None else _labelled(encoder.config, labels)))


@singledispatch
def labels_of(head: Head) -> tuple[str, ...] | None:
    """Return the labels that a head's class is made with; None where it takes none."""
    return None


@labels_of.register
def _(head: SequenceClassification | TokenClassification) -> tuple[str, ...]:
    return head.labels


@labels_of.register
def _(head: ChoiceScore) -> tuple[str, ...]:
    return ("score",)


@labels_of.register
def _(head: SpanExtraction) -> tuple[str, ...]:
    return ("start", "end")


def _labelled(config: PretrainedConfig, labels: tuple[str, ...]) -> PretrainedConfig:
    copied = type(config).from_dict(config.to_dict())
    copied.id2label = dict(enumerate(labels))
    copied.label2id = {label: number for number, label in enumerate(labels)}
    return copied


def proceed(model: PreTrainedModel, directory: Path) -> PreTrainedModel:
    """Return a trained model of the same kind, head included: a second stage of one phase continues with it.

    Raises:
        CheckpointError: the checkpoint is of another kind, or not whole.
    """
    source = CheckpointSource(str(directory))
    networks, config = read_config(source)
    if config.architectures != [type(model).__name__]:
        message = (
            f"checkpoint {directory} holds {config.architectures}, {type(model).__name__} cannot continue with it; "
            f"run `harness train` again"
        )
        raise CheckpointError(message)
    return load(type(model), networks, model.config, source)


def _around(encoder: PreTrainedModel, model: PreTrainedModel) -> PreTrainedModel:
    """Return the model with the encoder's weights copied in; no other weight may change.

    `load_state_dict(strict=False)` on the whole model would also carry every head whose name
    matches, so that MNLI would warm-start XNLI unnoticed; hence only the encoder is loaded, and
    what it lacks may only be the pooler, which belongs to the heads.
    """
    own = f"{model.base_model_prefix}."
    heads = {name: value.clone() for name, value in model.state_dict().items() if not name.startswith(own)}
    missing, unexpected = model.base_model.load_state_dict(encoder.state_dict(), strict=False)
    if unexpected or any(not name.startswith(f"{POOLER}.") for name in missing):
        message = f"the encoder does not fit {type(model).__name__}: lacks {missing}, has {unexpected} beyond"
        raise CheckpointError(message)
    assert_fresh(model, heads)
    return model


def assert_fresh(model: PreTrainedModel, heads: Mapping[str, torch.Tensor]) -> None:
    """Refuse a model whose head changed while its encoder was loaded.

    Raises:
        CheckpointError: names the weights that were carried over.
    """
    carried = [name for name, value in heads.items() if not torch.equal(model.state_dict()[name], value)]
    if carried:
        message = f"head weights were carried over from another phase: {', '.join(carried)}"
        raise CheckpointError(message)


#: Names the head that continued masked language modelling trains; no training set is called so.
TEXT = "text"

#: Cosines are multiplied with this before the softmax over a batch's translations.
ALIGNMENT_SCALE = 20.0


def freeze(encoder: PreTrainedModel, layers: int | None) -> None:
    """Keep the embeddings and the first `layers` layers as they are; nothing for None.

    What aligns languages sits there, and English training would pull it away from the others.
    """
    if layers is None:
        return
    for module in (encoder.embeddings, *networks_of(encoder.config.model_type).layers(encoder)[:layers]):
        module.requires_grad_(False)


class MaskedLanguageModel(nn.Module):
    """Predicts masked subwords; logits are computed at masked positions only.

    A vocabulary of 250,002 times 4,096 positions of logits would take 4 GB, a sixth of it is used.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self._networks = networks_of(model.config.model_type)

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Compute each layer's activations again in the backward pass; the Trainer calls it so."""
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        aligned: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return the mean cross-entropy over the positions whose label is not -100.

        With `aligned` = n, rows n.. are the translations of rows ..n, and the cross-entropy of
        picking each one's translation among the batch's, both ways, is added.
        """
        states = self.model.base_model(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=aligned is not None
        )
        masked = labels >= 0
        logits = self._networks.masked_logits(self.model, states.last_hidden_state[masked])
        loss = nn.functional.cross_entropy(logits, labels[masked])
        if aligned is not None:
            layers = states.hidden_states[1:]
            loss = loss + sum(_alignment_loss(layer, attention_mask, int(aligned)) for layer in layers) / len(layers)
        return {"loss": loss}


def _alignment_loss(states: torch.Tensor, attention_mask: torch.Tensor, count: int) -> torch.Tensor:
    """Return the in-batch ranking loss of translations, states (2 * count, tokens, hidden).

    Two scores are ranked: the cosine of the mean-pooled sentences, which retrieval uses; and the mean
    over a sentence's tokens of the best cosine in the other one (late interaction, Khattab and
    Zaharia 2020), without which words of different languages stay apart: pooled alone, tags and
    answers hardly transferred.
    """
    mask = attention_mask.to(states.dtype)
    pooled = nn.functional.normalize((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), dim=1)
    loss = _ranking_loss(pooled[:count] @ pooled[count:].T)
    tokens = nn.functional.normalize(states, dim=2) * mask[..., None]
    cosines = torch.einsum("itd,jud->ijtu", tokens[:count], tokens[count:])
    first, second = mask[:count], mask[count:]
    best = cosines.masked_fill(second[None, :, None, :] == 0, -1.0).amax(3)
    back = cosines.masked_fill(first[:, None, :, None] == 0, -1.0).amax(2)
    forward = (best * first[:, None, :]).sum(2) / first.sum(1)[:, None]
    backward = (back * second[None, :, :]).sum(2) / second.sum(1)[None, :]
    return loss + _ranking_loss((forward + backward) / 2)


def _ranking_loss(scores: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the diagonal of (count, count) cosines, mean of both directions."""
    right = torch.arange(len(scores), device=scores.device)
    scaled = ALIGNMENT_SCALE * scores
    return (nn.functional.cross_entropy(scaled, right) + nn.functional.cross_entropy(scaled.T, right)) / 2


class MultiTask(nn.Module):
    """Several heads on one encoder; each batch names the head that answers it."""

    #: Read by the Trainer, which would otherwise pass its own keywords on to the heads.
    accepts_loss_kwargs = False

    def __init__(
        self, heads: Mapping[str, Head], encoder: PreTrainedModel, text: PreTrainedModel | None = None
    ) -> None:
        """Build the heads around one encoder.

        Args:
            heads: task -> head, each freshly initialised.
            encoder: its weights are copied.
            text: phase 1's model, whose prediction of masked subwords continues; its encoder is replaced.
        """
        super().__init__()
        built = {name: build(head, encoder) for name, head in heads.items()}
        self.encoder: PreTrainedModel = next(iter(built.values())).base_model
        for model in [*built.values(), *([text] if text is not None else [])]:
            # One encoder for all; a pooler belongs to its head, so each model keeps its own.
            for name, part in self.encoder.named_children():
                if name != POOLER:
                    setattr(model.base_model, name, part)
        self.models = nn.ModuleDict(built)
        if text is not None:
            # The output layer of masked language modelling is the embedding table.
            text.tie_weights()
            self.models[TEXT] = MaskedLanguageModel(text)

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Compute each layer's activations again in the backward pass; the Trainer calls it so."""
        self.encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs)

    def forward(self, task: str, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the loss of one batch of one task; `training.collate` gives each head its own inputs."""
        return {"loss": self.models[task](**inputs)["loss"]}

    def shared_encoder(self) -> PreTrainedModel:
        """Return the encoder alone, with the trained weights."""
        alone = networks_of(self.encoder.config.model_type).encoder(self.encoder.config)
        weights = {
            name: value for name, value in self.encoder.state_dict().items() if not name.startswith(f"{POOLER}.")
        }
        alone.load_state_dict(weights)
        return alone
