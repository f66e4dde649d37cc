"""XCOPA: causes and effects in 11 languages, JSON lines with CR LF ends."""

from harness.benchmark.finetunes.copa import FINETUNE, example
from harness.benchmark.finetunes.copa import SOURCE as COPA
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import JsonLines
from harness.benchmark.origins.official import Objects
from harness.benchmark.origins.repositories import XCOPA
from harness.benchmark.postprocessors.label import BestChoice
from harness.benchmark.sources.rows import Jsonl
from harness.benchmark.submissions.choices import ChoiceLines
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Task

TASK = Task(
    name="xcopa",
    languages={"xtreme-r": tuple("et ht id it qu sw ta th tr vi zh".split())},
    finetune=FINETUNE,
    source=Jsonl(
        file=DataFile("xtreme", "xcopa/{language}/{split}.{language}.jsonl"),
        parse=example,
        names={"dev": "val"},
        blank=0,
    ),
    postprocess=BestChoice(),
    metric=Accuracy(),
    headline=("accuracy",),
    official=500,
    paper="Ponti et al. 2020, https://aclanthology.org/2020.emnlp-main.185",
    submission=ChoiceLines(),
    originals=((COPA, "en", "dev"), (COPA, "en", "test")),
    parallel=True,
    hub=Hub(
        convert=JsonLines(
            texts=("premise", "choice1", "choice2", "question"), labels={0: 0, 1: 1}, extra=("idx", "changed")
        ),
        parts=(Part(repository=XCOPA, config="{language}", splits={"dev": "validation", "test": "test"}),),
        official=(Objects(patterns=("xcopa/{split}.{language}.jsonl",), names={"dev": "val"}, splits=("dev", "test")),),
        examples={"dev": 100},
    ),
)
