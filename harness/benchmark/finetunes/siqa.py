"""Social IQa (Sap et al. 2019): what follows from an everyday situation, 33,410 examples of three answers."""

from collections.abc import Mapping
from typing import Any

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import JsonLines
from harness.benchmark.origins.official import Objects
from harness.benchmark.origins.repositories import SOCIAL_I_QA
from harness.benchmark.postprocessors.label import BestChoice
from harness.benchmark.sources.rows import Jsonl, one_of, shown_text, text_of
from harness.core.examples import ChoiceExample
from harness.core.heads import ChoiceScore
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

LETTERS = ("A", "B", "C")


def example(number: int, row: Mapping[str, Any]) -> ChoiceExample:
    """Return the example of one JSON line."""
    right = LETTERS.index(one_of(row["correct"], LETTERS, "correct"))
    choices = tuple(text_of(row, f"answer{letter}") for letter in LETTERS)
    return ChoiceExample(str(number), text_of(row, "context"), shown_text(row, "question"), choices, right)


FINETUNE = Finetune(
    name="siqa",
    family="choice",
    head=ChoiceScore(),
    featurizer=ChoiceFeaturizer(max_tokens=128),
    train=Jsonl(
        file=DataFile("xtreme", "siqa/socialIQa_v1.4_{split}.jsonl"),
        parse=example,
        splits=("train", "dev"),
        names={"train": "trn"},
    ),
    hyperparameters=Hyperparameters(
        learning_rate=2e-5, epochs=5, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_xcopa.sh"
    ),
    postprocess=BestChoice(),
    metric=Accuracy(),
    optional=True,
    hub=Hub(
        # The hub counts the answers from 1, release 1.4 has letters.
        convert=JsonLines(
            texts=("context", "question", "answerA", "answerB", "answerC"),
            labels={**dict(zip("123", LETTERS, strict=True)), **{letter: letter for letter in LETTERS}},
            key="correct",
            extra=(),
        ),
        parts=(Part(repository=SOCIAL_I_QA, config="default", splits={"train": "train", "dev": "validation"}),),
        official=(
            Objects(
                patterns=("siqa/socialIQa_v1.4_{split}.jsonl",), names={"train": "trn"}, rename={"correct": "label"}
            ),
        ),
        examples={"train": 33_410, "dev": 1_954},
    ),
)
