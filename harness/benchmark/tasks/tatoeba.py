"""Tatoeba: the translation of an English sentence among a language's sentences, aligned lines."""

from harness.benchmark.finetunes.encoder import FINETUNE
from harness.benchmark.finetunes.encoder_squad import FINETUNE as SQUAD_QA
from harness.benchmark.finetunes.lareqa import FINETUNE as SQUAD_DUAL
from harness.benchmark.metrics.hits import FirstHit
from harness.benchmark.origins import repositories
from harness.benchmark.origins.converters import ParallelFiles
from harness.benchmark.origins.official import Parallel
from harness.benchmark.postprocessors.neighbours import Nearest
from harness.benchmark.sources.parallel import ParallelLines
from harness.benchmark.submissions.rows import RowNumbers
from harness.core.layout import DataFile
from harness.core.origins import Hub, Part
from harness.core.task import Task

XTREME = tuple(
    "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur "
    "fa fr it pt es bg ru ja ka ko th sw zh kk tr et fi hu".split()
)
#: Everything else has 1,000 sentences (facebookresearch/LASER data/tatoeba/v1).
SMALLER = {"jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548}
XTREME_R = (*XTREME, "az", "lt", "pl", "uk", "ro")
DIRECTION = "English queries, foreign candidates, cosine"

SENTENCES = ("source_sentence", "target_sentence")

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
    protocol=f"the encoder's own vectors, mean pooling, {DIRECTION}",
    # XTREME-R's script hard-codes the path of a span-extraction model; google-research/xtreme#97 asks
    # whether the retrieval model was meant, which izhx/nlu-evals@b8193ba takes.
    alternatives={
        "squad_qa": {"finetune": SQUAD_QA, "protocol": f"encoder of the SQuAD span model, mean pooling, {DIRECTION}"},
        "squad_dual": {"finetune": SQUAD_DUAL, "protocol": f"dual encoder trained on SQuAD, pooler, {DIRECTION}"},
    },
    submission=RowNumbers(),
    hub=Hub(
        convert=ParallelFiles(columns=SENTENCES),
        parts=(
            Part(
                repository=repositories.XTREME, config="tatoeba.{code}", splits={"test": "validation"}, languages=XTREME
            ),
            Part(
                repository=repositories.TATOEBA,
                config="{code}-eng",
                splits={"test": "test"},
                rename={"sentence1": SENTENCES[0], "sentence2": SENTENCES[1]},
            ),
        ),
        official=(
            Parallel(
                patterns=("tatoeba/tatoeba.{code}-eng.{code}", "tatoeba/tatoeba.{code}-eng.eng"), columns=SENTENCES
            ),
        ),
        note="the official download's `tatoeba/<language>-en.en` files are sorted, so which line translates which is "
        "lost; the files of LASER's data/tatoeba/v1 are not",
    ),
)
