"""CCG supertagging (Hockenmaier and Steedman 2007): 1,363 categories in CCGbank, of which this needs an export.

CCGbank is licensed and nothing downloads it; `intermediate/ccg/en/{train,dev}.tsv` hold the user's own.
"""

from dataclasses import replace

from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.benchmark.metrics.accuracy import TokenAccuracy
from harness.benchmark.origins.converters import Verbatim
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.benchmark.sources.supertags import Supertags
from harness.core.heads import TokenClassification
from harness.core.layout import DataFile, Layout
from harness.core.origins import Hub
from harness.core.task import AnyFinetune, Finetune, Hyperparameters

SOURCE = Supertags(file=DataFile("intermediate", "ccg/{language}/{split}.tsv"))


def bind(layout: Layout) -> AnyFinetune:
    """Return the finetune with the categories of the data folder."""
    labels = SOURCE.labels(layout, "en")
    return replace(
        FINETUNE,
        head=TokenClassification(labels),
        featurizer=WordsFeaturizer(labels, max_tokens=128),
        postprocess=FirstPieceTags(labels),
    )


FINETUNE = Finetune(
    name="ccg",
    family="supertagging",
    head=TokenClassification(()),
    featurizer=WordsFeaturizer((), max_tokens=128),
    train=SOURCE,
    hyperparameters=Hyperparameters(
        learning_rate=1e-5, epochs=15, batch_rows=24, source="Phang et al. 2020, appendix (unconfirmed)"
    ),
    postprocess=FirstPieceTags(()),
    metric=TokenAccuracy(),
    bind=bind,
    optional=True,
    hub=Hub(
        convert=Verbatim(),
        licence="LDC2005T13, licensed",
        refusal="CCGbank (LDC2005T13) is licensed, so nothing downloads it; export your copy to "
        "intermediate/ccg/en/train.tsv and dev.tsv",
    ),
)
