from harness.core.examples import PairExample, SentenceExample, first, scored

PAIRS = [PairExample(str(number), "a", "b", "x") for number in range(5)]
CANDIDATES = [SentenceExample(f"c{number}", "c", "candidate") for number in range(4)]
QUERIES = [SentenceExample(f"q{number}", "q", "query") for number in range(3)]


def test_all_but_candidates_are_scored() -> None:
    assert scored([*CANDIDATES, *QUERIES]) == QUERIES


def test_examples_without_sides_are_all_scored() -> None:
    assert scored(PAIRS) == PAIRS


def test_first_examples_are_those_of_the_file() -> None:
    assert first(PAIRS, 2) == PAIRS[:2]


def test_first_queries_still_choose_from_every_candidate() -> None:
    assert first([*CANDIDATES, *QUERIES], 1) == [*CANDIDATES, QUERIES[0]]


def test_more_than_there_are_is_all() -> None:
    assert first(PAIRS, 99) == PAIRS
