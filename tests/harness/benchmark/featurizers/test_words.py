import random

import numpy as np
import pytest

from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.benchmark.postprocessors.tags import FirstPieceTags
from harness.core.examples import WordsExample
from harness.core.features import IGNORED

TAGS = ("ADJ", "NOUN", "VERB")


def sentence(text: str, tags: str = "") -> WordsExample:
    words = tuple(text.split(" "))
    return WordsExample("0", words, tuple(tags.split()) or ("NOUN",) * len(words))


def test_row_ends_with_two_separators(tokenizer, spell) -> None:
    (row,) = WordsFeaturizer(TAGS)([sentence("ab c")], tokenizer)
    assert spell(row.input_ids) == "<s>abc</s></s>"


def test_target_sits_on_first_pieces_and_is_ignored_elsewhere(tokenizer) -> None:
    (row,) = WordsFeaturizer(TAGS)([sentence("ab c", "VERB ADJ")], tokenizer)
    assert row.target.tolist() == [IGNORED, 2, IGNORED, 0, IGNORED, IGNORED]


def test_alignment_names_each_word_and_its_first_piece(tokenizer) -> None:
    (row,) = WordsFeaturizer(TAGS)([sentence("ab c def g")], tokenizer)
    assert row.alignment.tolist() == [[0, 1, 0], [1, 3, 0], [2, 4, 0], [3, 7, 0]]


def test_row_holds_max_tokens_less_three_pieces(tokenizer, spell) -> None:
    rows = WordsFeaturizer(TAGS, max_tokens=8)([sentence("ab cde fg")], tokenizer)
    assert [spell(row.input_ids) for row in rows] == ["<s>abcde</s></s>", "<s>fg</s></s>"]


def test_sentence_is_cut_at_word_boundaries_only(tokenizer, spell) -> None:
    rows = WordsFeaturizer(TAGS, max_tokens=8)([sentence("ab cdef gh")], tokenizer)
    assert [spell(row.input_ids) for row in rows] == ["<s>ab</s></s>", "<s>cdef</s></s>", "<s>gh</s></s>"]


def test_later_row_counts_words_from_the_sentences_start(tokenizer) -> None:
    rows = WordsFeaturizer(TAGS, max_tokens=8)([sentence("ab cdef gh")], tokenizer)
    assert [row.alignment.tolist() for row in rows] == [[[0, 1, 0]], [[1, 1, 0]], [[2, 1, 0]]]


def test_later_row_has_its_own_words_targets(tokenizer) -> None:
    rows = WordsFeaturizer(TAGS, max_tokens=8)([sentence("ab cde fg", "VERB ADJ NOUN")], tokenizer)
    assert rows[1].target.tolist() == [IGNORED, 1, IGNORED, IGNORED, IGNORED]


@pytest.mark.parametrize("word", ["\u200b", "abcdef"], ids=["without-pieces", "longer-than-a-row"])
def test_word_that_cannot_stand_becomes_the_unknown_token(tokenizer, spell, word: str) -> None:
    (row,) = WordsFeaturizer(TAGS, max_tokens=8)([sentence(f"a {word} b")], tokenizer)
    assert spell(row.input_ids) == "<s>a<unk>b</s></s>"


@pytest.mark.parametrize(
    ("text", "without", "long"), [("a \u200b b \u200b", 2, 0), ("abcdef \u200b a", 1, 1), ("abcde", 0, 0)]
)
def test_words_that_became_the_unknown_token_are_counted(tokenizer, text: str, without: int, long: int) -> None:
    featurizer = WordsFeaturizer(TAGS, max_tokens=8)
    assert featurizer.counted(featurizer([sentence(text)], tokenizer)) == {
        "words without subwords": without,
        "words longer than a row": long,
    }


def test_a_letter_that_the_vocabulary_lacks_is_no_word_without_subwords(tokenizer) -> None:
    featurizer = WordsFeaturizer(TAGS)
    assert not any(featurizer.counted(featurizer([sentence("a ж b")], tokenizer)).values())


def test_faults_words_zero_width_and_direction_marks_keep_a_label_each(tokenizer) -> None:
    words = ("abc", "\u200f", "\u200b", "\u200d", "\ufeff", "\u00a0", "bad")
    # This tokenizer deletes two of them, and has the unknown subword for three.
    without = sum(not ids for ids in tokenizer.subwords(words))
    example = WordsExample("0", words, ("NOUN",) * 7)
    featurizer = WordsFeaturizer(TAGS)
    rows = featurizer([example], tokenizer)
    logits = [{"logits": np.eye(3, dtype=np.float32)[row.input_ids % 3]} for row in rows]
    (tags,) = FirstPieceTags(TAGS)([example], rows, logits)
    assert len(tags) == 7
    # The label of a word without subwords is that of the unknown token.
    assert set(tags[1:6]) == {TAGS[tokenizer.unknown_id % 3]}
    assert without == 2
    assert featurizer.counted(rows)["words without subwords"] == without


def test_word_as_long_as_a_row_stays(tokenizer, spell) -> None:
    (row,) = WordsFeaturizer(TAGS, max_tokens=8)([sentence("abcde")], tokenizer)
    assert spell(row.input_ids) == "<s>abcde</s></s>"


@pytest.mark.parametrize("seed", range(20))
def test_every_word_has_one_place_in_order(tokenizer, seed: int) -> None:
    rng = random.Random(seed)
    examples = [
        sentence(" ".join(rng.choice(["\u200b", "a" * rng.randint(1, 9)]) for _ in range(rng.randint(1, 20))))
        for _ in range(5)
    ]
    rows = WordsFeaturizer(TAGS, max_tokens=9)(examples, tokenizer)
    places = [(row.example, int(word)) for row in rows for word in row.alignment[:, 0]]
    assert places == [(number, word) for number, example in enumerate(examples) for word in range(len(example.words))]


@pytest.mark.parametrize("seed", range(20))
def test_no_row_is_longer_than_max_tokens(tokenizer, seed: int) -> None:
    rng = random.Random(seed)
    example = sentence(" ".join("a" * rng.randint(1, 9) for _ in range(30)))
    assert max(len(row.input_ids) for row in WordsFeaturizer(TAGS, max_tokens=9)([example], tokenizer)) <= 9
