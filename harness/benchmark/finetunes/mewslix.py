"""Mewsli-X's English Wikipedia pairs: a dual encoder of mentions and entities, 167,719 pairs."""

from harness.benchmark.featurizers.dual import DualFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import Verbatim
from harness.benchmark.origins.official import Lines
from harness.benchmark.origins.repositories import MEWSLI_X
from harness.benchmark.postprocessors.matches import BestMatch
from harness.benchmark.sources.mewsli import MentionPairs
from harness.core.heads import DualEncoder
from harness.core.layout import DataFile
from harness.core.origins import Archive, Hub
from harness.core.task import Finetune, Hyperparameters

#: The repository's configurations hold prepared texts, without ids, spans and articles; what they were made
#: from, with the articles' texts put in, is packed beside them (its process.py reads raw/*.jsonl).
ARCHIVE = Archive(repository=MEWSLI_X, file="raw.tar.gz")
NOTE = "the release has no article texts, get-mewsli-x.sh of google-research/google-research puts them in"

FINETUNE = Finetune(
    name="mewslix",
    family="linking",
    head=DualEncoder(),
    featurizer=DualFeaturizer(query_tokens=64, candidate_tokens=64),
    train=MentionPairs(file=DataFile("xtreme", "mewslix/wikipedia_pairs-{split}.jsonl")),
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=2, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_mewslix.sh"
    ),
    postprocess=BestMatch(),
    metric=Accuracy(),
    hub=Hub(
        convert=Verbatim(),
        archive=ARCHIVE,
        official=tuple(Lines(patterns=(f"{folder}/wikipedia_pairs-{{split}}.jsonl",)) for folder in ("mewslix", "raw")),
        note=NOTE,
        examples={"train": 167_719, "dev": 14_051},
    ),
)
