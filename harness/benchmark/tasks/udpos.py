"""UDPOS: part-of-speech tags of Universal Dependencies, `form TAB tag` lines."""

from harness.benchmark.finetunes.udpos import FINETUNE, HUB, SOURCE, TAGS
from harness.benchmark.metrics.chunks import ChunkF1
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.benchmark.submissions.tags import TagLines
from harness.core.task import Second, Task

XTREME = tuple(
    "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh".split()
)

#: Sentences of the official conversion (boleima/ToPro@9300fd3 carries it with labels, but for German).
OFFICIAL = {
    "af": 425,
    "ar": 1680,
    "bg": 1116,
    # GSD 977, HDT 18,459, LIT 1,922 and PUD 1,000 of UD 2.5; the hub's udpos.German has 22,458, with
    # the 100 sentences of Swiss German that the official selection leaves out.
    "de": 22358,
    "el": 456,
    "en": 5440,
    "es": 3147,
    "et": 3760,
    "eu": 1799,
    "fa": 600,
    "fi": 4422,
    "fr": 5009,
    "he": 491,
    "hi": 2684,
    "hu": 449,
    "id": 1557,
    "it": 3518,
    "ja": 2372,
    "kk": 1047,
    "ko": 4276,
    "lt": 739,
    "mr": 47,
    "nl": 1471,
    "pl": 4942,
    "pt": 2681,
    "ro": 2272,
    "ru": 8976,
    "ta": 120,
    "te": 146,
    "th": 1000,
    "tl": 55,
    "tr": 4785,
    "uk": 892,
    "ur": 535,
    "vi": 800,
    "wo": 470,
    "yo": 100,
    "zh": 3455,
}

TASK = Task(
    name="udpos",
    aliases=(
        "pos",
        "ud-pos",
        "ud",
    ),
    languages={"xtreme": XTREME, "xtreme-r": (*XTREME, "lt", "pl", "uk", "wo", "ro")},
    finetune=FINETUNE,
    source=SOURCE,
    postprocess=FirstPieceTags(TAGS),
    metric=ChunkF1("legacy"),
    headline=("f1",),
    official=OFFICIAL,
    paper="Hu et al. 2020, https://arxiv.org/abs/2003.11080; Universal Dependencies 2.5, 2.7",
    protocol="seqeval legacy (up to 0.0.13) on bare tags",
    alternatives={
        "seqeval-current": {
            "metric": ChunkF1("current"),
            "protocol": "seqeval current (from 0.0.18) on bare tags",
        }
    },
    submission=TagLines(TAGS),
    second=Second(names=("accuracy",), rule="the share of words whose tag is right"),
    hub=HUB,
)
