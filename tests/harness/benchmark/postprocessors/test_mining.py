import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.benchmark.postprocessors import mining
from harness.benchmark.postprocessors.mining import Mined, MinedPairs, choose_threshold, margin_scores, mine
from harness.benchmark.postprocessors.neighbours import Neighbours, search_both
from harness.core.errors import EndpointError
from harness.core.examples import SentenceExample
from harness.core.features import Feature

CASES = json.loads((Path(__file__).parents[3] / "golden/metrics/mining.json").read_text(encoding="utf-8"))["cases"]

# Margin


def test_margins_are_those_of_the_original() -> None:
    case = CASES["ratio_margin"]
    x, y = (np.array(case[name], dtype=np.float32) for name in "xy")
    forward, backward = search_both(x, y, case["k"])
    for found, scores, way in zip((forward, backward), margin_scores(forward, backward), ("fwd", "bwd"), strict=True):
        best = scores.argmax(axis=1)
        assert found.indices[np.arange(5), best].tolist() == case[f"{way}_best"]
        np.testing.assert_allclose(scores.max(axis=1), case[f"{way}_max"], rtol=1e-5)


def neighbours(indices: Sequence[Sequence[int]], products: Sequence[Sequence[float]]) -> Neighbours:
    return Neighbours(np.array(indices), np.array(products, dtype=np.float32))


def test_margin_is_the_product_over_the_mean_of_both_means() -> None:
    forward = neighbours([[0, 1]], [[0.9, 0.3]])
    backward = neighbours([[0], [0]], [[0.9], [0.3]])
    scores, other = margin_scores(forward, backward)
    np.testing.assert_allclose(scores, [[0.9 / 0.75, 0.3 / 0.45]], rtol=1e-6)
    np.testing.assert_allclose(other, [[0.9 / 0.75], [0.3 / 0.45]], rtol=1e-6)


def test_margin_without_a_mean_is_0() -> None:
    nothing = neighbours([[0]], [[0.0]])
    assert margin_scores(nothing, nothing)[0].tolist() == [[0.0]]


# Mining


def mined(forward: Neighbours, backward: Neighbours) -> list[tuple[int, int, float]]:
    """Mine with the products as scores."""
    found = mine(forward, backward, (forward.products, backward.products))
    return list(zip(*(part.tolist() for part in found), strict=True))


def test_each_side_is_used_once_and_the_better_pair_wins() -> None:
    # both sources want target 0; source 0 goes without, since target 1 wants source 1 as well
    forward = neighbours([[0], [0]], [[0.5], [0.75]])
    backward = neighbours([[1], [1]], [[0.75], [0.25]])
    assert mined(forward, backward) == [(1, 0, 0.75)]


def test_second_choice_is_not_mined() -> None:
    # source 1 would be content with target 1, but only the best of each side is proposed
    forward = neighbours([[0, 1], [0, 1]], [[0.75, 0.25], [0.5, 0.25]])
    backward = neighbours([[0], [0]], [[0.75], [0.25]])
    assert mined(forward, backward) == [(0, 0, 0.75)]


def test_what_a_target_proposes_is_mined_too() -> None:
    forward = neighbours([[0], [0]], [[0.75], [0.5]])
    backward = neighbours([[0], [1]], [[0.75], [0.25]])
    assert mined(forward, backward) == [(0, 0, 0.75), (1, 1, 0.25)]


def test_pairs_come_by_descending_score() -> None:
    found = neighbours([[0], [1], [2]], [[0.25], [0.75], [0.5]])
    assert [score for _, _, score in mined(found, found)] == [0.75, 0.5, 0.25]


def test_best_score_of_the_neighbours_counts_not_the_nearest() -> None:
    forward = neighbours([[1, 0]], [[0.5, 0.25]])
    backward = neighbours([[0], [0]], [[0.5], [0.5]])
    found = mine(forward, backward, (np.array([[1.0, 2.0]], np.float32), np.array([[2.0], [1.0]], np.float32)))
    assert (found.sources.tolist(), found.targets.tolist()) == ([0], [0])


@pytest.mark.parametrize("score", [0.0, -0.5])
def test_score_must_be_above_0(score: float) -> None:
    found = neighbours([[0], [1]], [[0.5], [score]])
    assert mined(found, found) == [(0, 0, 0.5)]


