"""The classes of ModernBERT."""

import torch
from torch import Tensor, nn
from transformers import (
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForMultipleChoice,
    ModernBertForQuestionAnswering,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
    ModernBertModel,
    ModernBertPreTrainedModel,
    PretrainedConfig,
    PreTrainedModel,
)

from harness.core.heads import ChoiceScore, DualEncoder, SequenceClassification, SpanExtraction, TokenClassification
from harness.encoders.modernbert import FAMILY
from training.encoders.networks import DualEncoding, FirstTokenPooler, Networks


class DualEncoderModel(DualEncoding, ModernBertPreTrainedModel):  # type: ignore[misc]
    """See `DualEncoding`; the encoder has no pooler, so this has its own."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__(config)
        self.model = ModernBertModel(config)
        self.pooler = FirstTokenPooler(config.hidden_size)
        self.scale = nn.Parameter(torch.tensor(100.0))
        self.post_init()

    def pooled(self, **inputs: Tensor | None) -> Tensor:
        """See `DualEncoding.pooled`."""
        found: Tensor = self.pooler(self.model(**inputs).last_hidden_state)
        return found


class _Networks(Networks):
    family = FAMILY
    config = ModernBertConfig
    base = ModernBertModel
    heads = {  # noqa: RUF012
        SequenceClassification: ModernBertForSequenceClassification,
        TokenClassification: ModernBertForTokenClassification,
        ChoiceScore: ModernBertForMultipleChoice,
        SpanExtraction: ModernBertForQuestionAnswering,
        DualEncoder: DualEncoderModel,
    }
    masked = ModernBertForMaskedLM

    def settle(self, config: PretrainedConfig) -> None:
        """See `Networks.settle`: torch.compile, which is chosen where a GPU is, is neither traced nor repeatable."""
        config.reference_compile = False

    def cut(self, encoder: PreTrainedModel, layer: int) -> None:
        """See `Networks.cut`: the norm at the end belongs to the last hidden state."""
        if layer < len(self.layers(encoder)):
            encoder.final_norm = nn.Identity()
        super().cut(encoder, layer)

    def choice_logits(self, network: PreTrainedModel, **inputs: Tensor) -> Tensor:
        # Its pooling is a matter of the config, so its own forward is used, with one choice for each row.
        found: Tensor = network(**{name: value.unsqueeze(1) for name, value in inputs.items()}).logits
        return found

    def masked_logits(self, network: PreTrainedModel, states: Tensor) -> Tensor:
        found: Tensor = network.decoder(network.head(states))
        return found


NETWORKS = _Networks()
