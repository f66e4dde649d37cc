"""TyDi QA, gold passages: questions asked in nine languages; the dev files are the benchmark's test set."""

from harness.benchmark.finetunes.squad import FINETUNE as SQUAD
from harness.benchmark.finetunes.tydiqa import FINETUNE
from harness.benchmark.metrics.fair import RULE as FAIR_RULE
from harness.benchmark.metrics.fair import FairAnswers
from harness.benchmark.metrics.squad import RULE, Squad
from harness.benchmark.origins import official
from harness.benchmark.origins.converters import SquadFile
from harness.benchmark.origins.repositories import XTREME
from harness.benchmark.postprocessors.span import BestSpan
from harness.benchmark.sources.squad_json import SquadJson
from harness.benchmark.submissions.answers import Answers
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Second, Task

LANGUAGES = tuple("en ar bn fi id ko ru sw te".split())

TASK = Task(
    name="tydiqa",
    aliases=(
        "tydiqa-goldp",
        "tydi",
        "tydi-qa",
    ),
    languages={"xtreme": LANGUAGES, "xtreme-r": LANGUAGES},
    finetune=FINETUNE,
    source=SquadJson(
        file=DataFile("xtreme", "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{language}.dev.json"), splits=("test",)
    ),
    postprocess=BestSpan(n_best=20, max_answer=30, official=True),
    metric=Squad(),
    headline=("exact_match", "f1"),
    official={"en": 440, "ar": 921, "bn": 113, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669},
    paper="Clark et al. 2020, https://aclanthology.org/2020.tacl-1.30",
    submission=Answers(),
    second=Second(
        names=("fair_exact_match", "fair_f1"),
        rule=FAIR_RULE,
        metric=FairAnswers(),
        postprocess=BestSpan(n_best=20, max_answer=30),
    ),
    protocol=f"TyDi QA's dev files are the test set, {RULE}",
    # Without the benchmark's English training set, which is 3,696 questions.
    alternatives={
        "squad": {"finetune": SQUAD, "protocol": f"head trained on SQuAD, TyDi QA's dev files are the test set, {RULE}"}
    },
    hub=Hub(
        convert=SquadFile(),
        # One configuration holds all languages; the part of an id before its first - names the language.
        parts=(Part(repository=XTREME, config="tydiqa", splits={"test": "validation"}, id_prefix="{name}"),),
        official=(
            official.SquadFiles(patterns=("tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.goldp.{language}.dev.json",)),
            official.SquadFiles(patterns=("tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{name}.json",)),
        ),
    ),
)