def test_equal_scores_go_to_the_first_source() -> None:
    forward = neighbours([[0], [0], [0]], [[0.5]] * 3)
    backward = neighbours([[2]], [[0.5]])
    assert mined(forward, backward) == [(0, 0, 0.5)]


def test_equal_scores_go_to_the_first_target_among_targets() -> None:
    forward = neighbours([[2]], [[0.25]])
    backward = neighbours([[0], [0], [0]], [[0.5], [0.5], [0.25]])
    assert mined(forward, backward) == [(0, 0, 0.5)]


# Threshold


def threshold(scores: Sequence[float], hits: Sequence[bool], gold: int) -> float:
    return choose_threshold(np.array(scores, dtype=np.float64), np.array(hits, dtype=bool), gold)


def plain_threshold(scores: Sequence[float], hits: Sequence[bool], gold: int) -> float:
    """The definition, one prefix at a time."""
    order = sorted(range(len(scores)), key=lambda position: -scores[position])
    best, chosen, correct = 0.0, 0.0, 0
    for rank, position in enumerate(order, start=1):
        correct += hits[position]
        if correct:
            precision, recall = correct / rank, correct / gold
            f1 = 2 * precision * recall / (precision + recall)
            if f1 > best:
                best = f1
                following = scores[order[min(rank, len(order) - 1)]]
                chosen = (scores[position] + following) / 2
    return chosen


def test_threshold_is_that_of_the_original() -> None:
    case = CASES["bucc_optimize"]
    hits = [pair in case["gold"] for pair in case["cands"]]
    found = threshold(list(case["cands"].values()), hits, len(case["gold"]))
    assert found == pytest.approx(case["threshold"])
    assert [pair for pair, score in case["cands"].items() if score >= found] == case["extracted"]


def test_threshold_is_the_last_score_where_all_pairs_are_best() -> None:
    assert CASES["bucc_optimize_last_candidate_best"] == "IndexError"
    assert threshold([1.5, 1.25, 1.0], [True, True, True], 3) == 1.0


def test_threshold_without_a_hit_is_that_of_the_original() -> None:
    assert threshold([1.5, 1.25], [False, False], 3) == CASES["bucc_optimize_no_hit_threshold"] == 0


def test_threshold_without_pairs_is_0() -> None:
    assert threshold([], [], 3) == 0


def test_first_of_equally_good_prefixes_counts() -> None:
    # F1 is 1/2 after the first pair and again after the fifth
    assert threshold([1.75, 1.5, 1.375, 1.25, 1.125, 1.0], [True, False, False, False, True, False], 3) == 1.625


def test_equal_scores_keep_their_order() -> None:
    assert threshold([1.0, 1.0, 0.5], [True, False, False], 1) == 1.0
    assert threshold([1.0, 1.0, 0.5], [False, True, False], 1) == 0.75


def test_pairs_need_not_come_in_order() -> None:
    assert threshold([1.0, 1.5, 1.25], [False, True, True], 2) == threshold([1.5, 1.25, 1.0], [True, True, False], 2)


@pytest.mark.parametrize("seed", range(40))
def test_threshold_is_that_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = int(rng.integers(1, 60))
    scores = rng.integers(1, 30, pairs) / 16 if seed % 2 else rng.random(pairs)
    hits = rng.random(pairs) < rng.random()
    gold = int(hits.sum() + rng.integers(0, 20)) or 1
    assert choose_threshold(scores, hits, gold) == plain_threshold(scores.tolist(), hits.tolist(), gold)


# From examples to pairs


def sentence(name: str, vector: Sequence[float], *gold: str, text: str = "", tuning: bool = False):
    side = "query" if name.startswith("q") else "candidate"
    return SentenceExample(name, text or f"{name} {tuning}", side, frozenset(gold), tuning), vector


