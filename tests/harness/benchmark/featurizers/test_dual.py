import pytest

from harness.benchmark.featurizers.dual import CANDIDATE, QUERY, DualFeaturizer
from harness.core.examples import MatchExample, SentenceExample

FEATURIZER = DualFeaturizer(query_tokens=5, candidate_tokens=7)


def test_longest_row_is_that_of_the_longer_side() -> None:
    assert FEATURIZER.max_tokens == 7


@pytest.mark.parametrize(("side", "row"), [("query", "<s>abc</s>"), ("candidate", "<s>abcde</s>")])
def test_each_side_is_cut_at_its_own_length(tokenizer, spell, side: str, row: str) -> None:
    (feature,) = FEATURIZER([SentenceExample("1", "abcdefgh", side)], tokenizer)
    assert spell(feature.input_ids) == row


def test_match_gives_its_query_then_its_candidate(tokenizer, spell) -> None:
    features = FEATURIZER([MatchExample("1", "a", "b"), MatchExample("2", "c", "d")], tokenizer)
    assert [(feature.example, int(feature.target), spell(feature.input_ids)) for feature in features] == [
        (0, QUERY, "<s>a</s>"),
        (0, CANDIDATE, "<s>b</s>"),
        (1, QUERY, "<s>c</s>"),
        (1, CANDIDATE, "<s>d</s>"),
    ]
