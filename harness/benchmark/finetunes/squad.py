"""SQuAD v1.1 (Rajpurkar et al. 2016): questions with spans as answers, 87,599 in the real train set."""

from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.metrics.squad import Squad
from harness.benchmark.origins import official
from harness.benchmark.origins.converters import SquadFile
from harness.benchmark.origins.repositories import SQUAD
from harness.benchmark.postprocessors.span import BestSpan
from harness.benchmark.sources.squad_json import SquadJson
from harness.core.heads import SpanExtraction
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

SOURCE = SquadJson(
    file=DataFile("intermediate", "squad/{language}/{split}-v1.1.json"),
    splits=("train", "dev"),
    # Sets of other languages are read so too, and one question of CMRC 2018 is empty.
    has_blanks=True,
)

HUB = Hub(
    convert=SquadFile(),
    parts=(Part(repository=SQUAD, config="plain_text", splits={"train": "train", "dev": "validation"}),),
    official=(official.SquadFiles(patterns=("squad/{split}-v1.1.json",)),),
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