def predict(*sentences: tuple[SentenceExample, Sequence[float]], neighbours: int = 4) -> dict[str, tuple[str, ...]]:
    """Return the predictions of the examples that are scored, and check that the others have none."""
    examples = [example for example, _ in sentences]
    outputs = [{"embedding": np.array(vector, dtype=np.float32)} for _, vector in sentences]
    features = [Feature(number, np.array([0, 2])) for number in range(len(examples))]
    found = MinedPairs(neighbours)(examples, features, outputs)
    rest = [each for example, each in zip(examples, found, strict=True) if example.side != "query" or example.tuning]
    assert rest == [()] * len(rest)
    return {
        example.id: each
        for example, each in zip(examples, found, strict=True)
        if example.side == "query" and not example.tuning
    }


ONE, TWO, THREE = (1, 0, 0), (0, 1, 0), (0, 0, 1)


def towards(one: float, two: float, three: float = 0) -> tuple[float, float, float]:
    return (one, two, three)


def test_queries_find_their_translations() -> None:
    pairs = predict(
        sentence("c1", ONE), sentence("c2", TWO), sentence("q1", towards(1, 0.1), "c1"), sentence("q2", TWO, "c2")
    )
    assert pairs == {"q1": ("c1",), "q2": ("c2",)}


def test_length_of_a_vector_does_not_matter() -> None:
    sentences = [("c1", ONE), ("c2", towards(1, 1)), ("q1", towards(0.9, 0.2)), ("q2", towards(0.3, 0.7))]
    scales = (1, 1000, 0.001, 7)
    longer = [
        sentence(name, [scale * value for value in vector], name.replace("q", "c"))
        for (name, vector), scale in zip(sentences, scales, strict=True)
    ]
    expected = predict(*(sentence(name, vector, name.replace("q", "c")) for name, vector in sentences))
    assert predict(*longer) == expected == {"q1": ("c1",), "q2": ("c2",)}


#: Scored pairs: q1 with c1 is closer than q2 with c2.
SCORED = (
    sentence("c1", ONE),
    sentence("c2", TWO),
    sentence("q1", towards(1, 0.05), "c1"),
    sentence("q2", towards(0.5, 0.8), "c2"),
)


def test_without_tuning_the_gold_of_the_scored_pairs_chooses_the_threshold() -> None:
    assert predict(*SCORED) == {"q1": ("c1",), "q2": ("c2",)}
    wrong = [*SCORED[:3], sentence("q2", towards(0.5, 0.8), "c1")]
    assert predict(*wrong) == {"q1": ("c1",), "q2": ()}


def tuning(*gold: str) -> list[tuple[SentenceExample, Sequence[float]]]:
    """The scored pairs once more, there for tuning, the gold of q1 and q2 given."""
    return [
        sentence(
            example.id, vector, *(gold[int(example.id[1]) - 1 :][:1] if example.side == "query" else ()), tuning=True
        )
        for example, vector in SCORED
    ]


def test_tuning_examples_choose_the_threshold() -> None:
    assert predict(*tuning("c1", "c2"), *SCORED) == {"q1": ("c1",), "q2": ("c2",)}
    assert predict(*tuning("c1", "c1"), *SCORED) == {"q1": ("c1",), "q2": ()}


def test_gold_of_scored_examples_does_not_move_a_tuned_threshold() -> None:
    without = [(SentenceExample(example.id, example.text, example.side), vector) for example, vector in SCORED]
    assert predict(*tuning("c1", "c1"), *without) == predict(*tuning("c1", "c1"), *SCORED)


def test_gold_pairs_of_the_tuning_part_are_those_that_count(monkeypatch) -> None:
    counted = []

    def choose(scores: np.ndarray, hits: np.ndarray, gold: int) -> float:
        counted.append((hits.tolist(), gold))
        return choose_threshold(scores, hits, gold)

    monkeypatch.setattr(mining, "choose_threshold", choose)
    unfound = sentence("q3", THREE, "c7", "c8", "c9", tuning=True)
    predict(*tuning("c1", "c1"), unfound, *SCORED)
    predict(*SCORED)
    assert [(sum(hits), gold) for hits, gold in counted] == [(1, 5), (2, 2)]


def test_tuning_examples_are_no_candidates_of_scored_ones() -> None:
    # the tuning part holds a far better translation of q2
    better = [*tuning("c1", "c2"), sentence("c3", towards(0.5, 0.8), tuning=True)]
    assert predict(*better, *SCORED)["q2"] == ("c2",)


