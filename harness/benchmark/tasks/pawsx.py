"""PAWS-X: paraphrases of high word overlap in seven languages, `sentence1 TAB sentence2 TAB 0|1` lines."""

from harness.benchmark.finetunes.pawsx import FINETUNE, HUB, LABELS, SOURCE
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.postprocessors.label import BestLabel
from harness.benchmark.submissions.labels import LabelLines
from harness.core.task import Task

TASK = Task(
    name="pawsx",
    aliases=(
        "paws-x",
        "paws",
    ),
    languages={"xtreme": tuple("de en es fr ja ko zh".split())},
    finetune=FINETUNE,
    source=SOURCE,
    postprocess=BestLabel(LABELS),
    metric=Accuracy(),
    headline=("accuracy",),
    official=2_000,
    paper="Yang et al. 2019, https://aclanthology.org/D19-1382",
    submission=LabelLines(LABELS),
    protocol="rows split at line ends, CSV quoting undone field by field",
    parallel=True,
    hub=HUB,
)
