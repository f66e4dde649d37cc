"""Words of English examples in another language."""

from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import DataError
from harness.core.examples import Answer, ChoiceExample, PairExample, QuestionExample, SentenceExample, WordsExample
from training.switching import Lexicon, switch, switched

LEXICON = Lexicon({"cat": ["кошка"], "dog": ["собака", "пёс"], "in": ["в"]})


def always(word: str) -> str | None:
    return LEXICON.translator(np.random.default_rng(0), 1.0)(word)


def test_pair_is_switched_on_both_sides_and_keeps_its_label() -> None:
    example = PairExample("1", "A cat, in time.", "No cat", "neutral")
    assert switch(example, always) == PairExample("1", "A кошка, в time.", "No кошка", "neutral")


def test_capital_stays() -> None:
    assert switch(PairExample("1", "Cat", "cat", "x"), always).first == "Кошка"


def test_choices_are_switched_and_the_question_is_not() -> None:
    example = ChoiceExample("1", "cat", "What was in it?", ("cat", "x"), 1)
    assert switch(example, always) == ChoiceExample("1", "кошка", "What was in it?", ("кошка", "x"), 1)


def test_tags_stay_with_their_words() -> None:
    example = WordsExample("1", ("cat", "runs"), ("NOUN", "VERB"))
    assert switch(example, always) == WordsExample("1", ("кошка", "runs"), ("NOUN", "VERB"))


@pytest.mark.parametrize(
    ("text", "start", "moved"),
    [
        ("sat", 8, "sat"),
        ("cat", 4, "кошка"),
        ("cat sat in", 4, "кошка sat в"),
        ("The", 0, "The"),
        ("cat", 19, "кошка"),
        ("at", 5, "at"),
    ],
    ids=["after", "itself", "around", "before", "last", "inside-a-word"],
)
def test_answer_is_found_again(text: str, start: int, moved: str) -> None:
    example = QuestionExample("1", "Who?", "The cat sat in the cat", (Answer(text, start),))
    found = switch(example, always)
    (answer,) = found.answers
    assert (answer.text, found.context[answer.start : answer.start + len(answer.text)]) == (moved, moved)


def test_question_is_switched() -> None:
    assert switch(QuestionExample("1", "Which cat?", "x", (Answer("x", 0),)), always).question == "Which кошка?"


def test_other_examples_are_refused() -> None:
    with pytest.raises(TypeError, match="SentenceExample cannot be code-switched"):
        switch(SentenceExample("1", "cat", "query"), always)


def test_share_of_the_known_words_is_switched() -> None:
    examples = [PairExample(str(number), "cat cat cat cat x", "x", "l") for number in range(200)]
    found = sum(example.first.count("кошка") for example in switched(examples, LEXICON, 0.25, seed=1))
    # 800 draws at 0.25: four standard deviations are 49.
    assert abs(found - 200) < 49


def test_switching_follows_from_seed_and_place() -> None:
    examples = [PairExample(str(number), "dog dog dog", "cat", "l") for number in range(20)]
    one, same, other = (switched(examples, LEXICON, 0.5, seed=seed) for seed in (1, 1, 2))
    assert (one == same, one == other) == (True, False)
    assert one[10:] != switched(examples[10:], LEXICON, 0.5, seed=1)


def lexicon(tmp_path: Path, content: str) -> Lexicon:
    path = tmp_path / "en-ru.tsv"
    path.write_text(content, encoding="utf-8")
    return Lexicon.read(path)


def test_lexicon_leaves_out_equal_pairs_and_keeps_several_translations(tmp_path: Path) -> None:
    read = lexicon(tmp_path, "Dog\tсобака\ndog\tпёс\nradio\tRadio\n")
    assert read.entries == {"dog": ["собака", "пёс"]}


@pytest.mark.parametrize(
    ("content", "problem"),
    [("dog собака\n", r":1: `English TAB target` is expected"), ("a\ta\n", "no pair of different words")],
)
def test_lexicon_that_switches_nothing_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        lexicon(tmp_path, content)
