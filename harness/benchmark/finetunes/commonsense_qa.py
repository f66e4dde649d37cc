"""CommonsenseQA (Talmor et al. 2019) and JCommonsenseQA: five answers to a question, 9,741 English examples."""

from collections.abc import Mapping
from typing import Any

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import JsonLines
from harness.benchmark.origins.repositories import COMMONSENSE_QA
from harness.benchmark.postprocessors.label import BestChoice
from harness.benchmark.sources.rows import Jsonl, one_of, text_of
from harness.core.examples import ChoiceExample
from harness.core.heads import ChoiceScore
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

PLACES = ("0", "1", "2", "3", "4")


def example(number: int, row: Mapping[str, Any]) -> ChoiceExample:
    """Return the example of one JSON line: `choices` with `answerKey`, or JGLUE's choice0 to choice4 with `label`."""
    if "choices" in row:
        letters = tuple(row["choices"]["label"])
        choices = tuple(row["choices"]["text"])
        right = letters.index(one_of(row["answerKey"], letters, "answerKey"))
    else:
        choices = tuple(text_of(row, f"choice{place}") for place in PLACES)
        right = PLACES.index(one_of(str(row["label"]), PLACES, "label"))
    return ChoiceExample(str(number), text_of(row, "question"), "", choices, right)


FINETUNE = Finetune(
    name="commonsense_qa",
    family="choice",
    head=ChoiceScore(),
    featurizer=ChoiceFeaturizer(max_tokens=128),
    train=Jsonl(
        file=DataFile("intermediate", "commonsense_qa/{language}/{split}.jsonl"), parse=example, splits=("train", "dev")
    ),
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=10, batch_rows=4, source="Phang et al. 2020, appendix (unconfirmed)"
    ),
    postprocess=BestChoice(),
    metric=Accuracy(),
    optional=True,
    hub=Hub(
        convert=JsonLines(
            texts=("question",),
            labels={letter: letter for letter in "ABCDE"},
            label="answerKey",
            key="answerKey",
            extra=("id", "question_concept", "choices"),
        ),
        parts=(Part(repository=COMMONSENSE_QA, config="default", splits={"train": "train", "dev": "validation"}),),
        examples={"train": 9_741, "dev": 1_221},
    ),
)
