from pathlib import Path

import pytest

from harness.benchmark.metrics.hits import FirstHit
from harness.benchmark.sources.parallel import ParallelLines
from harness.benchmark.submissions.rows import RowNumbers
from harness.core.errors import DataError
from harness.core.examples import SentenceExample
from harness.core.layout import DataFile


@pytest.fixture
def read(tmp_path: Path):
    def read(labels: str, predictions: str):
        (tmp_path / "labels.tsv").write_text(labels, encoding="utf-8")
        (tmp_path / "predictions.tsv").write_text(predictions, encoding="utf-8")
        return RowNumbers().read(tmp_path / "labels.tsv", tmp_path / "predictions.tsv", None)

    return read


def test_rows_are_scored_by_position(read) -> None:
    assert FirstHit().counts(*read("2\n0\n1\n", "2\n1\n1\n"), "ru").tolist() == [[1, 1], [0, 1], [1, 1]]


def test_gold_of_a_query_is_its_row(read) -> None:
    examples, predictions = read("2\n0\n", "1\n0\n")
    assert [example.gold for example in examples] == [{"2"}, {"0"}]
    assert predictions == [("1",), ("0",)]


@pytest.mark.parametrize("line", ["-1", "07", "1.0", "ru-1", "1 2", "", "+1", "١"])
def test_line_that_is_no_row_is_named(read, line: str) -> None:
    with pytest.raises(DataError, match=r"predictions\.tsv:2: .* is no row of the foreign file"):
        read("1\n0\n2\n", f"1\n{line}\n2\n")


def test_one_row_everywhere_is_called_stripped(read) -> None:
    with pytest.raises(DataError, match=r"labels\.tsv: '0' is the label of all 20 rows: the labels were stripped"):
        read("0\n" * 20, "1\n" * 20)


def test_predictions_are_written_as_rows_in_the_order_of_sorted_english(write, layout, read) -> None:
    write("t/rus", "один\nдва\nтри\n")
    write("t/eng", "one\ntwo\nthree\n")
    source = ParallelLines(foreign=DataFile("xtreme", "t/{code}"), english=DataFile("xtreme", "t/eng"))
    examples = source.read(layout, "ru", "test")
    gold = [tuple(example.gold) for example in examples]
    # one, three, two: rows 0, 2 and 1 of the foreign file
    assert RowNumbers().render(examples, gold) == "0\n2\n1\n"


def test_only_the_first_candidate_is_written() -> None:
    candidates = [SentenceExample(f"ru-{row}", "text", "candidate") for row in range(3)]
    query = SentenceExample("en-0", "text", "query", frozenset({"ru-0"}))
    assert RowNumbers().render([*candidates, query], [(), (), (), ("ru-2", "ru-0")]) == "2\n"


def test_query_without_a_prediction_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="query 'en-0' has no prediction"):
        RowNumbers().render([SentenceExample("en-0", "text", "query")], [()])
