"""No training set: the intermediate encoder itself, whose pooled layer compares sentences."""

from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.core.heads import SentenceEmbedding
from harness.core.task import Finetune

FINETUNE = Finetune(
    name="encoder",
    family="alignment",
    # `--specific_layer 13 --num_layers 24` of scripts/run_tatoeba.sh counts from 0 without the
    # embedding output, so it is hidden state 14; for 12 layers (mBERT) 7 is hidden state 8
    # (google-research/xtreme@838c13b).
    head=SentenceEmbedding(layers={24: 14, 12: 8}, pooling="mean"),
    featurizer=SentenceFeaturizer(max_tokens=512),
)
