"""DeBERTa v2 and v3: mDeBERTa-v3-base."""

from collections.abc import Mapping
from typing import Any

from harness.encoders.families import Family

_OVERFLOW = (
    "attention scores of DeBERTa exceed what half precision holds, and answers become NaN (microsoft/DeBERTa#77, "
    "huggingface/transformers#24116)"
)


def _position_products(config: Mapping[str, Any]) -> int:
    """Return one for content to position, and one for position to content."""
    return len(set(config["pos_att_type"] or ()) & {"c2p", "p2c"})


FAMILY = Family(
    model_type="deberta-v2",
    examples=("mDeBERTa-v3",),
    prefix="deberta",
    layers="encoder.layer",
    architectures={
        "SequenceClassification": "DebertaV2ForSequenceClassification",
        "TokenClassification": "DebertaV2ForTokenClassification",
        "ChoiceScore": "DebertaV2ForMultipleChoice",
        "SpanExtraction": "DebertaV2ForQuestionAnswering",
        "SentenceEmbedding": "DebertaV2Model",
        "DualEncoder": "DualEncoderModel",
    },
    heads=(
        r"(cls|lm_predictions|mask_predictions)\..+",
        r"(classifier|qa_outputs)\..+",
        r"pooler\.dense\.(weight|bias)",
        "scale",
    ),
    # Positions are relative; the table of absolute ones that some checkpoints carry is used by nothing.
    buffers=(r"(deberta\.)?embeddings\.(position_ids|position_embeddings\.weight)",),
    # ONNX Runtime has no fusion of attention to positions as well as to content.
    fused_attention=0,
    position_products=_position_products,
    refused={"fp16": _OVERFLOW, "bf16": _OVERFLOW},
    settings={"type_vocab_size": (0,), "relative_attention": (True,), "position_biased_input": (False,)},
)
