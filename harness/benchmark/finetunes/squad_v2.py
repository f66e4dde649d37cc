"""SQuAD v2.0 (Rajpurkar et al. 2018): SQuAD with questions that have no answer, 130,319 in the real train set."""

from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.metrics.squad import SquadV2
from harness.benchmark.postprocessors.span import BestSpan
from harness.benchmark.sources.squad_json import SquadJson
from harness.core.heads import SpanExtraction
from harness.core.layout import DataFile
from harness.core.task import Finetune, Hyperparameters

FINETUNE = Finetune(
    name="squad_v2",
    family="reading",
    head=SpanExtraction(),
    featurizer=WindowFeaturizer(max_tokens=384, stride=128, max_question=64),
    train=SquadJson(
        file=DataFile("intermediate", "squad_v2/{language}/{split}-v2.0.json"),
        splits=("train", "dev"),
        unanswerable=True,
    ),
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=3, batch_rows=8, source="Phang et al. 2020, appendix (unconfirmed)"
    ),
    # The best threshold on the null score is 0 here, not searched for: nothing of phase 2 is kept but the encoder.
    postprocess=BestSpan(n_best=20, max_answer=30, null=True),
    metric=SquadV2(),
    headline=("exact_match", "f1"),
    optional=True,
)