def test_tuning_examples_without_a_hit_keep_every_pair() -> None:
    assert predict(*tuning("c9", "c9"), *SCORED) == {"q1": ("c1",), "q2": ("c2",)}


def test_sentence_that_occurs_twice_is_in_no_pair() -> None:
    twice = [sentence("c3", ONE, text="same"), sentence("c4", ONE, text="same"), sentence("q3", ONE, "c3")]
    assert predict(sentence("c2", TWO), sentence("q2", TWO, "c2"), *twice) == {"q2": ("c2",), "q3": ()}


def test_queries_of_the_same_sentence_are_in_no_pair() -> None:
    twice = [sentence("q3", ONE, "c1", text="same"), sentence("q4", ONE, "c1", text="same"), sentence("c1", ONE)]
    assert predict(sentence("c2", TWO), sentence("q2", TWO, "c2"), *twice) == {"q2": ("c2",), "q3": (), "q4": ()}


def test_sentence_may_occur_once_on_each_side() -> None:
    assert predict(sentence("c1", ONE, text="same"), sentence("q1", ONE, "c1", text="same")) == {"q1": ("c1",)}


def test_sentence_may_occur_in_both_parts() -> None:
    again = [sentence(example.id, vector, text=example.text, tuning=True) for example, vector in SCORED]
    assert predict(*again, *SCORED) == {"q1": ("c1",), "q2": ("c2",)}


def test_last_vector_of_a_sentence_counts() -> None:
    # where it is that of c2, the copies take c2 away, and c1 is left over for q2
    copies = [sentence("q3", TWO, text="same"), sentence("q4", ONE, text="same")]
    sentences = [sentence("c1", ONE), sentence("c2", TWO), sentence("q2", towards(0.3, 0.9), "c2")]
    assert predict(*sentences, *copies)["q2"] == ("c2",)
    assert predict(*sentences, *copies[::-1])["q2"] == ("c1",)


def test_white_space_around_a_sentence_hides_no_copy() -> None:
    twice = [sentence("c3", ONE, text="same"), sentence("c4", THREE, text="same ")]
    queries = [sentence("q2", TWO, "c2"), sentence("q3", ONE, "c3"), sentence("q4", THREE, "c4")]
    assert predict(sentence("c2", TWO), *twice, *queries) == {"q2": ("c2",), "q3": (), "q4": ()}


def test_part_without_candidates_has_no_pairs() -> None:
    assert predict(sentence("q1", ONE, "c1")) == {"q1": ()}


def test_part_without_queries_has_no_pairs() -> None:
    assert predict(sentence("c1", ONE)) == {}


def test_number_of_neighbours_is_what_the_means_are_taken_over() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal((20, 4)) for _ in range(2))
    sentences = [sentence(f"c{number}", vector) for number, vector in enumerate(first)]
    sentences += [sentence(f"q{number}", vector) for number, vector in enumerate(second)]
    found = predict(*sentences, neighbours=2)

    def unit(vectors: np.ndarray) -> np.ndarray:
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    forward, backward = search_both(unit(second), unit(first), 2)
    expected: Mined = mine(forward, backward, margin_scores(forward, backward))
    pairs = {f"q{source}": (f"c{target}",) for source, target in zip(expected.sources, expected.targets, strict=True)}
    assert {name: row for name, row in found.items() if row} == pairs


@pytest.mark.parametrize("side", ["query", "candidate"])
def test_faults_nan_mining_names_the_sentence(side: str) -> None:
    """faults.md, NaN: mining refused it before, by a number that nobody can look up."""
    examples = [SentenceExample(f"{name[0]}-{place}", f"{name} {place}", name) for name in ("query", "candidate")
                for place in range(4)]  # type: ignore[arg-type]  # fmt: skip
    outputs = [{"embedding": row} for row in np.eye(8, dtype=np.float32)]
    outputs[2 + 4 * (side == "candidate")]["embedding"][1] = np.nan
    features = [Feature(number, np.array([0, 2])) for number in range(8)]
    with pytest.raises(EndpointError, match=f"NaN or infinity in the vector of {side} '{side[0]}-2';"):
        MinedPairs()(examples, features, outputs)
