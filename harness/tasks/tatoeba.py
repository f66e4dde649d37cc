"""Tatoeba: the translation of an English sentence among a language's sentences, aligned lines."""

from harness.data import DataFile
from harness.finetunes.encoder import FINETUNE
from harness.metrics.hits import FirstHit
from harness.postprocessors.neighbours import Nearest
from harness.sources.parallel import ParallelLines
from harness.task import Task

XTREME = tuple(
    "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur "
    "fa fr it pt es bg ru ja ka ko th sw zh kk tr et fi hu".split()
)
#: Everything else has 1,000 sentences (facebookresearch/LASER data/tatoeba/v1).
SMALLER = {"jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548}
XTREME_R = (*XTREME, "az", "lt", "pl", "uk", "ro")

TASK = Task(
    name="tatoeba",
    languages={"xtreme": XTREME, "xtreme-r": XTREME_R},
    finetune=FINETUNE,
    source=ParallelLines(
        foreign=DataFile("xtreme", "tatoeba/tatoeba.{code}-eng.{code}"),
        english=DataFile("xtreme", "tatoeba/tatoeba.{code}-eng.eng"),
    ),
    postprocess=Nearest(1),
    metric=FirstHit(),
    headline=("accuracy",),
    official={language: SMALLER.get(language, 1_000) for language in XTREME_R},
    paper="Artetxe and Schwenk 2019, https://aclanthology.org/Q19-1038",
    protocol="English queries, foreign candidates, mean pooling, cosine",
)
