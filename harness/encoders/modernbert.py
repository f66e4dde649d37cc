"""ModernBERT: mmBERT."""

from harness.encoders.families import Family

FAMILY = Family(
    model_type="modernbert",
    examples=("mmBERT-small", "mmBERT-base"),
    prefix="model",
    layers="layers",
    architectures={
        "SequenceClassification": "ModernBertForSequenceClassification",
        "TokenClassification": "ModernBertForTokenClassification",
        "ChoiceScore": "ModernBertForMultipleChoice",
        "SpanExtraction": "ModernBertForQuestionAnswering",
        "SentenceEmbedding": "ModernBertModel",
        "DualEncoder": "DualEncoderModel",
    },
    heads=(
        r"head\..+",
        r"decoder\.(weight|bias)",
        r"(classifier|qa_outputs)\..+",
        r"pooler\.dense\.(weight|bias)",
        "scale",
    ),
    dropout=("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"),
    # Query, key and value are one product, and the positions are rotated in between: no fusion knows that.
    fused_attention=0,
    products=lambda config: 4,
)
