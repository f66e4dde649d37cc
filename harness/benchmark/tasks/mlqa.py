"""MLQA: extractive questions in seven languages, context and question in the same one, SQuAD JSON."""

from harness.benchmark.finetunes.squad import FINETUNE
from harness.benchmark.metrics.mlqa import Mlqa
from harness.benchmark.origins import official
from harness.benchmark.origins.converters import SquadFile
from harness.benchmark.origins.repositories import XTREME
from harness.benchmark.postprocessors.span import BestSpan
from harness.benchmark.sources.squad_json import SquadJson
from harness.benchmark.submissions.answers import Answers
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Task

LANGUAGES = tuple("en es de ar hi vi zh".split())

TASK = Task(
    name="mlqa",
    languages={"xtreme": LANGUAGES, "xtreme-r": LANGUAGES},
    finetune=FINETUNE,
    source=SquadJson(
        file=DataFile("xtreme", "mlqa/MLQA_V1/{split}/{split}-context-{language}-question-{language}.json"),
        splits=("dev", "test"),
    ),
    postprocess=BestSpan(n_best=20, max_answer=30),
    metric=Mlqa(),
    headline=("exact_match", "f1"),
    official={"en": 11_590, "ar": 5_335, "de": 4_517, "es": 5_253, "hi": 4_918, "vi": 5_495, "zh": 5_137},
    paper="Lewis et al. 2020, https://aclanthology.org/2020.acl-main.653",
    submission=Answers(),
    protocol="answers normalised by the context's language",
    parallel=True,
    hub=Hub(
        convert=SquadFile(),
        # facebook/mlqa has a loading script, which `datasets` no longer runs.
        parts=(
            Part(repository=XTREME, config="MLQA.{language}.{language}", splits={"dev": "validation", "test": "test"}),
        ),
        official=(
            official.SquadFiles(
                patterns=("mlqa/MLQA_V1/{split}/{split}-context-{language}-question-{language}.json",),
            ),
        ),
        examples={"dev": {"en": 1_148, "ar": 517, "de": 512, "es": 500, "hi": 507, "vi": 511, "zh": 504}},
    ),
)
