"""WikiANN English in its balanced splits (Rahimi et al. 2019): named entities, 20,000 sentences."""

from collections.abc import Mapping

from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.benchmark.metrics.chunks import ChunkF1
from harness.benchmark.origins.converters import TaggedWords
from harness.benchmark.origins.official import Tagged
from harness.benchmark.origins.repositories import WIKIANN, XTREME
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.benchmark.sources.conll import Conll
from harness.core.heads import TokenClassification
from harness.core.layout import DataFile, Split
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

#: Sorted, which is the label order of google-research/xtreme@838c13b; hub and jiant number them
#: otherwise, so tags are mapped by name.
TAGS = ("B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O")

SOURCE = Conll(file=DataFile("xtreme", "panx/{split}-{language}.tsv"), tags=TAGS)

SPLITS: Mapping[Split, str] = {"train": "train", "dev": "validation", "test": "test"}
HUB = Hub(
    convert=TaggedWords(tags="ner_tags", known=TAGS),
    parts=(
        Part(repository=WIKIANN, config="{language}", splits=SPLITS),
        Part(repository=XTREME, config="PAN-X.{language}", splits=SPLITS),
    ),
    official=(Tagged(patterns=("panx/{split}-{language}.tsv",), tags="ner_tags"),),
    examples={"train": 20_000, "dev": 10_000},
)

FINETUNE = Finetune(
    name="panx",
    family="entities",
    head=TokenClassification(TAGS),
    featurizer=WordsFeaturizer(TAGS, max_tokens=128),
    train=SOURCE,
    hyperparameters=Hyperparameters(
        learning_rate=2e-5, epochs=10, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_panx.sh"
    ),
    postprocess=FirstPieceTags(TAGS),
    metric=ChunkF1("legacy"),
    headline=("f1",),
    hub=HUB,
)
