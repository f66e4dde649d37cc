"""SQuAD v1.1 (Rajpurkar et al. 2016): questions with spans as answers, 87,599 in the real train set."""

from harness.acquire import official
from harness.acquire.converters import SquadFile
from harness.acquire.declaration import Hub, Part
from harness.acquire.repositories import SQUAD
from harness.data import DataFile
from harness.featurizers.window import WindowFeaturizer
from harness.heads import SpanExtraction
from harness.metrics.squad import Squad
from harness.postprocessors.span import BestSpan
from harness.sources.squad_json import SquadJson
from harness.task import Finetune, Hyperparameters

SOURCE = SquadJson(file=DataFile("intermediate", "squad/{language}/{split}-v1.1.json"), splits=("train", "dev"))

HUB = Hub(
    convert=SquadFile(),
    parts=(Part(repository=SQUAD, config="plain_text", splits={"train": "train", "dev": "validation"}),),
    official=(official.Squad(patterns=("squad/{split}-v1.1.json",)),),
    examples={"train": 87_599, "dev": 10_570},
)

FINETUNE = Finetune(
    name="squad",
    family="reading",
    head=SpanExtraction(),
    featurizer=WindowFeaturizer(max_tokens=384, stride=128, max_question=64),
    train=SOURCE,
    hyperparameters=Hyperparameters(
        learning_rate=3e-5, epochs=3, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_qa.sh"
    ),
    postprocess=BestSpan(n_best=20, max_answer=30),
    metric=Squad(),
    headline=("exact_match", "f1"),
    hub=HUB,
)
