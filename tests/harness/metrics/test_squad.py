import json
from pathlib import Path
from typing import Any

import pytest

from harness.examples import Answer, QuestionExample
from harness.metrics.squad import Squad, exact_match, normalise, token_f1

CASES = json.loads((Path(__file__).parents[2] / "golden/metrics/squad.json").read_text(encoding="utf-8"))["cases"]


@pytest.fixture(params=CASES, ids=[f"{case['pred']}|{case['gold']}" for case in CASES])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def test_prediction_is_normalised_as_officially(case) -> None:
    assert normalise(case["pred"]) == case["norm_pred"]


def test_reference_is_normalised_as_officially(case) -> None:
    assert normalise(case["gold"]) == case["norm_gold"]


def test_exact_match_is_the_official_one(case) -> None:
    assert exact_match(case["pred"], case["gold"]) == case["em"]


def test_f1_is_the_official_one(case) -> None:
    assert token_f1(case["pred"], case["gold"]) == pytest.approx(case["f1"], abs=1e-12)


def question(*answers: str) -> QuestionExample:
    return QuestionExample("0", "q", "context", tuple(Answer(text, 0) for text in answers))


def test_best_reference_counts() -> None:
    counts = Squad().counts([question("red", "the blue house", "blue sky")], ["blue house"], "en")
    assert counts.tolist() == [[1, 1, 1]]


def test_repeated_token_counts_as_often_as_both_have_it() -> None:
    assert token_f1("no no no", "no no yes") == pytest.approx(2 / 3)


def test_missing_answer_scores_nothing() -> None:
    assert Squad().counts([question("red")], [""], "en").tolist() == [[0, 0, 1]]


def test_scores_are_means_over_questions_in_percent() -> None:
    counts = Squad().counts([question("in 1990"), question("red")], ["1990", "red"], "en")
    assert Squad().scores(counts.sum(axis=0)) == pytest.approx({"exact_match": 50.0, "f1": 100 * (2 / 3 + 1) / 2})
