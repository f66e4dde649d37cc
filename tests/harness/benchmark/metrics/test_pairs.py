import json
import random
from pathlib import Path

import pytest

from harness.benchmark.metrics.pairs import PairF1
from harness.core.examples import SentenceExample

CASES = json.loads((Path(__file__).parents[3] / "golden/metrics/bucc_f1.json").read_text(encoding="utf-8"))["cases"]


def score(gold: set[tuple[str, str]], predicted: set[tuple[str, str]]) -> dict[str, float]:
    sources = sorted({source for source, _ in gold | predicted})
    examples = [
        SentenceExample(name, "text", "query", frozenset(target for source, target in gold if source == name))
        for name in sources
    ]
    predictions = [tuple(target for source, target in predicted if source == name) for name in sources]
    return PairF1().scores(PairF1().counts(examples, predictions, "de").sum(axis=0))


def pairs(lines: list[str]) -> set[tuple[str, str]]:
    return {(line.split("\t")[0], line.split("\t")[1]) for line in lines}


@pytest.mark.parametrize("case", CASES)
def test_scores_are_the_official_ones(case) -> None:
    assert score(pairs(case["labels"]), pairs(case["pred"])) == pytest.approx(case["out"], abs=1e-10)


@pytest.mark.parametrize("seed", range(10))
def test_scores_of_random_pairs_are_those_of_sets(seed: int) -> None:
    rng = random.Random(seed)
    gold, predicted = ({(rng.choice("abcdef"), rng.choice("uvwxyz")) for _ in range(6)} for _ in range(2))
    common = len(gold & predicted)
    assert score(gold, predicted) == pytest.approx(
        {
            "f1": 100 * 2 * common / (len(gold) + len(predicted)),
            "precision": 100 * common / len(predicted),
            "recall": 100 * common / len(gold),
        },
        abs=1e-10,
    )


@pytest.mark.parametrize("predicted", [set(), {("a", "y")}], ids=["nothing-mined", "no-hit"])
def test_without_a_hit_everything_is_zero(predicted) -> None:
    assert score({("a", "x")}, predicted) == {"f1": 0.0, "precision": 0.0, "recall": 0.0}


def test_repeated_target_counts_once() -> None:
    example = SentenceExample("a", "text", "query", frozenset({"x"}))
    assert PairF1().counts([example], [("x", "x", "y")], "de").tolist() == [[1, 2, 1]]


def test_candidates_and_tuning_queries_count_nothing() -> None:
    examples = [
        SentenceExample("x", "text", "candidate"),
        SentenceExample("a", "text", "query", frozenset({"x"}), tuning=True),
        SentenceExample("b", "text", "query", frozenset({"x"})),
    ]
    assert PairF1().counts(examples, [("x",)] * 3, "de").tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]
