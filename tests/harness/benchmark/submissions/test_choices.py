from pathlib import Path

import pytest

from harness.benchmark.metrics.accuracy import Accuracy
from harness.benchmark.submissions.choices import ChoiceLines
from harness.core.errors import DataError
from harness.core.examples import ChoiceExample


@pytest.fixture
def read(tmp_path: Path):
    def read(labels: str, predictions: str):
        (tmp_path / "labels.jsonl").write_text(labels, encoding="utf-8")
        (tmp_path / "predictions.jsonl").write_text(predictions, encoding="utf-8")
        return ChoiceLines().read(tmp_path / "labels.jsonl", tmp_path / "predictions.jsonl", None)

    return read


def test_choices_are_scored_by_their_numbers(read) -> None:
    counts = Accuracy().counts(*read('{"label": 1}\n{"label": 0}\n', '{"label": 1}\n{"label":1}\n'), "et")
    assert counts.tolist() == [[1, 1], [0, 1]]


def test_label_file_may_be_the_whole_test_file(read) -> None:
    examples, _ = read('{"premise": "p", "label": 1, "idx": 0}\n', '{"label": 0}\n')
    assert [example.label for example in examples] == [1]


def test_one_object_a_line_is_written() -> None:
    examples = [ChoiceExample(str(number), "p", "q", ("a", "b"), 0) for number in range(2)]
    assert ChoiceLines().render(examples, [1, 0]) == '{"label": 1}\n{"label": 0}\n'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"label": 2}', "label 2 is not one of 0, 1"),
        ('{"label": "1"}', "label '1' is not one of 0, 1"),
        ('{"label": true}', "label True is not one of 0, 1"),
        ('{"label": 1.0}', r"label 1\.0 is not one of 0, 1"),
        ('{"labels": 1}', "is no object with a label"),
        ("[1]", "is no object with a label"),
        ("1", "'1' is no object with a label"),
        ("{label: 1}", "is no object with a label"),
        ("", "'' is no object with a label"),
    ],
    ids=["two", "text", "true", "float", "key", "list", "number", "no-json", "blank"],
)
def test_line_without_a_choice_is_named(read, line: str, problem: str) -> None:
    with pytest.raises(DataError, match=rf"predictions\.jsonl:2: .*{problem}"):
        read('{"label": 1}\n{"label": 0}\n', f'{{"label": 1}}\n{line}\n')


def test_labels_that_are_all_zero_are_called_stripped(read) -> None:
    with pytest.raises(DataError, match=r"labels\.jsonl: 0 is the label of all 500 rows: the labels were stripped"):
        read('{"label": 0}\n' * 500, '{"label": 0}\n' * 500)


def test_label_file_without_the_key_is_called_stripped(read) -> None:
    with pytest.raises(DataError, match=r"labels\.jsonl:1: .* is no object with a label.*: the labels were stripped"):
        read('{"premise": "p"}\n' * 3, '{"label": 0}\n' * 3)
