"""The classes of XLM-R."""

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaForMultipleChoice,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaForTokenClassification,
    XLMRobertaModel,
    XLMRobertaPreTrainedModel,
)
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaEncoder

from harness.core.heads import ChoiceScore, DualEncoder, SequenceClassification, SpanExtraction, TokenClassification
from harness.encoders.xlm_roberta import FAMILY
from training.encoders.networks import DualEncoding, Networks


class DualEncoderModel(DualEncoding, XLMRobertaPreTrainedModel):  # type: ignore[misc]
    """See `DualEncoding`."""

    def __init__(self, config: XLMRobertaConfig) -> None:
        super().__init__(config)
        self.roberta = XLMRobertaModel(config, add_pooling_layer=True)
        self.scale = nn.Parameter(torch.tensor(100.0))
        self.post_init()


class _Networks(Networks):
    family = FAMILY
    config = XLMRobertaConfig
    base = XLMRobertaModel
    heads = {  # noqa: RUF012
        SequenceClassification: XLMRobertaForSequenceClassification,
        TokenClassification: XLMRobertaForTokenClassification,
        ChoiceScore: XLMRobertaForMultipleChoice,
        SpanExtraction: XLMRobertaForQuestionAnswering,
        DualEncoder: DualEncoderModel,
    }
    masked = XLMRobertaForMaskedLM
    alone = {"add_pooling_layer": False}  # noqa: RUF012
    stack = XLMRobertaEncoder

    def choice_logits(self, network: PreTrainedModel, **inputs: Tensor) -> Tensor:
        found: Tensor = network.classifier(network.roberta(**inputs).pooler_output)
        return found

    def masked_logits(self, network: PreTrainedModel, states: Tensor) -> Tensor:
        found: Tensor = network.lm_head(states)
        return found


NETWORKS = _Networks()


def scratch_config(*, layers: int, width: int, heads: int, vocabulary: int) -> XLMRobertaConfig:
    """Return the shape of an encoder that is trained from nothing; without dropout.

    Args:
        layers: hidden layers.
        width: of a hidden state.
        heads: attention heads of a layer.
        vocabulary: subwords, special ones included.
    """
    return XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        # Positions are counted from 2, so 512 tokens need 514.
        max_position_embeddings=514,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
