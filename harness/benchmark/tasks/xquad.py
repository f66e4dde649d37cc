"""XQuAD: SQuAD v1.1 questions translated into 11 languages, SQuAD JSON."""

from harness.benchmark.finetunes.squad import FINETUNE
from harness.benchmark.metrics.squad import Squad
from harness.benchmark.origins import official
from harness.benchmark.origins.converters import SquadFile
from harness.benchmark.origins.repositories import XQUAD
from harness.benchmark.postprocessors.span import BestSpan
from harness.benchmark.sources.squad_json import SquadJson
from harness.benchmark.submissions.answers import Answers
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Task

XTREME = tuple("en es de el ru tr ar vi th zh hi".split())

TASK = Task(
    name="xquad",
    languages={"xtreme": XTREME, "xtreme-r": (*XTREME, "ro")},
    finetune=FINETUNE,
    source=SquadJson(file=DataFile("xtreme", "xquad/xquad.{language}.json"), splits=("test",)),
    postprocess=BestSpan(n_best=20, max_answer=30),
    metric=Squad(),
    headline=("exact_match", "f1"),
    official=1_190,
    paper="Artetxe et al. 2020, https://aclanthology.org/2020.acl-main.421",
    submission=Answers(),
    parallel=True,
    hub=Hub(
        convert=SquadFile(),
        # google/xtreme's XQuAD.* is the same without Romanian.
        parts=(Part(repository=XQUAD, config="xquad.{language}", splits={"test": "validation"}),),
        official=(official.SquadFiles(patterns=("xquad/xquad.{language}.json",)),),
    ),
)
