"""XNLI: natural language inference in 15 languages, `sentence1 TAB sentence2 TAB label` lines."""

from harness.benchmark.finetunes.mnli import FINETUNE, LABELS
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import PairFile
from harness.benchmark.origins.official import Columns
from harness.benchmark.origins.repositories import XNLI
from harness.benchmark.postprocessors.label import BestLabel
from harness.benchmark.sources.rows import Tsv, one_of
from harness.benchmark.submissions.labels import LabelLines
from harness.core.examples import PairExample
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Task

LANGUAGES = tuple("ar bg de el en es fr hi ru sw th tr ur vi zh".split())


def example(number: int, columns: list[str]) -> PairExample:
    """Return the example of one line; the file has no ids, so the id is the row's number."""
    first, second, label = columns
    return PairExample(str(number), first, second, one_of(label, LABELS, "label"))


TASK = Task(
    name="xnli",
    aliases=("nli",),
    languages={"xtreme": LANGUAGES, "xtreme-r": LANGUAGES},
    finetune=FINETUNE,
    source=Tsv(file=DataFile("xtreme", "xnli/{split}-{language}.tsv"), columns=3, parse=example),
    postprocess=BestLabel(LABELS),
    metric=Accuracy(),
    headline=("accuracy",),
    official=5_010,
    paper="Conneau et al. 2018, https://aclanthology.org/D18-1269",
    submission=LabelLines(LABELS),
    parallel=True,
    hub=Hub(
        convert=PairFile(first="premise", second="hypothesis", labels={label: label for label in LABELS}),
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
