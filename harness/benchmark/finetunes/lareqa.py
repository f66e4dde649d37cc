"""SQuAD v1.1 as retrieval: a dual encoder that finds the sentence which answers a question."""

from dataclasses import replace

from harness.benchmark.featurizers.dual import DualFeaturizer
from harness.benchmark.finetunes.squad import HUB, SOURCE
from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.postprocessors.matches import BestMatch
from harness.benchmark.sources.xquad_r import SquadSentences
from harness.core.heads import DualEncoder
from harness.core.task import Finetune, Hyperparameters

FINETUNE = Finetune(
    name="lareqa",
    family="reading",
    head=DualEncoder(),
    featurizer=DualFeaturizer(query_tokens=96, candidate_tokens=256),
    train=SquadSentences(squad=SOURCE),
    # Four rows a step and four steps accumulated there: no more than three negatives a question.
    # Here the rows of a step are each other's negatives.
    hyperparameters=Hyperparameters(
        learning_rate=2e-5, epochs=3, batch_rows=16, source="google-research/xtreme@838c13b scripts/train_lareqa.sh"
    ),
    postprocess=BestMatch(),
    metric=Accuracy(),
    # Questions whose answer crosses a sentence are left out, so their number is not SQuAD's.
    hub=replace(HUB, examples={}),
)
