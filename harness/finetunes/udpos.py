"""Universal Dependencies English, all treebanks: part-of-speech tags, 21,253 sentences in UD 2.5."""

from harness.data import DataFile
from harness.featurizers.words import WordsFeaturizer
from harness.heads import TokenClassification
from harness.metrics.chunks import ChunkF1
from harness.postprocessors.tags import FirstPieceTags
from harness.sources.conll import Conll
from harness.task import Finetune, Hyperparameters

#: Sorted, which is the label order of google-research/xtreme@838c13b and nyu-mll/jiant@daa5a25.
TAGS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())

SOURCE = Conll(file=DataFile("xtreme", "udpos/{split}-{language}.tsv"), tags=TAGS)

FINETUNE = Finetune(
    name="udpos",
    head=TokenClassification(TAGS),
    featurizer=WordsFeaturizer(TAGS, max_tokens=128),
    train=SOURCE,
    hyperparameters=Hyperparameters(
        learning_rate=2e-5, epochs=10, batch_rows=32, source="google-research/xtreme@838c13b scripts/train_udpos.sh"
    ),
    postprocess=FirstPieceTags(TAGS),
    metric=ChunkF1("legacy"),
)
