"""What is counted of rows, on the toy tokenizer: each letter is a subword, U+200B is none."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.benchmark.featurizers.choice import ChoiceFeaturizer
from harness.benchmark.featurizers.dual import DualFeaturizer
from harness.benchmark.featurizers.pair import PairFeaturizer
from harness.benchmark.featurizers.sentence import SentenceFeaturizer
from harness.benchmark.featurizers.window import WindowFeaturizer
from harness.benchmark.featurizers.words import WordsFeaturizer
from harness.core.errors import ArtifactError
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from harness.evaluation.plausibility.inputs import InputFacts, input_facts
from harness.evaluation.plausibility.marks import ORDINARY, SPECIAL, UNKNOWN, marks
from harness.tokenization.shared import shared_tokenizer

LABELS = ("a", "b")


@pytest.fixture
def facts(tokenizer, tokenizer_file: Path):
    def count(featurizer, examples) -> InputFacts:
        return input_facts(featurizer, examples, featurizer(examples, tokenizer), tokenizer_file)

    return count


def pair(first: str, second: str) -> PairExample:
    return PairExample("1", first, second, "a")


def test_unknown_subwords_are_counted_without_special_tokens(facts) -> None:
    found = facts(PairFeaturizer(LABELS), [pair("abc", "d"), pair("aя", "яя")])
    assert (found.subwords.tolist(), found.unknown.tolist(), found.rows) == ([4, 4], [0, 3], 2)


def test_rows_of_one_example_are_counted_together(facts) -> None:
    found = facts(WordsFeaturizer(("X",), max_tokens=7), [WordsExample("1", ("abcd", "efg", "яя"), ("X",) * 3)])
    assert (found.rows, found.subwords.tolist(), found.unknown.tolist()) == (3, [9], [2])


def test_kinds_of_ids_are_read_without_the_vocabulary(tokenizer_file: Path, tmp_path: Path) -> None:
    document = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    document["added_tokens"] = [
        {"id": 0, "content": "<s>", "special": True},
        {"id": 3, "content": "<unk>", "special": True},
        {"id": 40, "content": "word", "special": False},
    ]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    found = marks(path).of(np.array([0, 3, 1, 40, 250_000]))
    assert found.tolist() == [SPECIAL, UNKNOWN, ORDINARY, ORDINARY, ORDINARY]


@pytest.mark.parametrize("kind", ["template", "bert", "several"])
def test_the_frame_of_a_row_is_special(kind: str, tokenizer_file: Path, tmp_path: Path) -> None:
    document = json.loads(tokenizer_file.read_text(encoding="utf-8"))
    bert = {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}
    bytes_first = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    several = {"type": "Sequence", "processors": [bytes_first, bert]}
    document["post_processor"] = {"template": document["post_processor"], "bert": bert, "several": several}[kind]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert marks(path).of(np.array([0, 1, 2, 3, 4])).tolist() == [SPECIAL, ORDINARY, SPECIAL, UNKNOWN, ORDINARY]


def test_equal_files_give_one_tokenizer(tokenizer_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tokenizer.json"
    copy.write_bytes(tokenizer_file.read_bytes())
    assert shared_tokenizer(copy) is shared_tokenizer(tokenizer_file)


def test_missing_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"tokenizer\.json cannot be read .*export the model again"):
        marks(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("word", ["\u200b", "\u200b\u200b"])
def test_words_without_subwords_are_counted(word: str, facts) -> None:
    examples = [WordsExample("1", ("ab", word, "c"), ("X",) * 3), WordsExample("2", (word, "."), ("X", "X"))]
    assert facts(WordsFeaturizer(("X",)), examples).words_without_subwords == 2


def test_words_of_other_invisible_letters_have_subwords(facts) -> None:
    # U+200F is unknown to this tokenizer, but not dropped by it.
    assert facts(WordsFeaturizer(("X",)), [WordsExample("1", ("\u200f", "я"), ("X",) * 2)]).words_without_subwords == 0


def test_tasks_without_words_have_no_count_of_them(facts) -> None:
    assert facts(PairFeaturizer(LABELS), [pair("a", "b")]).words_without_subwords is None


# Truncation: a pair has four special tokens, a sentence two.


def test_a_row_that_just_fits_is_not_truncated(facts) -> None:
    examples = [pair("abc", "def"), pair("abcd", "efg"), pair("a", "b")]
    found = facts(PairFeaturizer(LABELS, max_tokens=10), examples)
    assert (found.truncated_rows, found.equal_rows) == (1, 0)


def test_rows_made_equal_by_truncation_are_counted(facts) -> None:
    examples = [pair("abcdx", "e"), pair("abcdy", "e"), pair("abcdy", "e"), pair("zzzzz", "e"), pair("abcd", "e")]
    found = facts(PairFeaturizer(LABELS, max_tokens=9), examples)
    # The last one just fits, and equals what is left of the others.
    assert (found.truncated_rows, found.equal_rows) == (4, 4)


def test_equal_texts_are_not_made_equal(facts) -> None:
    found = facts(PairFeaturizer(LABELS, max_tokens=9), [pair("abcdx", "e"), pair("abcdx", "e")])
    assert (found.truncated_rows, found.equal_rows) == (2, 0)


def test_choices_that_differ_in_what_is_cut_are_equal(facts) -> None:
    example = ChoiceExample("1", "a", "b", ("cdefgh", "cdefgi", "x"), 0)
    found = facts(ChoiceFeaturizer(max_tokens=11, official=True), [ChoiceExample("0", "a", "", ("b", "c"), 0), example])
    assert (found.rows, found.truncated_rows, found.equal_rows) == (5, 2, 2)


def test_sentences_and_both_sides_of_a_dual_encoder_are_truncated(facts) -> None:
    sentences = [SentenceExample("1", "abcdef", "query"), SentenceExample("2", "abcdef", "candidate")]
    assert facts(SentenceFeaturizer(max_tokens=6), sentences).truncated_rows == 2
    assert facts(DualFeaturizer(query_tokens=6, candidate_tokens=8), sentences).truncated_rows == 1


def test_prompts_count_for_what_fits(facts) -> None:
    assert facts(SentenceFeaturizer(max_tokens=6, prompt="q"), [SentenceExample("1", "abcd", "query")]).truncated_rows


def test_long_sentences_of_words_become_rows_and_lose_nothing(facts) -> None:
    found = facts(WordsFeaturizer(("X",), max_tokens=7), [WordsExample("1", ("abcd", "efgh"), ("X", "X"))])
    assert (found.rows, found.truncated_rows) == (2, 0)


def test_questions_that_are_cut_count_with_every_window(facts) -> None:
    featurizer = WindowFeaturizer(max_tokens=12, stride=2, max_question=3)
    examples = [QuestionExample("1", "abc", "def", ()), QuestionExample("2", "abcd", "defghij", ())]
    assert facts(featurizer, examples).truncated_rows == 2
    twins = [QuestionExample("1", "abcx", "def", ()), QuestionExample("2", "abcy", "def", ())]
    assert facts(featurizer, twins).equal_rows == 2


def test_an_unknown_featurizer_has_no_count(tokenizer, tokenizer_file: Path) -> None:
    rows = SentenceFeaturizer(max_tokens=6)([SentenceExample("1", "abcdef", "query")], tokenizer)
    found = input_facts(object(), [SentenceExample("1", "abcdef", "query")], rows, tokenizer_file)
    assert (found.truncated_rows, found.equal_rows) == (None, None)
