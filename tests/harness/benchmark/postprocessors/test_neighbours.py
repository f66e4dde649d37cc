import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from harness.benchmark.postprocessors import neighbours
from harness.benchmark.postprocessors.neighbours import (
    TIE,
    Nearest,
    Prefer,
    check_finite,
    normalise,
    search,
    search_blocks,
    search_both,
)
from harness.core.errors import EndpointError
from harness.core.examples import SentenceExample
from harness.core.features import Feature

PREFERENCES: tuple[Prefer, ...] = ("lowest", "highest")


def unit(seed: int, count: int, width: int = 64) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def coarse(seed: int, count: int, width: int = 4) -> np.ndarray:
    """Vectors of a few whole numbers: their products are exact, and very many are equal."""
    return np.random.default_rng(seed).integers(-1, 2, (count, width)).astype(np.float32)


def by_definition(queries: np.ndarray, candidates: np.ndarray, count: int, prefer: Prefer) -> list[list[int]]:
    """The neighbours of each query, from all products and one query at a time."""
    found = []
    for row in queries @ candidates.T:
        ties: list[list[int]] = []
        opening = np.float32(np.inf)
        for index in np.argsort(-row, kind="stable").tolist():
            if not ties or row[index] < opening - np.float32(TIE):
                ties.append([])
                opening = row[index]
            ties[-1].append(index)
        found.append([index for tie in ties for index in sorted(tie, reverse=prefer == "highest")][:count])
    return found


def nearest(
    candidates: np.ndarray, queries: np.ndarray, count: int = 1, prefer: Prefer = "lowest"
) -> list[tuple[str, ...]]:
    examples = [SentenceExample(f"c{number}", "", "candidate") for number in range(len(candidates))]
    examples += [SentenceExample(f"q{number}", "", "query") for number in range(len(queries))]
    features = [Feature(number, np.array([0, 2])) for number in range(len(examples))]
    outputs = [{"embedding": vector} for vector in [*candidates, *queries]]
    return list(Nearest(count, prefer)(examples, features, outputs))[len(candidates) :]


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


@pytest.mark.parametrize("copies", [2, 9, 40])
def test_equal_candidates_go_to_the_highest_index_where_it_is_preferred(copies: int) -> None:
    one, others = unit(0, 1), unit(1, 5)
    candidates = np.concatenate([others, np.repeat(one, copies, axis=0), others])
    assert nearest(candidates, one, prefer="highest") == [(f"c{copies + 4}",)]


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


def test_queries_without_candidates_find_nothing() -> None:
    assert nearest(unit(0, 0), unit(1, 2)) == [(), ()]


def test_candidates_without_queries_are_not_searched() -> None:
    assert nearest(unit(0, 2), unit(1, 0)) == []


def test_pool_is_searched_by_its_ids_over_its_blocks() -> None:
    queries, candidates = unit(0, 3), unit(1, 10)
    blocks = [(tuple("abcd"), candidates[:4]), (tuple("efghij"), candidates[4:])]
    expected = [tuple("abcdefghij"[index] for index in row) for row in search(queries, candidates, 2).indices]
    assert Nearest(2).among(queries, blocks) == expected


# Search


@pytest.mark.parametrize("prefer", PREFERENCES)
@pytest.mark.parametrize("count", [1, 3, 20])
@pytest.mark.parametrize("vectors", [unit, coarse])
def test_neighbours_are_those_of_the_definition(vectors, count: int, prefer: Prefer) -> None:
    queries, candidates = vectors(0, 30), vectors(1, 400)
    found = search(queries, candidates, count, prefer)
    assert found.indices.tolist() == by_definition(queries, candidates, count, prefer)


def test_products_are_those_of_the_neighbours() -> None:
    queries, candidates = unit(0, 30), unit(1, 400)
    found = search(queries, candidates, 5)
    expected = np.take_along_axis(queries @ candidates.T, found.indices, axis=1)
    np.testing.assert_allclose(found.products, expected, atol=TIE)


def line(*products: float) -> np.ndarray:
    """Candidates whose products with (1, 0) are these."""
    return np.array([[product, 0] for product in products], dtype=np.float32)


