"""Universal Dependencies English, all treebanks: part-of-speech tags, 21,253 sentences in UD 2.5."""

from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.benchmark.metrics.chunks import ChunkF1
from harness.benchmark.origins.converters import TaggedWords
from harness.benchmark.origins.official import Tagged
from harness.benchmark.origins.repositories import UDPOS_27
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.benchmark.sources.conll import Conll
from harness.core.heads import TokenClassification
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

#: Sorted, which is the label order of google-research/xtreme@838c13b and nyu-mll/jiant@daa5a25.
TAGS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())

SOURCE = Conll(file=DataFile("xtreme", "udpos/{split}-{language}.tsv"), tags=TAGS)

UNOFFICIAL = "UD 2.7 for all languages by a conversion of its own; the benchmark takes UD 2.5 for 33 of them"
HUB = Hub(
    convert=TaggedWords(tags="pos_tags", known=TAGS),
    licence="Universal Dependencies 2.5 and 2.7, by treebank",
    parts=(
        Part(
            repository=UDPOS_27,
            config="{language}",
            splits={"train": "train", "dev": "validation", "test": "test"},
            languages=("en",),
            unofficial=UNOFFICIAL,
        ),
        Part(repository=UDPOS_27, config="{language}", splits={"test": "test"}, unofficial=UNOFFICIAL),
    ),
    official=(Tagged(patterns=("udpos/{split}-{language}.tsv",), tags="pos_tags"),),
    # Counts: huggingface/datasets@8803c182e6^ datasets/xtreme/dataset_infos.json.
    refusal="google/xtreme's udpos.* is other data: it adds historical treebanks (2,809 Greek test sentences instead "
    "of 456, 5,528 Chinese instead of 3,455) and splits multiword tokens; convert UD 2.5 (2.7 for lt pl uk wo ro) with "
    "the official scripts and give the folder with `--from`, or take UD 2.7 for all, which is not official, with "
    "`--repository izhx/xtreme-r-udpos`",
    examples={"train": 21_253, "dev": {"en": 3_974}},
    absent={"dev": ("kk", "th", "tl", "yo")},
)

FINETUNE = Finetune(
    name="udpos",
    family="tagging",
    head=TokenClassification(TAGS),
    featurizer=WordsFeaturizer(TAGS, max_tokens=128),
    train=SOURCE,
    hyperparameters=Hyperparameters(
        learning_rate=2e-5, epochs=10, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_udpos.sh"
    ),
    postprocess=FirstPieceTags(TAGS),
    metric=ChunkF1("legacy"),
    headline=("f1",),
    hub=HUB,
)
