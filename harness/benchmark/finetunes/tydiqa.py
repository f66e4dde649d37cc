"""TyDi QA GoldP English (Clark et al. 2020): questions with spans as answers, 3,696 examples.

Its dev files are the benchmark's test set, so nothing is selected on them.
"""

from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.metrics.squad import Squad
from harness.benchmark.origins import official
from harness.benchmark.origins.converters import SquadFile
from harness.benchmark.origins.repositories import XTREME
from harness.benchmark.postprocessors.span import BestSpan
from harness.benchmark.sources.squad_json import SquadJson
from harness.core.heads import SpanExtraction
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Finetune, Hyperparameters

FINETUNE = Finetune(
    name="tydiqa",
    family="reading",
    head=SpanExtraction(),
    featurizer=WindowFeaturizer(max_tokens=384, stride=128, max_question=64),
    train=SquadJson(
        file=DataFile("xtreme", "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{language}.train.json"),
        splits=("train",),
    ),
    hyperparameters=Hyperparameters(
        learning_rate=3e-5, epochs=3, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_qa.sh"
    ),
    postprocess=BestSpan(n_best=20, max_answer=30),
    metric=Squad(),
    headline=("exact_match", "f1"),
    hub=Hub(
        convert=SquadFile(),
        parts=(Part(repository=XTREME, config="tydiqa", splits={"train": "train"}, id_prefix="{name}"),),
        # The official script shortens the ids of the files by language, which makes many of them equal.
        official=(
            official.SquadFiles(
                patterns=("tydiqa/tydiqa-goldp-v1.1-train/tydiqa-goldp-v1.1-train.json",), id_prefix="{name}"
            ),
            official.SquadFiles(patterns=("tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.{language}.train.json",)),
        ),
        examples={"train": 3_696},
    ),
)
