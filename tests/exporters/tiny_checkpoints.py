from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForMultipleChoice,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaForTokenClassification,
    XLMRobertaModel,
)

from harness.core.features import Featurizer
from harness.core.heads import (
    ChoiceScore,
    DualEncoder,
    Head,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
    describe,
)
from harness.core.task import AnyFinetune, Finetune
from training.checkpoint import write_checkpoint
from training.encoders.xlm_roberta import DualEncoderModel

VOCABULARY = 200
LAYERS = 3

HEADS: dict[str, Head] = {
    "mnli": SequenceClassification(("contradiction", "entailment", "neutral")),
    "copa": ChoiceScore(),
    "udpos": TokenClassification(("ADJ", "NOUN", "PUNCT", "VERB", "X")),
    "squad": SpanExtraction(),
    "encoder": SentenceEmbedding(layers={12: 8}),
    "encoder_cls": SentenceEmbedding(layers={12: 8}, pooling="cls"),
    "lareqa": DualEncoder(),
}

NETWORKS: dict[str, Callable[[XLMRobertaConfig], PreTrainedModel]] = {
    "mnli": XLMRobertaForSequenceClassification,
    "copa": XLMRobertaForMultipleChoice,
    "udpos": XLMRobertaForTokenClassification,
    "squad": XLMRobertaForQuestionAnswering,
    "encoder": lambda config: XLMRobertaModel(config, add_pooling_layer=False),
    "encoder_cls": lambda config: XLMRobertaModel(config, add_pooling_layer=False),
    "lareqa": DualEncoderModel,
}

MakeCheckpoint = Callable[..., Path]


class NoFeaturizer:
    max_tokens = 64

    def __call__(self, examples: object, tokenizer: object) -> list[Any]:
        return []


def finetune(name: str, head: Head | None = None) -> AnyFinetune:
    featurizer: Featurizer[Any] = NoFeaturizer()
    return Finetune(name=name, family="inference", head=head or HEADS[name], featurizer=featurizer)


def tiny_network(name: str, seed: int = 0) -> PreTrainedModel:
    """Return a seeded network whose weights are spread widely enough that every row differs."""
    labels = len(getattr(HEADS[name], "labels", ("start", "end")))
    config = XLMRobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
        initializer_range=0.2,
        num_labels=labels,
    )
    torch.manual_seed(seed)
    return NETWORKS[name](config).eval()


def write_tokenizer(path: Path, pad: str = "<pad>") -> None:
    """Write a word-level tokenizer with XLM-R's special ids; `pad` names the token with id 1.

    Its words have letters of two scripts, so that files of either may hold them.
    """
    words = ["<s>", pad, "</s>", "<unk>", *(f"wж{index}" for index in range(4, VOCABULARY))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(path))


def save_checkpoint(directory: Path, name: str, *, metadata: Mapping[str, Any] | None = None, seed: int = 0) -> Path:
    complete = {
        "phase": "target",
        "parents": {},
        "seen": {},
        "model": "tiny",
        "finetune": name,
        "head": describe(HEADS[name]),
        "recipe": {"name": "tiny"},
        "retrieval_layer": 1,
        **(metadata or {}),
    }

    def save(draft: Path) -> None:
        tiny_network(name, seed).save_pretrained(draft)
        write_tokenizer(draft / "tokenizer.json")

    return write_checkpoint(directory, complete, save).directory
