"""PAN-X: named entities of Wikipedia in up to 48 languages, `token TAB tag` lines, IOB2."""

from dataclasses import replace

from harness.benchmark.finetunes.panx import FINETUNE, HUB, SOURCE, TAGS
from harness.benchmark.metrics.chunks import ChunkF1, StrictChunkF1
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.benchmark.submissions.tags import TagLines
from harness.core.task import Second, Task

XTREME = tuple(
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur "
    "fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu".split()
)

#: Everything else has 10,000 sentences (hub `wikiann`, dataset_infos.json).
SMALLER = {
    **dict.fromkeys("af bn hi kk ml mr ms sw ta te tl ur az".split(), 1_000),
    **dict.fromkeys("jv my yo gu pa qu".split(), 100),
}
XTREME_R = (*XTREME, "qu", "pl", "uk", "az", "lt", "pa", "gu", "ro")
#: Dev and test files are of equal size.
OFFICIAL = {language: SMALLER.get(language, 10_000) for language in XTREME_R}

TASK = Task(
    name="panx",
    aliases=(
        "ner",
        "wikiann",
        "pan-x",
    ),
    languages={"xtreme": XTREME, "xtreme-r": XTREME_R},
    finetune=FINETUNE,
    source=SOURCE,
    postprocess=FirstPieceTags(TAGS),
    metric=ChunkF1("legacy"),
    headline=("f1",),
    official=OFFICIAL,
    paper="Pan et al. 2017, https://aclanthology.org/P17-1178",
    submission=TagLines(TAGS),
    protocol="seqeval's lenient chunks, alike in all its versions: an I- without a B- before it opens one",
    second=Second(
        names=("strict_f1",), rule="seqeval's strict chunks of IOB2: B- alone opens one", metric=StrictChunkF1()
    ),
    caution="jv my yo gu pa qu have 100 sentences each",
    hub=replace(HUB, examples={"dev": OFFICIAL}),
)
