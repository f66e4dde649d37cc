import numpy as np
import pytest

from benchmarks.contenders.workload import Workload, agreement, evenly, file_order, predictions, read, score
from harness.benchmark import tasks
from harness.core.examples import PairExample
from harness.core.features import Feature
from harness.evaluation.workload import FeaturizedJob, Job

XNLI = tasks.load("xnli")
LENGTHS = [5, 9, 3, 7, 128, 2, 4]


def job(language: str, labels: list[str], rows: list[list[int]]) -> FeaturizedJob:
    examples = [PairExample(str(number), "a", "b", label) for number, label in enumerate(labels)]
    features = [Feature(number, np.array(row)) for number, row in enumerate(rows)]
    return FeaturizedJob(Job(XNLI, language, "test"), examples, features)


def logits(*labels: str) -> list[dict[str, np.ndarray]]:
    known = XNLI.finetune.head.labels
    return [{"logits": np.eye(len(known), dtype=np.float32)[known.index(label)]} for label in labels]


def test_baseline_takes_rows_in_file_order() -> None:
    batches = file_order(LENGTHS, rows=3, width=128)
    assert [batch.rows for batch in batches] == [(0, 1, 2), (3, 4, 5), (6,)]


def test_baseline_pads_every_batch_to_the_width() -> None:
    assert [batch.width for batch in file_order(LENGTHS, rows=3, width=128)] == [128, 128, 128]


def test_longest_pads_each_batch_to_its_own_longest_row() -> None:
    assert [batch.width for batch in file_order(LENGTHS, rows=3, width="longest")] == [9, 128, 4]


def test_useful_tokens_count_repeated_rows_as_often_as_they_occur() -> None:
    rows = Workload(XNLI, [job("en", ["neutral"] * 2, [[1, 2], [1, 2]]), job("ru", ["neutral"], [[1, 2]])], 1)
    assert (rows.rows, rows.useful_tokens) == (3, 6)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(None, [0, 1, 2, 3, 4, 5]), (9, [0, 1, 2, 3, 4, 5]), (3, [0, 2, 4]), (4, [0, 1, 3, 4])],
    ids=["all", "more than there are", "a half", "two thirds"],
)
def test_samples_spread_over_the_file_in_its_order(count: int | None, expected: list[int]) -> None:
    assert evenly(range(6), count) == expected


def test_score_is_the_mean_over_languages_not_over_rows() -> None:
    rows = Workload(XNLI, [job("en", ["neutral"], [[1]]), job("ru", ["neutral"] * 3, [[1], [2], [3]])], 1)
    predicted = predictions(rows, [logits("neutral"), logits("entailment", "entailment", "entailment")])
    assert score(rows, predicted) == 50.0


def test_agreement_counts_equal_predictions() -> None:
    assert agreement([["a", "b"], ["c"]], [["a", "b"], ["d"]]) == pytest.approx(200 / 3)


def test_rows_are_tokenized_in_file_order_for_each_language(xnli, layout, tokenizer) -> None:
    xnli(["en", "ru"])
    rows = read([Job(XNLI, "en", "test"), Job(XNLI, "ru", "test")], layout, tokenizer, 2)
    assert [[feature.example for feature in item.features] for item in rows.featurized] == [[0, 1], [0, 1]]
