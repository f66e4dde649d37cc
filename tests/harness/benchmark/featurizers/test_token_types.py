"""Rows of a tokenizer with BERT's frame: token types of pairs, one separator after tagged words."""

import numpy as np
import pytest

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample

PAIR = PairExample("0", "abc", "de", "no")
CASES = [
    (PairFeaturizer(("no",)), PAIR, [[0] * 5 + [1] * 3]),
    (PairFeaturizer(("no",), max_tokens=6), PAIR, [[0] * 4 + [1] * 2]),
    (ChoiceFeaturizer(), ChoiceExample("0", "ab", "c", ("d", "ef"), 0), [[0] * 5 + [1] * 2, [0] * 5 + [1] * 3]),
    (
        WindowFeaturizer(max_tokens=7, stride=2),
        QuestionExample("0", "ab", "cdefg", ()),
        [[0] * 4 + [1] * 3] * 2 + [[0] * 4 + [1] * 2],
    ),
    (SentenceFeaturizer(), SentenceExample("0", "abc", "query"), [None]),
    (WordsFeaturizer(("X",)), WordsExample("0", ("abc", "d"), ("X", "X")), [None]),
]


@pytest.mark.parametrize(("featurizer", "example", "types"), CASES)
def test_second_sequence_has_type_1(bert_tokenizer, featurizer, example, types) -> None:
    rows = featurizer([example], bert_tokenizer)
    assert [None if row.token_types is None else row.token_types.tolist() for row in rows] == types
    assert all(row.token_types is None or len(row.token_types) == len(row.input_ids) for row in rows)


@pytest.mark.parametrize(("featurizer", "example", "types"), CASES)
def test_xlm_rs_rows_have_no_types(tokenizer, featurizer, example, types) -> None:
    assert all(row.token_types is None for row in featurizer([example], tokenizer))


def test_tagged_words_end_in_one_separator_and_fill_the_row(bert_tokenizer) -> None:
    first, second = WordsFeaturizer(("X",), max_tokens=6)(
        [WordsExample("0", ("ab", "cd", "e"), ("X", "X", "X"))], bert_tokenizer
    )
    assert first.input_ids.tolist() == [2, *bert_tokenizer.subwords(["abcd"])[0], 3]
    assert second.input_ids.tolist() == [2, *bert_tokenizer.subwords(["e"])[0], 3]
    np.testing.assert_array_equal(first.alignment, [[0, 1, 0], [1, 3, 0]])
