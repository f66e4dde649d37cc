"""XLM-R and what has its shape: XLM-V, BGE-M3, multilingual-e5-base and -large."""

from harness.encoders.families import Family

#: Rows of XLM-R's embedding table, and of those that copied it.
ROWS = 250_002
#: Ids of XLM-R's own tokenizer, in its frame.
KNOWN_IDS = {
    "Hello world!": (0, 35378, 8999, 38, 2),
    "你好，世界": (0, 6, 124084, 4, 3221, 2),
    "नमस्ते दुनिया": (0, 68700, 97883, 29405, 2),
    "مرحبا بالعالم": (0, 665, 193478, 258, 1705, 77796, 2),
}

FAMILY = Family(
    model_type="xlm-roberta",
    examples=("XLM-R", "XLM-V", "BGE-M3", "multilingual-e5-base", "multilingual-e5-large"),
    prefix="roberta",
    layers="encoder.layer",
    architectures={
        "SequenceClassification": "XLMRobertaForSequenceClassification",
        "TokenClassification": "XLMRobertaForTokenClassification",
        "ChoiceScore": "XLMRobertaForMultipleChoice",
        "SpanExtraction": "XLMRobertaForQuestionAnswering",
        "SentenceEmbedding": "XLMRobertaModel",
        "DualEncoder": "DualEncoderModel",
    },
    heads=(r"lm_head\..+", r"classifier\..+", r"qa_outputs\..+", r"(roberta\.)?pooler\.dense\.(weight|bias)", "scale"),
    buffers=(r"(roberta\.)?embeddings\.(position_ids|token_type_ids)",),
    settings={
        # With two, a BERT checkpoint was renamed: its positions count from 0, and every answer would be off by two.
        "type_vocab_size": (1,),
        "position_embedding_type": ("absolute",),
        "is_decoder": (False,),
    },
    special_ids={"pad_token_id": "pad", "bos_token_id": "first", "eos_token_id": "last"},
    known_ids={ROWS: KNOWN_IDS},
    # create_position_ids_from_input_ids of transformers.
    positions_from_pad=True,
)
