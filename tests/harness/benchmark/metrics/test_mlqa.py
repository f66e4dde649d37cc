import json
import random
import re
import string
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark.metrics.mlqa import Mlqa, normalise
from harness.core.errors import DataError
from harness.core.examples import Answer, QuestionExample

CASES = json.loads((Path(__file__).parents[3] / "golden/metrics/mlqa.json").read_text(encoding="utf-8"))["cases"]
LANGUAGES = ("en", "es", "de", "ar", "hi", "vi", "zh")
ARTICLES = {
    "en": "a an the",
    "es": "un una unos unas el la los las",
    "de": "ein eine einen einem eines einer der die das den dem des",
    "vi": "của là cái chiếc những",
    "hi": "",
}


@pytest.fixture(params=CASES, ids=[f"{case['lang']}-{case['pred']}" for case in CASES])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def question(*answers: str) -> QuestionExample:
    return QuestionExample("0", "q", "context", tuple(Answer(text, 0) for text in answers))


def test_prediction_is_normalised_as_officially(case) -> None:
    assert normalise(case["pred"], case["lang"]) == case["norm_pred"]


def test_reference_is_normalised_as_officially(case) -> None:
    assert normalise(case["gold"], case["lang"]) == case["norm_gold"]


def test_counts_are_the_official_ones(case) -> None:
    counts = Mlqa().counts([question(case["gold"])], [case["pred"]], case["lang"])
    assert counts[0].tolist() == pytest.approx([float(case["em"]), case["f1"], 1], abs=1e-12)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("«5 000$ + 10^2»", "en", "5 000 102"),
        ("Die Straße — des Königs", "de", "straße königs"),
        ("El lago, los ríos y LA mar", "es", "lago ríos y mar"),
        ("Những cái cây", "vi", "cây"),
        ("القاهرة والبصرة", "ar", "قاهرة و بصرة"),
        ("यह है।", "hi", "यह है"),
        ("the 1997年《abc》香港 x", "zh", "the 1997 年 abc 香 港 x"),
        ("龥龦", "zh", "龥 龦"),
        ("のが東", "zh", "のが 東"),
        ("", "en", ""),
    ],
    ids=["symbols", "de", "es", "vi", "ar-inside-words", "hi", "zh-mixed", "zh-last-letter", "kana-run", "empty"],
)
def test_normalisation_follows_the_language(text: str, language: str, expected: str) -> None:
    assert normalise(text, language) == expected


def straightforward(text: str, language: str) -> str:
    """The rule of the specification, one character and one token at a time."""
    kept = "".join(
        letter
        for letter in text.lower()
        if letter not in string.punctuation and not unicodedata.category(letter).startswith("P")
    )
    if language == "ar":
        kept = kept.replace("ال", " ")
    elif language in ARTICLES:
        # Words and what stands between them, so that an article must be a whole word.
        parts = re.split(r"(\W+)", kept)
        kept = "".join(" " if part in ARTICLES[language].split() else part for part in parts)
    else:
        kept = "".join(f" {letter} " if "一" <= letter <= "龥" else letter for letter in kept)
    return " ".join(kept.split())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("seed", range(6))
def test_normalisation_of_random_text_is_that_of_the_rule(seed: int, language: str) -> None:
    rng = random.Random(seed)
    words = "the a el das của là ال كتاب يا香 港 1997年 в。 $5 don't “x” — Élan \u00a0 \u200b ß".split(" ")
    text = "".join(rng.choice(words) + rng.choice(["", " ", "-"]) for _ in range(12))
    assert normalise(text, language) == straightforward(text, language)


def test_best_reference_counts() -> None:
    assert Mlqa().counts([question("rojo", "la casa azul")], ["casa azul"], "es").tolist() == [[1, 1, 1]]


def test_question_without_an_answer_scores_nothing() -> None:
    assert Mlqa().counts([question("el")], [None], "es").tolist() == [[0, 0, 1]]


def test_same_answer_counts_differently_by_language() -> None:
    pair = [question("la casa")], ["casa"]
    assert [Mlqa().counts(*pair, code)[0, 0] for code in ("es", "en")] == [1, 0]


@pytest.mark.parametrize("answers", [["rot"], [None]], ids=["answered", "unanswered"])
def test_unknown_language_is_refused(answers) -> None:
    with pytest.raises(DataError, match="no rule for answers in 'fr'; its languages are en es de vi ar hi zh"):
        Mlqa().counts([question("rot")], answers, "fr")


def test_scores_are_means_over_questions_in_percent() -> None:
    counts = Mlqa().counts([question("香港岛"), question("red")], ["香港", "red"], "zh")
    assert Mlqa().scores(counts.sum(axis=0)) == pytest.approx({"exact_match": 50.0, "f1": 100 * (0.8 + 1) / 2})
