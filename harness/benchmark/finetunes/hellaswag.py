"""HellaSwag (Zellers et al. 2019): which of four endings continues a text, 39,905 examples."""

from collections.abc import Mapping
from typing import Any

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.origins.converters import JsonLines
from harness.benchmark.origins.repositories import HELLASWAG
from harness.benchmark.postprocessors.label import BestChoice
from harness.benchmark.sources.rows import Jsonl, one_of, text_of
from harness.core.examples import ChoiceExample
from harness.core.heads import ChoiceScore
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

PLACES = ("0", "1", "2", "3")


def example(number: int, row: Mapping[str, Any]) -> ChoiceExample:
    """Return the example of one JSON line: prompt ctx_a, choices ctx_b and an ending (nyu-mll/jiant@daa5a25)."""
    begin = text_of(row, "ctx_b")
    endings = tuple(f"{begin} {ending}".lstrip() for ending in row["endings"])
    if len(endings) != len(PLACES):
        message = f"{len(endings)} endings where {len(PLACES)} are expected"
        raise ValueError(message)
    right = PLACES.index(one_of(str(row["label"]), PLACES, "label"))
    return ChoiceExample(str(number), text_of(row, "ctx_a"), "", endings, right)


FINETUNE = Finetune(
    name="hellaswag",
    family="choice",
    head=ChoiceScore(),
    featurizer=ChoiceFeaturizer(max_tokens=128),
    train=Jsonl(
        file=DataFile("intermediate", "hellaswag/{language}/{split}.jsonl"), parse=example, splits=("train", "dev")
    ),
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=7, batch_rows=24, source="Phang et al. 2020, appendix (unconfirmed)"
    ),
    postprocess=BestChoice(),
    metric=Accuracy(),
    optional=True,
    hub=Hub(
        convert=JsonLines(
            texts=("ctx_a", "ctx_b"), labels={place: place for place in PLACES}, extra=("ind", "endings", "source_id")
        ),
        parts=(Part(repository=HELLASWAG, config="default", splits={"train": "train", "dev": "validation"}),),
        examples={"train": 39_905, "dev": 10_042},
    ),
)
