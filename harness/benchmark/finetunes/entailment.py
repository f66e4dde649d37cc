"""Two-way inference: entailment or not, as TERRa (Russian), RTE and the recast Hindi headlines have it."""

from collections.abc import Mapping

from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.postprocessors.label import BestLabel
from harness.benchmark.sources.rows import Jsonl, one_of, text_of
from harness.core.examples import PairExample
from harness.core.heads import SequenceClassification
from harness.core.layout import DataFile
from harness.core.task import Finetune, Hyperparameters

LABELS = ("not_entailment", "entailment")


def example(number: int, row: Mapping[str, str]) -> PairExample:
    """Return the example of one JSON line."""
    premise, hypothesis = text_of(row, "premise", "sentence1"), text_of(row, "hypothesis", "sentence2")
    return PairExample(str(number), premise, hypothesis, one_of(row["label"], LABELS, "label"))


FINETUNE = Finetune(
    name="entailment",
    family="inference",
    head=SequenceClassification(LABELS),
    featurizer=PairFeaturizer(LABELS, max_tokens=128),
    train=Jsonl(file=DataFile("intermediate", "nli/{language}/{split}.jsonl"), parse=example, splits=("train", "dev")),
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=2, batch_rows=24, source="as MNLI in Phang et al. 2020, appendix (unconfirmed)"
    ),
    postprocess=BestLabel(LABELS),
    metric=Accuracy(),
    optional=True,
)
