"""Quora Question Pairs (GLUE): whether two questions ask the same, 363,846 pairs in the real set."""

from collections.abc import Mapping

from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import JsonLines
from harness.benchmark.origins.repositories import GLUE
from harness.benchmark.postprocessors.label import BestLabel
from harness.benchmark.sources.rows import Jsonl, one_of, text_of
from harness.core.examples import PairExample
from harness.core.heads import SequenceClassification
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

#: In PAWS-X's order, so that one may stand in for the other.
LABELS = ("not_duplicate", "duplicate")


def example(number: int, row: Mapping[str, str]) -> PairExample:
    """Return the example of one JSON line."""
    first, second = text_of(row, "question1"), text_of(row, "question2")
    return PairExample(str(number), first, second, one_of(row["label"], LABELS, "label"))


FINETUNE = Finetune(
    name="qqp",
    family="paraphrase",
    head=SequenceClassification(LABELS),
    featurizer=PairFeaturizer(LABELS, max_tokens=128),
    train=Jsonl(
        file=DataFile("intermediate", "qqp/{language}/{split}.jsonl"),
        parse=example,
        splits=("train", "dev"),
        # A few questions of the official train file are empty.
        has_blanks=True,
    ),
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=3, batch_rows=24, source="Phang et al. 2020, appendix (unconfirmed)"
    ),
    postprocess=BestLabel(LABELS),
    metric=Accuracy(),
    optional=True,
    hub=Hub(
        convert=JsonLines(texts=("question1", "question2"), labels={label: label for label in LABELS}),
        parts=(Part(repository=GLUE, config="qqp", splits={"train": "train", "dev": "validation"}),),
        examples={"train": 363_846, "dev": 40_430},
    ),
)
