import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark.metrics.squad import Squad, normalise, token_f1
from harness.core.examples import Answer, QuestionExample

CASES = json.loads((Path(__file__).parents[3] / "golden/metrics/squad.json").read_text(encoding="utf-8"))["cases"]


@pytest.fixture(params=CASES, ids=[f"{case['pred']}|{case['gold']}" for case in CASES])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def question(*answers: str) -> QuestionExample:
    return QuestionExample("0", "q", "context", tuple(Answer(text, 0) for text in answers))


def test_prediction_is_normalised_as_officially(case) -> None:
    assert normalise(case["pred"]) == case["norm_pred"]


def test_reference_is_normalised_as_officially(case) -> None:
    assert normalise(case["gold"]) == case["norm_gold"]


def test_counts_are_the_official_ones(case) -> None:
    counts = Squad().counts([question(case["gold"])], [case["pred"]], "en")
    assert counts[0].tolist() == pytest.approx([float(case["em"]), case["f1"], 1], abs=1e-12)


def test_best_reference_counts() -> None:
    counts = Squad().counts([question("red", "the blue house", "blue sky")], ["blue house"], "en")
    assert counts.tolist() == [[1, 1, 1]]


def test_repeated_token_counts_as_often_as_both_have_it() -> None:
    assert token_f1("no no no", "no no yes") == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(20))
def test_f1_of_random_tokens_is_that_of_the_formula(seed: int) -> None:
    rng = random.Random(seed)
    found, expected = (rng.choices("abcd", k=rng.randint(0, 6)) for _ in range(2))
    common = sum(min(Counter(found)[token], Counter(expected)[token]) for token in "abcd")
    formula = 2 * common / (len(found) + len(expected)) if common else 0.0
    assert token_f1(" ".join(found), " ".join(expected)) == pytest.approx(formula, abs=1e-12)


def test_empty_answer_is_wrong() -> None:
    assert Squad().counts([question("red")], [""], "en").tolist() == [[0, 0, 1]]


def test_empty_answer_matches_a_reference_that_normalises_to_nothing() -> None:
    assert Squad().counts([question("the")], [""], "en").tolist() == [[1, 0, 1]]


def test_question_without_an_answer_scores_nothing_even_there() -> None:
    assert Squad().counts([question("the")], [None], "en").tolist() == [[0, 0, 1]]


def test_scores_are_means_over_questions_in_percent() -> None:
    counts = Squad().counts([question("in 1990"), question("red")], ["1990", "red"], "en")
    assert Squad().scores(counts.sum(axis=0)) == pytest.approx({"exact_match": 50.0, "f1": 100 * (2 / 3 + 1) / 2})


def test_one_prediction_for_each_question_is_needed() -> None:
    with pytest.raises(ValueError, match="argument"):
        Squad().counts([question("red")], [], "en")