AXIS = np.array([[1, 0]], dtype=np.float32)


def test_tie_reaches_as_far_below_its_best_product_and_no_farther() -> None:
    # each is within a tie of the one before, the last is not within a tie of the best
    candidates = line(0.5 - 1.6 * TIE, 0.5 - 0.8 * TIE, 0.5)
    assert search(AXIS, candidates, 3).indices.tolist() == [[1, 2, 0]]


@pytest.mark.parametrize(("prefer", "expected"), [("lowest", [100, 101, 102]), ("highest", [299, 298, 297])])
def test_tie_that_goes_on_beyond_what_was_fetched_is_ordered_as_a_whole(prefer: Prefer, expected: list[int]) -> None:
    candidates = np.concatenate([line(0.1).repeat(100, axis=0), line(0.9).repeat(200, axis=0)])
    assert search(AXIS, candidates, 3, prefer).indices.tolist() == [expected]


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_long_tie_of_products_that_differ_is_ordered_as_a_whole(prefer: Prefer) -> None:
    # nine float32 values within a tie, each of them many times
    steps = np.random.default_rng(0).integers(0, 9, 500) * 2.0**-23
    candidates = line(*(0.9 - steps), 0.95, 0.2)
    queries = np.repeat(AXIS, 30, axis=0)
    expected = by_definition(AXIS, candidates, 5, prefer) * 30
    assert search(queries, candidates, 5, prefer).indices.tolist() == expected


@pytest.mark.parametrize("prefer", PREFERENCES)
@pytest.mark.parametrize("vectors", [unit, coarse])
@pytest.mark.parametrize("length", [1, 7, 100, 1000])
def test_blocks_give_what_their_concatenation_gives(vectors, length: int, prefer: Prefer) -> None:
    queries, candidates = vectors(0, 30), vectors(1, 300)
    blocks = (candidates[start : start + length] for start in range(0, 300, length))
    found = search_blocks(queries, blocks, 5, prefer)
    assert found.indices.tolist() == search(queries, candidates, 5, prefer).indices.tolist()


def test_block_without_candidates_changes_nothing() -> None:
    queries, candidates = unit(0, 3), unit(1, 6)
    found = search_blocks(queries, [candidates[:2], candidates[:0], candidates[2:]], 4)
    assert found.indices.tolist() == search(queries, candidates, 4).indices.tolist()


def test_better_candidates_in_each_block_replace_those_before() -> None:
    products = np.linspace(0.1, 0.9, 200)
    found = search_blocks(AXIS, (line(*products[start : start + 20]) for start in range(0, 200, 20)), 3)
    assert found.indices.tolist() == [[199, 198, 197]]


def test_a_block_is_let_go_before_the_next_one_is_made() -> None:
    def blocks() -> Iterator[np.ndarray]:
        before: weakref.ref[np.ndarray] | None = None
        for number in range(4):
            assert before is None or before() is None
            block = unit(number, 50)
            before = weakref.ref(block)
            # handed over without a name of its own here
            holder = [block]
            del block
            yield holder.pop()

    assert search_blocks(unit(9, 5), blocks(), 3).indices.shape == (5, 3)


@pytest.mark.parametrize("vectors", [unit, coarse])
@pytest.mark.parametrize("sizes", [(90, 150), (150, 90), (64, 64), (1, 200), (200, 1), (3, 3)])
def test_both_ways_are_those_of_two_searches(vectors, sizes: tuple[int, int], monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "_ROWS", 32)
    monkeypatch.setattr(neighbours, "_COLUMNS", 64)
    first, second = vectors(0, sizes[0]), vectors(1, sizes[1])
    forward, backward = search_both(first, second, 4)
    assert forward.indices.tolist() == search(first, second, 4).indices.tolist()
    assert backward.indices.tolist() == search(second, first, 4).indices.tolist()


