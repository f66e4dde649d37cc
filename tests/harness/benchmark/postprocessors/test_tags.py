import numpy as np
import pytest

from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.core.examples import WordsExample
from harness.core.features import Feature

TAGS = ("ADJ", "NOUN", "VERB")


def answered(feature: Feature) -> dict[str, np.ndarray]:
    """Logits that are right on first pieces and wrong on all others."""
    logits = np.zeros((len(feature.input_ids), len(TAGS)), dtype=np.float32)
    logits[:, 0] = 1
    for position, tag in enumerate(feature.target):
        if tag >= 0:
            logits[position] = np.eye(3)[tag]
    return {"logits": logits}


@pytest.mark.parametrize("max_tokens", [6, 8, 128], ids=["row-per-word", "several-rows", "one-row"])
def test_tags_of_a_sentences_rows_are_put_together(tokenizer, max_tokens: int) -> None:
    examples = [
        WordsExample("0", ("abc", "de", "f", "ghi"), ("NOUN", "VERB", "VERB", "NOUN")),
        WordsExample("1", ("z",), ("VERB",)),
    ]
    rows = WordsFeaturizer(TAGS, max_tokens=max_tokens)(examples, tokenizer)
    assert FirstPieceTags(TAGS)(examples, rows, [answered(row) for row in rows]) == [one.tags for one in examples]


def test_equal_logits_go_to_the_first_tag(tokenizer) -> None:
    examples = [WordsExample("0", ("a", "b"), ("VERB", "VERB"))]
    (row,) = WordsFeaturizer(TAGS)(examples, tokenizer)
    tied = {"logits": np.tile(np.array([0, 2, 2], dtype=np.float32), (len(row.input_ids), 1))}
    assert FirstPieceTags(TAGS)(examples, [row], [tied]) == [("NOUN", "NOUN")]


def test_row_without_alignment_is_refused() -> None:
    with pytest.raises(ValueError, match="alignment"):
        FirstPieceTags(TAGS)([None], [Feature(0, np.array([0, 2]))], [{"logits": np.zeros((2, 3))}])
