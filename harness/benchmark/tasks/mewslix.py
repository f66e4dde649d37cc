"""Mewsli-X: the entity that a mention in the news means, among a million descriptions in 50 languages."""

from harness.benchmark.finetunes.mewslix import ARCHIVE, FINETUNE, NOTE
from harness.benchmark.metrics.ranking import AveragePrecision
from harness.benchmark.origins.converters import Verbatim
from harness.benchmark.origins.official import Lines
from harness.benchmark.postprocessors.neighbours import Nearest
from harness.benchmark.sources.mewsli import Entities, Mentions
from harness.benchmark.submissions.ranked import RankedIds
from harness.core.layout import DataFile
from harness.core.origins import Hub
from harness.core.task import Pool, Task

SEARCH = Nearest(20)

TASK = Task(
    name="mewslix",
    aliases=(
        "mewsli-x",
        "mewsli",
    ),
    languages={"xtreme-r": tuple("ar de en es fa ja pl ro ta tr uk".split())},
    finetune=FINETUNE,
    source=Mentions(file=DataFile("xtreme", "mewslix/wikinews_mentions/{split}-{language}.jsonl")),
    postprocess=SEARCH,
    metric=AveragePrecision(20),
    headline=("map@20",),
    official={
        "ar": 1_501,
        "de": 1_551,
        "en": 1_490,
        "es": 1_552,
        "fa": 458,
        "ja": 1_519,
        "pl": 1_562,
        "ro": 672,
        "ta": 1_567,
        "tr": 1_215,
        "uk": 1_537,
    },
    paper="Ruder et al. 2021, https://aclanthology.org/2021.emnlp-main.802",
    submission=RankedIds(),
    protocol="release 20220518_6, which is not the data of the paper",
    pool=Pool(
        source=Entities(file=DataFile("xtreme", "mewslix/candidate_set_entities.jsonl")),
        search=SEARCH,
        official=1_003_893,
    ),
    hub=Hub(
        convert=Verbatim(),
        archive=ARCHIVE,
        official=(
            Lines(patterns=("mewslix/wikinews_mentions/{split}-{language}.jsonl",)),
            Lines(patterns=("mewslix/wikinews_mentions-{split}.jsonl",), language_at=("context", "language")),
            Lines(patterns=("raw/wikinews_mentions-{split}.jsonl",), language_at=("context", "language")),
        ),
        pool=tuple(Lines(patterns=(f"{folder}/candidate_set_entities.jsonl",)) for folder in ("mewslix", "raw")),
        note=NOTE,
        examples={
            "dev": {
                "ar": 318,
                "de": 326,
                "en": 316,
                "es": 311,
                "fa": 72,
                "ja": 310,
                "pl": 304,
                "ro": 145,
                "ta": 312,
                "tr": 262,
                "uk": 315,
            }
        },
    ),
)