@pytest.mark.parametrize("rising", [False, True], ids=["falling", "rising"])
def test_both_ways_are_right_where_candidates_come_in_order(rising: bool, monkeypatch) -> None:
    # every block of rising products is better than all before, so no bar holds anything off
    monkeypatch.setattr(neighbours, "_ROWS", 64)
    monkeypatch.setattr(neighbours, "_COLUMNS", 64)
    angles = np.linspace(0, np.pi / 2, 300)[:: -1 if rising else 1]
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    forward, backward = search_both(vectors, vectors, 4)
    expected = by_definition(vectors, vectors, 4, "lowest")
    assert forward.indices.tolist() == expected
    assert backward.indices.tolist() == expected


def test_both_ways_at_the_blocks_own_size() -> None:
    first, second = unit(0, 1100, 8), unit(1, 4200, 8)
    forward, backward = search_both(first, second, 4)
    np.testing.assert_allclose(forward.products, search(first, second, 4).products, atol=TIE)
    np.testing.assert_allclose(backward.products, search(second, first, 4).products, atol=TIE)
    assert (forward.indices == search(first, second, 4).indices).all()
    assert (backward.indices == search(second, first, 4).indices).all()


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_most_of_a_long_tie_is_not_even_sorted(prefer: Prefer, monkeypatch) -> None:
    # a network that gives every sentence the same vector must not make a search take hours
    sorted_entries = count_entries(monkeypatch)
    one = np.repeat(unit(0, 1), 600, axis=0)
    assert search(one, one, 4, prefer).indices[0].tolist() == (
        [0, 1, 2, 3] if prefer == "lowest" else [599, 598, 597, 596]
    )
    assert sum(sorted_entries) < 600 * 600 / 4


def test_most_of_a_long_tie_is_not_even_sorted_both_ways(monkeypatch) -> None:
    sorted_entries = count_entries(monkeypatch)
    one = np.repeat(unit(0, 1), 600, axis=0)
    forward, backward = search_both(one, one, 4)
    assert (forward.indices == [0, 1, 2, 3]).all()
    assert (backward.indices == [0, 1, 2, 3]).all()
    assert sum(sorted_entries) < 2 * 600 * 600 / 4


def count_entries(monkeypatch) -> list[int]:
    """Return a list that grows by the number of products that each call sorts."""
    counts: list[int] = []
    add = neighbours._Best.add

    def counting(self, entries, query: int = 0, candidate: int = 0) -> None:
        counts.append(len(entries.products))
        add(self, entries, query, candidate)

    monkeypatch.setattr(neighbours._Best, "add", counting)
    return counts


@pytest.mark.parametrize("count", [0, -1])
def test_count_below_one_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1, got {count}"):
        search(unit(0, 1), unit(1, 2), count)


@pytest.mark.parametrize("find", [search, search_both])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_faults_nan_in_a_query_or_a_candidate_is_refused(find, value: float) -> None:
    """faults.md, NaN: 2 of 1,000 candidates were passed over, and the score was 99.8 % without a word."""
    queries, candidates = unit(0, 3), unit(1, 1000)
    for side, vectors, place in (("query", queries, 1), ("candidate", candidates, 700)):
        right = vectors[place].copy()
        vectors[place, 5] = value
        with pytest.raises(EndpointError, match=rf"NaN or infinity in the vector of {side} {place}; .*harness export"):
            find(queries, candidates, 2)
        vectors[place] = right
    find(queries, candidates, 2)


def test_faults_nan_is_refused_in_later_blocks_too() -> None:
    blocks = [unit(1, 5), unit(2, 5)]
    blocks[1][2] = np.nan
    with pytest.raises(EndpointError, match="candidate 7;"):
        search_blocks(unit(3, 1), blocks, 2)


def test_faults_nan_nearest_names_queries_and_candidates_by_id() -> None:
    candidates, queries = unit(0, 1000), unit(1, 4)
    candidates[[3, 999]] = np.nan
    with pytest.raises(EndpointError, match="infinity in the vector of candidate 'c3', 'c999';"):
        nearest(candidates, queries)
    candidates[[7, 8, 9]] = np.inf
    with pytest.raises(EndpointError, match="candidate 'c3', 'c7', 'c8' and 2 more;"):
        nearest(candidates, queries)
    queries[2, 0] = np.nan
    with pytest.raises(EndpointError, match="infinity in the vector of query 'q2';"):
        nearest(unit(0, 5), queries)


