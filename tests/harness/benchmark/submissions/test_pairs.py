from pathlib import Path

import pytest

from harness.benchmark.metrics.pairs import PairF1
from harness.benchmark.submissions.pairs import PairLines
from harness.core.errors import DataError
from harness.core.examples import SentenceExample
from harness.core.task import Tally

GOLD = "de-1\ten-1\nde-2\ten-2\nde-3\ten-3\n"


@pytest.fixture
def read(tmp_path: Path):
    def read(labels: str, predictions: str, tally: Tally | None = None):
        (tmp_path / "labels.tsv").write_text(labels, encoding="utf-8")
        (tmp_path / "predictions.tsv").write_text(predictions, encoding="utf-8")
        return PairLines().read(tmp_path / "labels.tsv", tmp_path / "predictions.tsv", tally)

    return read


def totals(found) -> list[float]:
    return PairF1().counts(*found, "de").sum(axis=0).tolist()


def test_pairs_are_scored_as_sets(read) -> None:
    # The official fixture: the first pair twice, the second source with a wrong target.
    assert totals(read(GOLD, "de-1\ten-1\nde-2\ten-3\nde-1\ten-1\n")) == [1, 2, 3]


def test_order_does_not_matter(read) -> None:
    assert totals(read(GOLD, "de-3\ten-3\nde-1\ten-1\n")) == [2, 2, 3]


def test_sources_without_a_gold_pair_lower_precision(read) -> None:
    assert totals(read(GOLD, "de-9\ten-9\nde-1\ten-1\n")) == [1, 2, 3]


def test_source_with_two_targets_counts_both(read) -> None:
    assert totals(read(GOLD, "de-1\ten-1\nde-1\ten-2\n")) == [1, 2, 3]


def test_gold_may_hold_two_targets_of_a_source(read) -> None:
    assert totals(read("de-1\ten-1\nde-1\ten-2\n", "de-1\ten-2\n")) == [1, 1, 2]


def test_ids_stand_as_the_official_scorer_strips_them(read) -> None:
    assert totals(read(GOLD, "  de-1\ten-1 \n")) == [1, 1, 3]


def test_blank_line_is_refused_with_the_option_that_counts_it(read) -> None:
    with pytest.raises(DataError, match=r"predictions\.tsv:2: '' is no pair.*`--official-missing`"):
        read(GOLD, "de-1\ten-1\n\nde-2\ten-2\n")


def test_blank_lines_are_one_more_wrong_pair_where_they_are_counted(read) -> None:
    tally = Tally()
    assert totals(read(GOLD, "de-1\ten-1\n\n\nde-2\ten-2\n", tally)) == [2, 3, 3]
    assert tally == Tally(extra=2)


def test_empty_file_is_no_pairs_where_it_is_counted(read) -> None:
    tally = Tally()
    assert totals(read(GOLD, "", tally)) == [0, 0, 3]
    assert tally == Tally(missing=3)


def test_false_and_absent_pairs_are_no_missing_or_extra_predictions(read) -> None:
    tally = Tally()
    read(GOLD, "de-9\ten-9\n", tally)
    assert tally == Tally()


@pytest.mark.parametrize("line", ["de-1", "de-1\t", "\ten-1", "de-1\ten-1\t0.9", "de-1 en-1"])
@pytest.mark.parametrize("tally", [None, Tally()], ids=["strict", "official"])
def test_line_that_is_no_pair_is_refused(read, line: str, tally) -> None:
    with pytest.raises(DataError, match=r"predictions\.tsv:2: .* is no pair, `foreign id TAB English id` is expected$"):
        read(GOLD, f"de-1\ten-1\n{line}\n", tally)


def test_blank_line_among_the_labels_is_always_refused(read) -> None:
    with pytest.raises(DataError, match=r"labels\.tsv:2: '' is no pair"):
        read("de-1\ten-1\n\nde-2\ten-2\n", "de-1\ten-1\n", Tally())


def test_pairs_of_scored_queries_are_written() -> None:
    examples = [
        SentenceExample("en-1", "text", "candidate"),
        SentenceExample("de-0", "text", "query", tuning=True),
        SentenceExample("de-1", "text", "query"),
        SentenceExample("de-2", "text", "query"),
    ]
    assert PairLines().render(examples, [(), ("en-1",), ("en-1",), ()]) == "de-1\ten-1\n"
