"""The intermediate encoder as the BUCC script reads it: the first token instead of the mean."""

from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.core.heads import SentenceEmbedding
from harness.core.task import Finetune

FINETUNE = Finetune(
    name="encoder_cls",
    family="alignment",
    # scripts/run_bucc2018.sh passes `--specific_layer 7` but no `--num_layers`, which then keeps the
    # last 12 layers: hidden state 20 of 24, 8 of 12 (google-research/xtreme@838c13b).
    head=SentenceEmbedding(layers={24: 20, 12: 8}, pooling="cls"),
    featurizer=SentenceFeaturizer(max_tokens=512),
    optional=True,
)
