"""BERT: mBERT, LaBSE, MuRIL, multilingual-e5-small."""

from harness.encoders import xlm_roberta
from harness.encoders.families import Family

#: Rows of the embedding table of mBERT, cased.
ROWS = 119_547
#: Ids of mBERT's own tokenizer, cased, in its frame.
KNOWN_IDS = {
    "Hello world!": (101, 31178, 11356, 106, 102),
    "你好，世界": (101, 2262, 3240, 10064, 2087, 5621, 102),
    "नमस्ते दुनिया": (101, 884, 13841, 57523, 11554, 83874, 102),
    "مرحبا بالعالم": (101, 788, 51052, 30877, 10909, 10961, 54422, 22887, 102),
}
#: Rows of multilingual-e5-small's embedding table: XLM-R's vocabulary, and 35 that nothing uses.
E5_ROWS = 250_037

FAMILY = Family(
    model_type="bert",
    examples=("mBERT", "LaBSE", "MuRIL", "multilingual-e5-small"),
    prefix="bert",
    layers="encoder.layer",
    architectures={
        "SequenceClassification": "BertForSequenceClassification",
        "TokenClassification": "BertForTokenClassification",
        "ChoiceScore": "BertForMultipleChoice",
        "SpanExtraction": "BertForQuestionAnswering",
        "SentenceEmbedding": "BertModel",
        "DualEncoder": "DualEncoderModel",
    },
    heads=(r"cls\..+", r"classifier\..+", r"qa_outputs\..+", r"(bert\.)?pooler\.dense\.(weight|bias)", "scale"),
    buffers=(r"(bert\.)?embeddings\.(position_ids|token_type_ids)",),
    settings={"type_vocab_size": (1, 2), "position_embedding_type": ("absolute",), "is_decoder": (False,)},
    token_types=True,
    known_ids={ROWS: KNOWN_IDS, E5_ROWS: xlm_roberta.KNOWN_IDS},
)
