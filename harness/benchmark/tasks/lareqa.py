"""LAReQA: the sentence that answers a question, among the sentences of 11 languages together (XQuAD-R)."""

from harness.benchmark.finetunes.lareqa import FINETUNE
from harness.benchmark.metrics.ranking import AveragePrecision
from harness.benchmark.origins.converters import Verbatim
from harness.benchmark.origins.official import Lines
from harness.benchmark.postprocessors.neighbours import Nearest
from harness.benchmark.sources.xquad_r import XquadRQuestions, XquadRSentences
from harness.benchmark.submissions.ranked import RankedIds
from harness.core.layout import DataFile
from harness.core.origins import Hub
from harness.core.task import Pool, Task

NAME = "lareqa"
LANGUAGES = tuple("ar de el en es hi ru th tr vi zh".split())
FILE = DataFile("xtreme", "lareqa/xquad-r/{language}.json")

#: The official code sorts scores upwards and reverses, so of equal ones the later candidate comes first.
SEARCH = Nearest(20, prefer="highest")

TASK = Task(
    name=NAME,
    aliases=("xquad-r",),
    languages={"xtreme-r": LANGUAGES},
    finetune=FINETUNE,
    source=XquadRQuestions(file=FILE, languages=LANGUAGES, task=NAME),
    postprocess=SEARCH,
    metric=AveragePrecision(20),
    headline=("map@20",),
    official=1_190,
    paper="Roy et al. 2020, https://aclanthology.org/2020.emnlp-main.477",
    submission=RankedIds(),
    protocol="candidates of all languages, the question's own included; mean over a language's questions",
    pool=Pool(source=XquadRSentences(file=FILE, languages=LANGUAGES, task=NAME), search=SEARCH, official=13_014),
    hub=Hub(
        convert=Verbatim(),
        licence="CC BY-SA 4.0",
        files=(FILE,),
        official=(Lines(patterns=(FILE.pattern,)),),
        # huggingface/datasets@8803c182e6^ datasets/xquad_r: id, context, question and answers.
        refusal="google-research-datasets/xquad_r has no `sentences` and `sentence_breaks`, which are the candidates; "
        "take the folder xquad-r of https://github.com/google-research-datasets/lareqa as `lareqa/xquad-r` and give "
        "it with `--from`",
    ),
)
