"""XNLI: natural language inference in 15 languages, `sentence1 TAB sentence2 TAB label` lines."""

from harness.data import DataFile
from harness.examples import PairExample
from harness.finetunes.mnli import FINETUNE, LABELS
from harness.metrics.accuracy import Accuracy
from harness.postprocessors.label import BestLabel
from harness.sources.rows import Tsv, one_of
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
)
