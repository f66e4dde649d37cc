"""Cosmos QA (Huang et al. 2019): what lies between the lines of a story, four answers, 25,262 examples."""

from collections.abc import Mapping
from typing import Any

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import JsonLines
from harness.benchmark.origins.repositories import COSMOS_QA
from harness.benchmark.postprocessors.label import BestChoice
from harness.benchmark.sources.rows import Jsonl, one_of, shown_text, text_of
from harness.core.examples import ChoiceExample
from harness.core.heads import ChoiceScore
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

PLACES = ("0", "1", "2", "3")


def example(number: int, row: Mapping[str, Any]) -> ChoiceExample:
    """Return the example of one JSON line."""
    answers = tuple(text_of(row, f"answer{place}") for place in PLACES)
    right = PLACES.index(one_of(str(row["label"]), PLACES, "label"))
    return ChoiceExample(str(row["id"]), text_of(row, "context"), shown_text(row, "question"), answers, right)


FINETUNE = Finetune(
    name="cosmos_qa",
    family="choice",
    head=ChoiceScore(),
    featurizer=ChoiceFeaturizer(max_tokens=256),
    train=Jsonl(
        file=DataFile("intermediate", "cosmos_qa/{language}/{split}.jsonl"), parse=example, splits=("train", "dev")
    ),
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=15, batch_rows=24, source="Phang et al. 2020, appendix (unconfirmed)"
    ),
    postprocess=BestChoice(),
    metric=Accuracy(),
    optional=True,
    hub=Hub(
        # The label is the number of the answer's own column.
        convert=JsonLines(
            texts=("context", "question", *(f"answer{place}" for place in PLACES)),
            labels={int(place): int(place) for place in PLACES},
            extra=("id",),
        ),
        parts=(Part(repository=COSMOS_QA, config="default", splits={"train": "train", "dev": "validation"}),),
        examples={"train": 25_262, "dev": 2_985},
    ),
)
