from pathlib import Path

import pytest

from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.submissions.labels import LabelLines
from harness.core.errors import DataError
from harness.core.examples import PairExample

NLI = LabelLines(("contradiction", "entailment", "neutral"))


@pytest.fixture
def read(tmp_path: Path):
    def read(labels: str, predictions: str, submission: LabelLines = NLI):
        (tmp_path / "labels.tsv").write_text(labels, encoding="utf-8")
        (tmp_path / "predictions.tsv").write_text(predictions, encoding="utf-8")
        return submission.read(tmp_path / "labels.tsv", tmp_path / "predictions.tsv", None)

    return read


def test_labels_are_read_in_order(read) -> None:
    examples, predictions = read("neutral\nentailment\n", "neutral\nneutral\n")
    assert ([example.label for example in examples], predictions) == (["neutral", "entailment"], ["neutral", "neutral"])


def test_what_is_read_is_scored(read) -> None:
    counts = Accuracy().counts(*read("neutral\nentailment\n", "neutral\nneutral\n"), "en")
    assert counts.tolist() == [[1, 1], [0, 1]]


def test_one_label_a_line_is_written() -> None:
    examples = [PairExample("0", "a", "b", "neutral"), PairExample("1", "a", "b", "neutral")]
    assert NLI.render(examples, ["neutral", "entailment"]) == "neutral\nentailment\n"


def test_one_prediction_for_each_example_is_needed_to_write() -> None:
    with pytest.raises(ValueError, match="argument"):
        NLI.render([PairExample("0", "a", "b", "neutral")], [])


@pytest.mark.parametrize(
    ("predictions", "problem"),
    [
        ("neutral\nneutrl\n", "2: label 'neutrl' is not one of contradiction, entailment, neutral"),
        ("neutral\n\n", "2: the line is blank, a label is expected"),
        ("neutral\tx\nneutral\n", r"1: label 'neutral\\tx' is not one of"),
    ],
    ids=["unknown", "blank", "two-columns"],
)
def test_line_that_is_no_label_is_named(read, predictions: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"predictions\.tsv:{problem}"):
        read("neutral\nentailment\n", predictions)


def test_one_wrong_label_among_many_is_named(read) -> None:
    with pytest.raises(DataError, match=r"labels\.tsv:2: label 'x' is not one of contradiction, entailment, neutral$"):
        read("neutral\nx\nentailment\n", "neutral\nneutral\nneutral\n")


def test_test_file_without_labels_is_called_stripped(read) -> None:
    with pytest.raises(DataError, match=r"labels\.tsv:1: label 'one\\ttwo' is not .*: the labels were stripped"):
        read("one\ttwo\nthree\tfour\n", "neutral\nneutral\n")


@pytest.mark.parametrize("count", [19, 20, 5_010])
def test_label_file_with_one_label_only_is_called_stripped_where_chance_is_no_reason(read, count: int) -> None:
    if count < 20:
        assert len(read("neutral\n" * count, "neutral\n" * count)[0]) == count
        return
    with pytest.raises(DataError, match=rf"'neutral' is the label of all {count} rows: the labels were stripped"):
        read("neutral\n" * count, "neutral\n" * count)


def test_predictions_may_all_be_equal(read) -> None:
    assert read("neutral\nentailment\n" * 20, "neutral\n" * 40)[1] == ["neutral"] * 40


def test_without_known_labels_every_one_is_read(read) -> None:
    assert read("a\nb\n", "b\nc\n", LabelLines(None))[1] == ["b", "c"]


def test_without_known_labels_a_blank_line_is_refused_all_the_same(read) -> None:
    with pytest.raises(DataError, match=r"predictions\.tsv:1: the line is blank"):
        read("a\nb\n", "\nb\n", LabelLines(None))
