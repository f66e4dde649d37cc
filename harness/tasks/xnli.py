"""XNLI: natural language inference in 15 languages, `sentence1 TAB sentence2 TAB label` lines."""

from harness.acquire.converters import PairLines
from harness.acquire.declaration import Hub, Part
from harness.acquire.official import Columns
from harness.acquire.repositories import XNLI
from harness.data import DataFile
from harness.examples import PairExample
from harness.finetunes.mnli import FINETUNE, LABELS
from harness.metrics.accuracy import Accuracy
from harness.postprocessors.label import BestLabel
from harness.sources.rows import Tsv, one_of
from harness.submissions.labels import LabelLines
from harness.task import Task

LANGUAGES = tuple("ar bg de el en es fr hi ru sw th tr ur vi zh".split())


def example(number: int, columns: list[str]) -> PairExample:
    """Return the example of one line; the file has no ids, so the id is the row's number."""
    first, second, label = columns
    return PairExample(str(number), first, second, one_of(label, LABELS, "label"))


TASK = Task(
    name="xnli",
    languages={"xtreme": LANGUAGES, "xtreme-r": LANGUAGES},
    finetune=FINETUNE,
    source=Tsv(file=DataFile("xtreme", "xnli/{split}-{language}.tsv"), columns=3, parse=example),
    postprocess=BestLabel(LABELS),
    metric=Accuracy(),
    headline=("accuracy",),
    official=5_010,
    paper="Conneau et al. 2018, https://aclanthology.org/D18-1269",
    submission=LabelLines(LABELS),
    hub=Hub(
        convert=PairLines(first="premise", second="hypothesis", labels={label: label for label in LABELS}),
        parts=(Part(repository=XNLI, config="{language}", splits={"dev": "validation", "test": "test"}),),
        official=(
            Columns(
                patterns=("xnli/{split}-{language}.tsv",),
                columns=("premise", "hypothesis", "label"),
                splits=("dev", "test"),
            ),
        ),
        examples={"dev": 2_490},
    ),
)
