import numpy as np
import pytest

from harness.examples import SentenceExample
from harness.features import Feature
from harness.postprocessors.neighbours import TIE, Nearest, search


def unit(seed: int, count: int, width: int = 64) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(candidates: np.ndarray, queries: np.ndarray, count: int = 1) -> list[tuple[str, ...]]:
    examples = [SentenceExample(f"c{number}", "", "candidate") for number in range(len(candidates))]
    examples += [SentenceExample(f"q{number}", "", "query") for number in range(len(queries))]
    features = [Feature(number, np.array([0, 2])) for number in range(len(examples))]
    outputs = [{"embedding": vector} for vector in [*candidates, *queries]]
    return list(Nearest(count)(examples, features, outputs))[len(candidates) :]


@pytest.mark.parametrize("seed", range(5))
def test_nearest_is_the_highest_cosine_of_all(seed: int) -> None:
    candidates, queries = unit(seed, 200), unit(seed + 100, 20)
    assert search(queries, candidates, 1)[0][:, 0].tolist() == (queries @ candidates.T).argmax(axis=1).tolist()


def test_neighbours_come_best_first() -> None:
    candidates = np.array([[0, 1], [1, 0], [0.6, 0.8]], dtype=np.float32)
    assert nearest(candidates, np.array([[1, 0]], dtype=np.float32), 3) == [("c1", "c2", "c0")]


@pytest.mark.parametrize("copies", [2, 9, 40])
def test_equal_candidates_go_to_the_lowest_index(copies: int) -> None:
    one, others = unit(0, 1), unit(1, 5)
    assert nearest(np.concatenate([others, np.repeat(one, copies, axis=0)]), one) == [("c5",)]


def test_products_closer_than_the_tie_count_as_equal() -> None:
    candidates = np.array([[0.5000004, 0], [0.5000006, 0]], dtype=np.float32)
    assert candidates[1, 0] - candidates[0, 0] < TIE
    assert nearest(candidates, np.array([[1, 0]], dtype=np.float32)) == [("c0",)]


def test_candidates_own_prediction_is_empty() -> None:
    examples = [SentenceExample("c0", "", "candidate"), SentenceExample("q0", "", "query")]
    features = [Feature(0, np.array([0, 2])), Feature(1, np.array([0, 2]))]
    assert Nearest()(examples, features, [{"embedding": vector} for vector in unit(0, 2)]) == [(), ("c0",)]


def test_fewer_candidates_than_asked_for_give_all_of_them() -> None:
    assert len(nearest(unit(0, 3), unit(1, 1), 20)[0]) == 3


def test_queries_may_stand_before_the_candidates() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32)
    sides = ("query", "candidate", "candidate")
    examples = [SentenceExample(str(number), "", side) for number, side in enumerate(sides)]
    features = [Feature(number, np.array([0, 2])) for number in range(3)]
    assert Nearest()(examples, features, [{"embedding": vector} for vector in vectors])[0] == ("2",)
