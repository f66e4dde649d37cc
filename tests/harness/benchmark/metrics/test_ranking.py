import json
import random
from fractions import Fraction
from pathlib import Path

import pytest

from harness.benchmark.metrics.ranking import AveragePrecision, average_precision
from harness.core.examples import SentenceExample

GOLDEN = Path(__file__).parents[3] / "golden/metrics"
CASES = json.loads((GOLDEN / "average_precision.json").read_text(encoding="utf-8"))["cases"]
MEWSLIX = json.loads((GOLDEN / "mewslix.json").read_text(encoding="utf-8"))["cases"]


def query(*gold: str, tuning: bool = False) -> SentenceExample:
    return SentenceExample("q", "text", "query", frozenset(gold), tuning)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['targets'])}-of-{len(case['ranked'])}")
def test_average_precision_is_the_official_one(case) -> None:
    counts = AveragePrecision(case["k"]).counts([query(*case["targets"])], [tuple(case["ranked"])], "en")
    assert counts[0].tolist() == pytest.approx([case["ap"], 1], abs=1e-12)


@pytest.mark.parametrize("case", MEWSLIX)
def test_mean_over_single_gold_ids_is_the_official_reciprocal_rank(case) -> None:
    examples = [query(*gold) for gold in case["gold"].values()]
    rankings = [tuple(case["pred"].get(name, ())) for name in case["gold"]]
    totals = AveragePrecision().counts(examples, rankings, "en").sum(axis=0)
    assert AveragePrecision().scores(totals) == pytest.approx({"map@20": 100 * case["score"]}, abs=1e-10)


@pytest.mark.parametrize("rank", [1, 2, 20, 21])
def test_one_gold_id_scores_its_reciprocal_rank(rank: int) -> None:
    ranking = [f"x{place}" for place in range(1, 30)]
    ranking[rank - 1] = "gold"
    assert average_precision(frozenset({"gold"}), ranking, 20) == (1 / rank if rank <= 20 else 0)


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_of_random_rankings_is_that_of_the_formula(seed: int) -> None:
    rng = random.Random(seed)
    gold = frozenset(rng.sample("abcdefghij", rng.randint(1, 6)))
    ranking = rng.choices("abcdefghijklmno", k=rng.randint(0, 12))
    depth = rng.randint(1, 8)
    total = Fraction(0)
    for rank in range(1, min(depth, len(ranking)) + 1):
        if ranking[rank - 1] in gold - set(ranking[: rank - 1]):
            total += Fraction(len(gold & set(ranking[:rank])), rank)
    assert average_precision(gold, ranking, depth) == pytest.approx(float(total / min(len(gold), depth)), abs=1e-12)


def test_candidates_and_tuning_queries_count_nothing() -> None:
    examples = [SentenceExample("c", "text", "candidate"), query("a", tuning=True), query("a")]
    assert AveragePrecision().counts(examples, [("a",)] * 3, "en").tolist() == [[0, 0], [0, 0], [1, 1]]


def test_query_without_candidates_scores_zero() -> None:
    assert AveragePrecision().counts([query("a")], [()], "en").tolist() == [[0, 1]]


def test_score_is_named_by_its_depth() -> None:
    totals = AveragePrecision(5).counts([query("a"), query("b")], [("a",), ("a", "b")], "en").sum(axis=0)
    assert AveragePrecision(5).scores(totals) == {"map@5": 75.0}


def test_one_ranking_for_each_example_is_needed() -> None:
    with pytest.raises(ValueError, match="argument"):
        AveragePrecision().counts([query("a")], [], "en")
