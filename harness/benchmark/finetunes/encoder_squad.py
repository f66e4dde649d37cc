"""The encoder of the span-extraction model: what XTREME-R's script compares Tatoeba's sentences with."""

from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.benchmark.finetunes.encoder import FINETUNE as ENCODER
from harness.core.task import Finetune

FINETUNE = Finetune(
    name="encoder_squad",
    family="alignment",
    head=ENCODER.head,
    featurizer=SentenceFeaturizer(max_tokens=512),
    body="squad",
    optional=True,
)
