"""The classes of BERT."""

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertPreTrainedModel,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.models.bert.modeling_bert import BertEncoder

from harness.core.heads import ChoiceScore, DualEncoder, SequenceClassification, SpanExtraction, TokenClassification
from harness.encoders.bert import E5_ROWS, FAMILY
from training.encoders.networks import DualEncoding, Networks


class DualEncoderModel(DualEncoding, BertPreTrainedModel):  # type: ignore[misc]
    """See `DualEncoding`."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=True)
        self.scale = nn.Parameter(torch.tensor(100.0))
        self.post_init()


class _Networks(Networks):
    family = FAMILY
    config = BertConfig
    base = BertModel
    heads = {  # noqa: RUF012
        SequenceClassification: BertForSequenceClassification,
        TokenClassification: BertForTokenClassification,
        ChoiceScore: BertForMultipleChoice,
        SpanExtraction: BertForQuestionAnswering,
        DualEncoder: DualEncoderModel,
    }
    masked = BertForMaskedLM
    alone = {"add_pooling_layer": False}  # noqa: RUF012
    stack = BertEncoder

    def settle(self, config: PretrainedConfig) -> None:
        """See `Networks.settle`: multilingual-e5-small says 0 for padding, and its tokenizer is XLM-R's, with 1."""
        if config.vocab_size == E5_ROWS:
            config.pad_token_id = 1

    def choice_logits(self, network: PreTrainedModel, **inputs: Tensor) -> Tensor:
        found: Tensor = network.classifier(network.dropout(network.bert(**inputs).pooler_output))
        return found

    def masked_logits(self, network: PreTrainedModel, states: Tensor) -> Tensor:
        found: Tensor = network.cls(states)
        return found


NETWORKS = _Networks()
