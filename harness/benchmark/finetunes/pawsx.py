"""PAWS-X English (Yang et al. 2019; PAWS, Zhang et al. 2019): paraphrase or not, 49,401 pairs."""

from collections.abc import Mapping

from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import PairFile
from harness.benchmark.origins.official import Columns
from harness.benchmark.origins.repositories import PAWS_X, XTREME
from harness.benchmark.postprocessors.label import BestLabel
from harness.benchmark.sources.rows import Tsv, one_of
from harness.core.examples import PairExample
from harness.core.heads import SequenceClassification
from harness.core.layout import DataFile, Split
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

LABELS = ("0", "1")


def example(number: int, columns: list[str]) -> PairExample:
    """Return the example of one line; the processed file has no ids, so the id is the row's number."""
    first, second, label = columns
    return PairExample(str(number), first, second, one_of(label, LABELS, "label"))


SOURCE = Tsv(
    file=DataFile("xtreme", "pawsx/{split}-{language}.tsv"),
    columns=3,
    parse=example,
    splits=("train", "dev", "test"),
    quoted=True,
    # "NS" stands for a sentence that was not translated: 32 rows of German test have one (docs/data.md).
    placeholders=("NS",),
)

SPLITS: Mapping[Split, str] = {"train": "train", "dev": "validation", "test": "test"}
HUB = Hub(
    convert=PairFile(first="sentence1", second="sentence2", labels={label: label for label in LABELS}, quoted=True),
    parts=(
        Part(repository=PAWS_X, config="{language}", splits=SPLITS),
        Part(
            repository=XTREME,
            config="PAWS-X.{language}",
            splits=SPLITS,
            # huggingface/datasets@8803c182e6^ datasets/xtreme: es dev 1,961, fr dev 1,988, ko test 1,999.
            defect="google/xtreme's PAWS-X.* was parsed as CSV, which joins rows at lone quotation marks and drops "
            "them; take google-research-datasets/paws-x",
        ),
    ),
    official=(Columns(patterns=("pawsx/{split}-{language}.tsv",), columns=("sentence1", "sentence2", "label")),),
    examples={"train": 49_401, "dev": 2_000},
)

FINETUNE = Finetune(
    name="pawsx",
    family="paraphrase",
    head=SequenceClassification(LABELS),
    featurizer=PairFeaturizer(LABELS, max_tokens=128),
    train=SOURCE,
    hyperparameters=Hyperparameters(
        learning_rate=2e-5, epochs=5, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_pawsx.sh"
    ),
    postprocess=BestLabel(LABELS),
    metric=Accuracy(),
    hub=HUB,
)
