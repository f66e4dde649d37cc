"""COPA (Roemmele et al. 2011): which of two sentences is the cause or the effect, 400 examples.

Trained after Social IQa, and on with its head, as scripts/train_xcopa.sh does: 400 examples are few.
"""

from collections.abc import Mapping
from typing import Any

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import JsonLines
from harness.benchmark.origins.official import Objects
from harness.benchmark.origins.repositories import SUPER_GLUE
from harness.benchmark.postprocessors.label import BestChoice
from harness.benchmark.sources.rows import Jsonl, one_of, text_of
from harness.core.examples import ChoiceExample
from harness.core.heads import ChoiceScore
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters


def example(number: int, row: Mapping[str, Any]) -> ChoiceExample:
    """Return the example of one JSON line; the prompt is that of the official scripts."""
    question = one_of(row["question"], ("cause", "effect"), "question")
    # True and 1.0 equal 1, and are no place of a choice.
    if type(row["label"]) is not int or row["label"] not in (0, 1):
        message = f"label {row['label']!r} is not one of 0, 1"
        raise ValueError(message)
    return ChoiceExample(
        str(number),
        text_of(row, "premise"),
        f"What was the {question}?",
        (text_of(row, "choice1"), text_of(row, "choice2")),
        row["label"],
    )


SOURCE = Jsonl(
    file=DataFile("xtreme", "copa/{split}.{language}.jsonl"),
    parse=example,
    splits=("train", "dev", "test"),
    names={"dev": "val"},
)

FINETUNE = Finetune(
    name="copa",
    family="choice",
    head=ChoiceScore(),
    featurizer=ChoiceFeaturizer(max_tokens=128),
    train=SOURCE,
    hyperparameters=Hyperparameters(
        learning_rate=2e-5, epochs=5, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_xcopa.sh"
    ),
    postprocess=BestChoice(),
    metric=Accuracy(),
    body="siqa",
    hub=Hub(
        # The hub names the classes, SuperGLUE's own files number them.
        convert=JsonLines(
            texts=("premise", "choice1", "choice2", "question"), labels={"choice1": 0, "choice2": 1, 0: 0, 1: 1}
        ),
        parts=(Part(repository=SUPER_GLUE, config="copa", splits={"train": "train", "dev": "validation"}),),
        official=(
            Objects(patterns=("xcopa/{split}.{language}.jsonl",), names={"dev": "val"}, splits=("train", "dev")),
        ),
        examples={"train": 400, "dev": 100},
    ),
)
