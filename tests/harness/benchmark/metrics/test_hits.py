import pytest

from harness.benchmark.metrics.hits import FirstHit
from harness.core.examples import SentenceExample

EXAMPLES = [
    SentenceExample("ru-0", "a", "candidate"),
    SentenceExample("ru-1", "b", "candidate"),
    SentenceExample("en-0", "c", "query", frozenset({"ru-0"})),
    SentenceExample("en-1", "d", "query", frozenset({"ru-1"})),
]


def test_share_of_queries_whose_first_hit_is_right() -> None:
    counts = FirstHit().counts(EXAMPLES, [(), (), ("ru-0",), ("ru-0",)], "ru")
    assert FirstHit().scores(counts.sum(axis=0)) == {"accuracy": 50.0}


def test_candidates_count_nothing() -> None:
    assert FirstHit().counts(EXAMPLES, [("ru-0",), ("ru-1",), ("ru-0",), ("ru-1",)], "ru")[:2].tolist() == [[0, 0]] * 2


def test_later_hits_count_nothing() -> None:
    assert FirstHit().counts(EXAMPLES, [(), (), ("ru-1", "ru-0"), ()], "ru")[2:].tolist() == [[0, 1], [0, 1]]


def test_one_prediction_for_each_example_is_needed() -> None:
    with pytest.raises(ValueError, match="argument"):
        FirstHit().counts(EXAMPLES, [("ru-0",), ("ru-1",)], "ru")


def test_queries_there_for_tuning_count_nothing() -> None:
    tuning = SentenceExample("en-2", "e", "query", frozenset({"ru-0"}), tuning=True)
    assert FirstHit().counts([tuning, EXAMPLES[2]], [("ru-0",), ("ru-0",)], "ru").tolist() == [[0, 0], [1, 1]]
