import json
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark.metrics.ranking import AveragePrecision
from harness.benchmark.submissions.ranked import RankedIds
from harness.core.errors import DataError
from harness.core.examples import SentenceExample
from harness.core.task import Tally

GOLDEN = Path(__file__).parents[3] / "golden/metrics/mewslix.json"


@pytest.fixture
def read(tmp_path: Path):
    def read(labels: Any, predictions: Any, tally: Tally | None = None):
        (tmp_path / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
        (tmp_path / "predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
        return RankedIds().read(tmp_path / "labels.json", tmp_path / "predictions.json", tally)

    return read


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"])
def test_missing_and_extra_examples_are_counted_as_officially(read, case) -> None:
    tally = Tally()
    totals = AveragePrecision().counts(*read(case["gold"], case["pred"], tally), "en").sum(axis=0)
    assert AveragePrecision().scores(totals) == pytest.approx({"map@20": 100 * case["score"]}, abs=1e-10)
    assert tally == Tally(missing=1, extra=1)


def test_rankings_are_aligned_with_the_gold_by_id(read) -> None:
    examples, predictions = read({"a": ["Q1"], "b": ["Q2", "Q3"]}, {"b": ["Q9"], "a": []})
    assert [example.gold for example in examples] == [{"Q1"}, {"Q2", "Q3"}]
    assert predictions == [(), ("Q9",)]


def test_gold_ids_are_stripped_and_predicted_ones_are_not(read) -> None:
    examples, predictions = read({"a": [" Q1\n"]}, {"a": [" Q1", "Q1"]})
    assert AveragePrecision().counts(examples, predictions, "en").tolist() == [[0.5, 1]]


@pytest.mark.parametrize("gold", [[""], [], ["  "]], ids=["blank", "none", "spaces"])
def test_gold_without_ids_is_called_stripped(read, gold: list[str]) -> None:
    with pytest.raises(DataError, match=r"labels\.json: example 'b' has no gold id: the labels were stripped"):
        read({"a": ["Q1"], "b": gold}, {"a": ["Q1"], "b": ["Q1"]}, Tally())


def test_label_file_without_examples_is_refused(read) -> None:
    with pytest.raises(DataError, match=r"labels\.json has no examples"):
        read({}, {})


@pytest.mark.parametrize("ranking", ["Q1", 5, [1], None], ids=["text", "number", "numbers", "null"])
def test_ranking_that_is_no_list_of_ids_is_named(read, ranking: Any) -> None:
    with pytest.raises(DataError, match=r"predictions\.json: example 'a' has .*; a list of ids, as texts, is expected"):
        read({"a": ["Q1"]}, {"a": ranking})


def test_rankings_of_scored_queries_are_written() -> None:
    examples = [SentenceExample("c", "text", "candidate"), SentenceExample("q", "text", "query")]
    assert json.loads(RankedIds().render(examples, [(), ("Q2", "Q1")])) == {"q": ["Q2", "Q1"]}
