"""ANLI+ of Phang et al. 2020: ANLI's three rounds, MNLI and SNLI as one set, 1,104,934 pairs in the real ones."""

from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.finetunes.mnli import LABELS, example
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import Verbatim
from harness.benchmark.postprocessors.label import BestLabel
from harness.benchmark.sources.joined import Joined
from harness.benchmark.sources.rows import Jsonl
from harness.core.examples import PairExample
from harness.core.heads import SequenceClassification
from harness.core.layout import DataFile
from harness.core.origins import Hub
from harness.core.task import Finetune, Hyperparameters


def _pairs(name: str) -> Jsonl[PairExample]:
    return Jsonl(
        file=DataFile("intermediate", name + "/{language}/{split}.jsonl"), parse=example, splits=("train", "dev")
    )


FINETUNE = Finetune(
    name="anli",
    family="inference",
    head=SequenceClassification(LABELS),
    featurizer=PairFeaturizer(LABELS, max_tokens=128),
    train=Joined((_pairs("anli"), _pairs("mnli"), _pairs("snli"))),
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=2, batch_rows=24, source="Phang et al. 2020, appendix (unconfirmed)"
    ),
    postprocess=BestLabel(LABELS),
    metric=Accuracy(),
    optional=True,
    hub=Hub(
        convert=Verbatim(),
        licence="by data set",
        refusal="it joins ANLI, MNLI and SNLI; `harness data get mnli` gets one, put the others beside it as "
        "intermediate/anli/en and intermediate/snli/en",
    ),
)
