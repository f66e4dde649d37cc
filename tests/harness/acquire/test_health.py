from collections.abc import Sequence

import pytest

from harness.acquire.check import COLUMNS, MOST_ROWS, Finding, health_lines
from harness.acquire.health import Examiner, Health
from harness.core.examples import (
    Answer,
    ChoiceExample,
    MatchExample,
    PairExample,
    QuestionExample,
    SentenceExample,
    WordsExample,
)


def examined(*examples, placeholders: tuple[str, ...] = (), gold_errors: int = 0, subwords=None) -> Health:
    examiner = Examiner(placeholders=placeholders, subwords=subwords)
    assert list(examiner.watch(examples)) == list(examples)
    return examiner.health(gold_errors)


def odd(health: Health) -> dict[str, int]:
    """What is not zero."""
    return {name: getattr(health, name) for name in COLUMNS if getattr(health, name)}


def pair(number: int, first: str, second: str = "b", label: str = "0") -> PairExample:
    return PairExample(str(number), first, second, label)


def test_healthy_examples_count_nothing() -> None:
    health = examined(pair(0, "a"), pair(1, "Hà Nội\tx\ny"), gold_errors=0)
    assert odd(health) == {}
    assert (health.items, health.share_not_nfc, health.no_subwords) == (2, 0.0, None)
    assert examined().share_not_nfc == 0.0


@pytest.mark.parametrize(
    ("example", "column"),
    [
        (pair(0, "NS"), "placeholders"),
        (pair(0, ""), "blank"),
        (pair(0, "\u00a0"), "blank"),
        (pair(0, "a\x1db"), "control"),
        (pair(0, "a\x85b"), "control"),
        (pair(0, "a\u200fb"), "zero_width"),
        (pair(0, "a\u00adb"), "zero_width"),
        (pair(0, "Ha\u0300 No\u0302\u0323i"), "not_nfc"),
        (WordsExample("0", ("e\u0301", "a"), ("X", "X")), "not_nfc"),
    ],
)
def test_odd_texts_are_counted_by_what_is_odd(example, column: str) -> None:
    assert odd(examined(example, placeholders=("NS",))) == {column: 1}


def test_a_placeholder_counts_a_row_once_as_official_paws_x_has_32_in_german_test() -> None:
    rows = [pair(0, "NS", "NS"), pair(1, "NS", "ein Satz"), pair(2, "NS ist kein Satz")]
    assert examined(*rows, placeholders=("NS",)).placeholders == 2
    assert examined(*rows).placeholders == 0


def test_zero_width_words_are_blank_and_zero_width() -> None:
    words = ("Москва", "\u200f", "\u200b", "\u200d", "\ufeff", "город")
    assert odd(examined(WordsExample("0", words, ("X",) * 6))) == {"blank": 1, "zero_width": 1}


def test_words_without_subwords_are_counted_as_often_as_they_occur() -> None:
    def subwords(words: Sequence[str]) -> list[list[int]]:
        assert len(set(words)) == len(words)
        return [[] if word == "\u200b" else [1] for word in words]

    rows = [WordsExample(str(number), ("a", "\u200b"), ("X", "X")) for number in range(3)]
    assert examined(*rows, subwords=subwords).no_subwords == 3
    assert examined(pair(0, "a"), subwords=subwords).no_subwords == 0


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        (pair(0, "a"), pair(1, "a"), pair(2, "a", label="1")),
        (
            ChoiceExample("0", "p", "", ("x", "y"), 0),
            ChoiceExample("1", "p", "", ("y", "x"), 1),
            ChoiceExample("2", "p", "", ("x", "y"), 1),
        ),
        (
            WordsExample("0", ("a",), ("X",)),
            WordsExample("1", ("a",), ("X",)),
            WordsExample("2", ("a",), ("NOUN",)),
        ),
        (
            QuestionExample("0", "q", "a b", (Answer("a", 0),)),
            QuestionExample("1", "q", "a b", (Answer("a", 0), Answer("a", 0))),
            QuestionExample("2", "q", "a b", (Answer("b", 2),)),
        ),
        (
            SentenceExample("0", "a", "query", frozenset({"x"})),
            SentenceExample("1", "a", "query", frozenset({"x"})),
            SentenceExample("2", "a", "query", frozenset({"y"})),
        ),
    ],
    ids=["pair", "choice", "words", "question", "sentence"],
)
def test_duplicates_and_those_with_another_gold_are_counted(first, same, other) -> None:
    assert odd(examined(first, same)) == {"duplicates": 1}
    assert odd(examined(first, other)) == {"duplicates": 1, "contradicting": 1}
    assert odd(examined(first, same, other)) == {"duplicates": 2, "contradicting": 1}


def test_duplicates_of_the_other_side_or_of_another_context_are_none() -> None:
    assert odd(examined(SentenceExample("0", "a", "query"), SentenceExample("1", "a", "candidate"))) == {}
    assert odd(examined(QuestionExample("0", "q", "a", ()), QuestionExample("1", "q", "b", ()))) == {}


def test_duplicates_identical_candidates_of_two_queries_are_counted() -> None:
    queries = [SentenceExample(f"q{place}", f"q{place}", "query", frozenset({f"c{place}"})) for place in range(2)]
    candidates = [SentenceExample(f"c{place}", "same", "candidate") for place in range(2)]
    assert odd(examined(*queries, *candidates)) == {"duplicates": 1}


def test_matches_that_occur_twice_are_duplicates_without_contradiction() -> None:
    assert odd(examined(MatchExample("0", "a", "b"), MatchExample("0", "a", "b"))) == {
        "duplicate_ids": 1,
        "duplicates": 1,
    }


def finding(language: str, health: Health | None, split: str = "test") -> Finding:
    return Finding(dataset="pairs", split=split, language=language, state="whole", health=health)  # type: ignore[arg-type]


def test_table_has_the_columns_and_rows_that_are_not_zero() -> None:
    rows = [finding("en", examined(pair(0, "a"))), finding("ru", examined(pair(0, "e\u0301"), pair(1, "b")))]
    assert health_lines(rows, "mine") == [
        "",
        "health: items with what a column names (subwords of mine)\n"
        "  data           items  not NFC\n"
        "  pairs test ru      2   50.0 %",
    ]
    assert health_lines(rows[:1], "mine") == []
    assert health_lines([finding("en", None)], "") == []
    assert "not counted, no `--tokenizer`" in health_lines(rows, "")[1]


def test_table_of_many_files_has_a_row_for_each_split_and_names_languages() -> None:
    many = [
        finding(f"l{place}", examined(pair(0, "NS"), pair(1, "NS", label="1"), placeholders=("NS",)))
        for place in range(MOST_ROWS + 1)
    ]
    _, table, named = health_lines([*many, finding("xx", examined(pair(0, "a")))], "mine")
    assert table.splitlines()[1:] == [
        "  data        files  items  placeholder  duplicate  other gold",
        "  pairs test     42     83           82         41          41",
    ]
    assert named.startswith("placeholder: pairs test l0 2, pairs test l1 2, ")
    assert "xx" not in named
