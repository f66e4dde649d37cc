from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.core.examples import SentenceExample


def test_sentence_stands_in_its_frame(tokenizer, spell) -> None:
    (row,) = SentenceFeaturizer()([SentenceExample("0", "ab c", "query")], tokenizer)
    assert spell(row.input_ids) == "<s>abc</s>"


def test_long_sentence_is_cut_at_its_end(tokenizer, spell) -> None:
    (row,) = SentenceFeaturizer(max_tokens=5)([SentenceExample("0", "abcdef", "query")], tokenizer)
    assert spell(row.input_ids) == "<s>abc</s>"


def test_nothing_is_predicted(tokenizer) -> None:
    (row,) = SentenceFeaturizer()([SentenceExample("0", "ab", "query")], tokenizer)
    assert row.target is None


def test_query_and_candidate_with_the_same_text_have_equal_keys(tokenizer) -> None:
    both = [SentenceExample("0", "ab", "query"), SentenceExample("1", "ab", "candidate")]
    first, second = SentenceFeaturizer()(both, tokenizer)
    assert first.key == second.key
