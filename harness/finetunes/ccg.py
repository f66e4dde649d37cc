"""CCG supertagging (Hockenmaier and Steedman 2007): 1,363 categories in CCGbank, of which this needs an export.

CCGbank is licensed and nothing downloads it; `intermediate/ccg/en/{train,dev}.tsv` hold the user's own.
"""

from dataclasses import replace

from harness.acquire.converters import Verbatim
from harness.acquire.declaration import Hub
from harness.data import DataFile, Layout
from harness.featurizers.words import WordsFeaturizer
from harness.heads import TokenClassification
from harness.metrics.accuracy import TokenAccuracy
from harness.postprocessors.tags import FirstPieceTags
from harness.sources.supertags import Supertags
from harness.task import AnyFinetune, Finetune, Hyperparameters

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
