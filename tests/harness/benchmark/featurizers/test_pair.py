import pytest

from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.core.examples import PairExample

LABELS = ("no", "yes")


def test_pair_stands_in_the_frame_of_xlm_r(tokenizer, spell) -> None:
    (row,) = PairFeaturizer(LABELS)([PairExample("0", "ab", "c d", "no")], tokenizer)
    assert spell(row.input_ids) == "<s>ab</s></s>cd</s>"


def test_target_is_the_labels_index(tokenizer) -> None:
    examples = [PairExample("0", "a", "b", "yes"), PairExample("1", "a", "b", "no")]
    assert [int(row.target) for row in PairFeaturizer(LABELS)(examples, tokenizer)] == [1, 0]


def test_rows_follow_the_examples(tokenizer) -> None:
    examples = [PairExample(str(number), "a", "b", "no") for number in range(3)]
    assert [row.example for row in PairFeaturizer(LABELS)(examples, tokenizer)] == [0, 1, 2]


def test_long_pair_is_cut_longest_first_inside_its_frame(tokenizer, spell) -> None:
    (row,) = PairFeaturizer(LABELS, max_tokens=10)([PairExample("0", "abcdefgh", "xyz", "no")], tokenizer)
    assert spell(row.input_ids) == "<s>abc</s></s>xyz</s>"


@pytest.mark.parametrize("length", [1, 5, 6, 7, 50])
def test_row_is_never_longer_than_max_tokens(tokenizer, length: int) -> None:
    (row,) = PairFeaturizer(LABELS, max_tokens=16)([PairExample("0", "a" * length, "b" * length, "no")], tokenizer)
    assert len(row.input_ids) == min(16, 2 * length + 4)


def test_equal_pairs_have_equal_keys(tokenizer) -> None:
    examples = [PairExample("0", "ab", "c", "no"), PairExample("1", "ab", "c", "yes")]
    first, second = PairFeaturizer(LABELS)(examples, tokenizer)
    assert first.key == second.key