def test_large_finite_vectors_are_no_fault() -> None:
    """The sum of a vector may overflow where none of its numbers does."""
    vectors = np.full((2, 64), 3e38, dtype=np.float32)
    check_finite(vectors, "query")


def test_vectors_are_scaled_to_length_1_but_for_those_without_a_length() -> None:
    vectors = np.array([[3, 4], [0, 0], [0, -2]], dtype=np.float32)
    np.testing.assert_allclose(normalise(vectors), [[0.6, 0.8], [0, 0], [0, -1]], rtol=1e-6)


# On a GPU


class Gpu:
    """faiss as it is with one GPU: other rounding, ties in another order, and no defined answer to NaN."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[int, int, int]] = []
        monkeypatch.setattr(neighbours.faiss, "get_num_gpus", lambda: 1)
        monkeypatch.setattr(neighbours.faiss, "StandardGpuResources", object, raising=False)
        monkeypatch.setattr(neighbours.faiss, "knn_gpu", self.knn)
        neighbours._resources.cache_clear()

    def knn(self, resources, queries, candidates, count, *, metric, device):
        assert (type(resources), metric, device) == (object, neighbours.faiss.METRIC_INNER_PRODUCT, 0)
        assert np.isfinite(candidates).all()
        assert count <= 2048
        self.calls.append((len(queries), len(candidates), count))
        products = queries @ candidates.T
        products *= 1 + np.float32(1e-7) * np.random.default_rng(0).uniform(-1, 1, products.shape).astype(np.float32)
        found = (products.shape[1] - 1 - np.argsort(-products[:, ::-1], axis=1, kind="stable"))[:, :count]
        return np.take_along_axis(products, found, axis=1), found


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    yield Gpu(monkeypatch)
    neighbours._resources.cache_clear()


@pytest.mark.parametrize("prefer", PREFERENCES)
@pytest.mark.parametrize("count", [1, 3, 20])
@pytest.mark.parametrize("vectors", [unit, coarse])
def test_gpu_finds_what_the_cpu_finds(vectors, count: int, prefer: Prefer, on_gpu: Gpu, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "_GPU_QUERIES", 12)
    queries, candidates = vectors(0, 30), vectors(1, 400)
    assert search(queries, candidates, count, prefer).indices.tolist() == by_definition(
        queries, candidates, count, prefer
    )
    assert [call[0] for call in on_gpu.calls] == [12, 12, 6]


def test_gpu_searches_both_ways_apart(on_gpu: Gpu) -> None:
    first, second = coarse(0, 90), coarse(1, 150)
    forward, backward = search_both(first, second, 4)
    assert forward.indices.tolist() == by_definition(first, second, 4, "lowest")
    assert backward.indices.tolist() == by_definition(second, first, 4, "lowest")
    assert [call[:2] for call in on_gpu.calls] == [(90, 150), (150, 90)]


def test_more_neighbours_than_a_gpu_gives_are_found_all_the_same(on_gpu: Gpu, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "_GPU_COUNT", 16)
    queries, candidates = unit(0, 10), unit(1, 200)
    assert search(queries, candidates, 20).indices.tolist() == by_definition(queries, candidates, 20, "lowest")
    assert on_gpu.calls == [(10, 200, 16)]


def test_candidates_that_are_not_finite_do_not_reach_a_gpu(on_gpu: Gpu) -> None:
    queries, candidates = unit(0, 10), unit(1, 200)
    candidates[7] = np.nan
    with pytest.raises(EndpointError, match="candidate 7;"):
        search(queries, candidates, 3)
    assert on_gpu.calls == []


def test_backend_says_where_it_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours.faiss, "get_num_gpus", lambda: 0)
    assert neighbours.backend() == f"faiss {neighbours.faiss.__version__} (CPU)"
    Gpu(monkeypatch)
    assert neighbours.backend() == f"faiss {neighbours.faiss.__version__} (GPU 0)"
