"""MNLI (Williams et al. 2018): three-way natural language inference, 392,702 pairs in the real set."""

from collections.abc import Mapping

from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import JsonLines
from harness.benchmark.origins.official import Columns
from harness.benchmark.origins.repositories import GLUE
from harness.benchmark.postprocessors.label import BestLabel
from harness.benchmark.sources.rows import Jsonl, one_of, text_of
from harness.core.examples import PairExample
from harness.core.heads import SequenceClassification
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

#: The official order (google-research/xtreme@838c13b third_party/processors/xnli.py); the hub
#: numbers them otherwise, so sources map labels by name.
LABELS = ("contradiction", "entailment", "neutral")


def example(number: int, row: Mapping[str, str]) -> PairExample:
    """Return the example of one JSON line; OCNLI and JNLI call the two sentence1 and sentence2."""
    premise, hypothesis = text_of(row, "premise", "sentence1"), text_of(row, "hypothesis", "sentence2")
    return PairExample(str(number), premise, hypothesis, one_of(row["label"], LABELS, "label"))


FINETUNE = Finetune(
    name="mnli",
    family="inference",
    head=SequenceClassification(LABELS),
    featurizer=PairFeaturizer(LABELS, max_tokens=128),
    train=Jsonl(
        file=DataFile("intermediate", "mnli/{language}/{split}.jsonl"),
        parse=example,
        splits=("train", "dev"),
        # Other languages' files are machine translations (XNLI-MT 1.0), which may have left a sentence empty.
        has_blanks=True,
    ),
    hyperparameters=Hyperparameters(
        learning_rate=2e-5, epochs=5, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_xnli.sh"
    ),
    postprocess=BestLabel(LABELS),
    metric=Accuracy(),
    hub=Hub(
        convert=JsonLines(texts=("premise", "hypothesis"), labels={label: label for label in LABELS}),
        parts=(Part(repository=GLUE, config="mnli", splits={"train": "train", "dev": "validation_matched"}),),
        official=(
            Columns(
                patterns=("xnli/train-{language}.tsv",), columns=("premise", "hypothesis", "label"), splits=("train",)
            ),
        ),
        examples={"train": 392_702, "dev": 9_815},
    ),
)
