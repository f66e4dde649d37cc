"""The classes of DeBERTa v2 and v3."""

import torch
from torch import Tensor, nn
from transformers import (
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DebertaV2ForMultipleChoice,
    DebertaV2ForQuestionAnswering,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    DebertaV2Model,
    DebertaV2PreTrainedModel,
    PreTrainedModel,
)

from harness.core.errors import CheckpointError
from harness.core.heads import ChoiceScore, DualEncoder, SequenceClassification, SpanExtraction, TokenClassification
from harness.encoders.deberta_v2 import FAMILY
from training.encoders.networks import DualEncoding, FirstTokenPooler, Networks


class DualEncoderModel(DualEncoding, DebertaV2PreTrainedModel):  # type: ignore[misc]
    """See `DualEncoding`; the encoder has no pooler, so this has its own."""

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__(config)
        self.deberta = DebertaV2Model(config)
        self.pooler = FirstTokenPooler(config.hidden_size)
        self.scale = nn.Parameter(torch.tensor(100.0))
        self.post_init()

    def pooled(self, **inputs: Tensor | None) -> Tensor:
        """See `DualEncoding.pooled`."""
        found: Tensor = self.pooler(self.deberta(**inputs).last_hidden_state)
        return found


class _Networks(Networks):
    family = FAMILY
    config = DebertaV2Config
    base = DebertaV2Model
    heads = {  # noqa: RUF012
        SequenceClassification: DebertaV2ForSequenceClassification,
        TokenClassification: DebertaV2ForTokenClassification,
        ChoiceScore: DebertaV2ForMultipleChoice,
        SpanExtraction: DebertaV2ForQuestionAnswering,
        DualEncoder: DualEncoderModel,
    }
    masked = DebertaV2ForMaskedLM

    def cut(self, encoder: PreTrainedModel, layer: int) -> None:
        """See `Networks.cut`.

        Raises:
            CheckpointError: the embeddings alone are wanted, which the class of transformers cannot give.
        """
        if layer == 0:
            message = (
                f"retrieval layer 0, the embeddings, cannot be read from an encoder of {self.family.model_type}; "
                f"take 1 to {len(self.layers(encoder))}"
            )
            raise CheckpointError(message)
        super().cut(encoder, layer)

    def choice_logits(self, network: PreTrainedModel, **inputs: Tensor) -> Tensor:
        states = network.deberta(**inputs).last_hidden_state
        found: Tensor = network.classifier(network.dropout(network.pooler(states)))
        return found

    def masked_logits(self, network: PreTrainedModel, states: Tensor) -> Tensor:
        found: Tensor = (
            network.cls(states)
            if network.legacy
            else network.lm_predictions(states, network.deberta.embeddings.word_embeddings)
        )
        return found


NETWORKS = _Networks()
