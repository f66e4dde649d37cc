"""The classes of one family, and what differs between families where a network is used."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from harness.core.errors import CheckpointError
from harness.core.heads import Head, SentenceEmbedding
from harness.encoders.families import Family, families, family_of, module_of

#: The constant by which a module of this package declares its classes.
CONSTANT = "NETWORKS"


class Networks(ABC):
    """The classes of one family."""

    family: Family
    config: type[PretrainedConfig]
    #: The encoder alone.
    base: type[PreTrainedModel]
    #: Head's type -> the class that ends in it; a sentence embedding is the encoder itself.
    heads: Mapping[type, type[PreTrainedModel]]
    #: The class that predicts masked subwords.
    masked: type[PreTrainedModel]
    #: Given to `base`, so that it has no pooler.
    alone: Mapping[str, Any] = {}
    #: The layers as `training.unpadded` computes them without padding: a list `layer`, whose attention is
    #: `attention.self` with `query`, `key`, `value` and `dropout`. None where a family's attention is another.
    stack: type[nn.Module] | None = None

    def kind(self, head: Head) -> type[PreTrainedModel]:
        """Return the class of a head.

        Raises:
            CheckpointError: the family has none.
        """
        found = self.base if isinstance(head, SentenceEmbedding) else self.heads.get(type(head))
        if found is None:
            message = f"encoders of {self.family.model_type} have no head {type(head).__name__}"
            raise CheckpointError(message)
        return found

    def options(self, kind: type[PreTrainedModel], *, pooler: bool = False) -> Mapping[str, Any]:
        """Return what a class is made with beside its config.

        Args:
            kind: the class.
            pooler: whether the encoder alone keeps its pooler.

        Raises:
            CheckpointError: encoders of this family have none.
        """
        if pooler and not self.alone:
            message = f"encoders of {self.family.model_type} have no pooler; take the pooling mean, cls or last"
            raise CheckpointError(message)
        return self.alone if kind is self.base and not pooler else {}

    def encoder(self, config: PretrainedConfig) -> PreTrainedModel:
        """Return an encoder with fresh weights, without a pooler."""
        return self.base(config, **self.alone)

    def settle(self, config: PretrainedConfig) -> None:  # noqa: B027
        """Set what has to be the same in training and in an export, in place."""

    def layers(self, encoder: PreTrainedModel) -> nn.ModuleList:
        """Return the layers of an encoder, the lowest first."""
        found = encoder.get_submodule(self.family.layers)
        assert isinstance(found, nn.ModuleList)
        return found

    def cut(self, encoder: PreTrainedModel, layer: int) -> None:
        """Remove the layers above a hidden state, so that it becomes the encoder's output."""
        owner, _, name = self.family.layers.rpartition(".")
        setattr(encoder.get_submodule(owner), name, self.layers(encoder)[:layer])

    @abstractmethod
    def choice_logits(self, network: PreTrainedModel, **inputs: Tensor) -> Tensor:
        """Return one score for each row, (rows, 1), from a network that ends in `ChoiceScore`."""

    @abstractmethod
    def masked_logits(self, network: PreTrainedModel, states: Tensor) -> Tensor:
        """Return the vocabulary's logits (tokens, vocabulary) at some hidden states (tokens, hidden)."""


@cache
def networks_of(model_type: str) -> Networks:
    """Return the classes of a family.

    Raises:
        CheckpointError: no family has this `model_type`.
    """
    family = families().get(model_type) or family_of({"model_type": model_type}, model_type)
    found = getattr(import_module(f"{__package__}.{module_of(family)}"), CONSTANT)
    assert isinstance(found, Networks)
    return found


class FirstTokenPooler(nn.Module):
    """A tanh layer on the first token, as BERT's, for encoders that have none."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)

    def forward(self, states: Tensor) -> Tensor:
        """Return (rows, hidden) of states (rows, tokens, hidden)."""
        return torch.tanh(self.dense(states[:, 0]))


class DualEncoding(PreTrainedModel):  # type: ignore[misc]
    """Queries and candidates through one encoder; a vector is the pooler's output, unit length.

    As the plain form of google-research/xtreme@838c13b third_party/run_retrieval.py: a learned scale
    that starts at 100, and a softmax over the batch's candidates.
    """

    scale: nn.Parameter

    def pooled(self, **inputs: Tensor | None) -> Tensor:
        """Return the pooler's output (rows, hidden)."""
        found: Tensor = self.base_model(**inputs).pooler_output
        return found

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        candidate_ids: Tensor | None = None,
        candidate_mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return `embedding` (rows, hidden); with candidates, aligned to the rows, the `loss` too."""
        queries = self.embed(input_ids, attention_mask)
        if candidate_ids is None:
            return {"embedding": queries}
        scores = self.scale * queries @ self.embed(candidate_ids, candidate_mask).T
        own = torch.arange(len(scores), device=scores.device)
        return {"embedding": queries, "loss": nn.functional.cross_entropy(scores, own)}

    def embed(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return one vector for each row (rows, hidden), unit length."""
        return nn.functional.normalize(self.pooled(input_ids=input_ids, attention_mask=attention_mask), dim=-1)
