"""XCOPA: causes and effects in 11 languages, JSON lines with CR LF ends."""

from harness.data import DataFile
from harness.finetunes.copa import FINETUNE, example
from harness.metrics.accuracy import Accuracy
from harness.postprocessors.label import BestChoice
from harness.sources.rows import Jsonl
from harness.task import Task

TASK = Task(
    name="xcopa",
    languages={"xtreme-r": tuple("et ht id it qu sw ta th tr vi zh".split())},
    finetune=FINETUNE,
    source=Jsonl(
        file=DataFile("xtreme", "xcopa/{language}/{split}.{language}.jsonl"),
        parse=example,
        names={"dev": "val"},
    ),
    postprocess=BestChoice(),
    metric=Accuracy(),
    headline=("accuracy",),
    official=500,
    paper="Ponti et al. 2020, https://aclanthology.org/2020.emnlp-main.185",
)
