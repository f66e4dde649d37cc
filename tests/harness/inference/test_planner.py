import itertools
import random

import pytest

from harness.inference.planner import Batch, BatchPlanner


def case(seed: int) -> tuple[BatchPlanner, list[int]]:
    rng = random.Random(seed)
    planner = BatchPlanner(
        max_tokens=rng.choice([16, 100, 512, 4096]),
        max_rows=rng.choice([1, 3, 8, 256]),
        multiple=rng.choice([1, 8, 16]),
    )
    return planner, [rng.randint(1, rng.choice([8, 60, 600])) for _ in range(rng.randint(0, 300))]


@pytest.fixture(params=range(40))
def planned(request: pytest.FixtureRequest) -> tuple[BatchPlanner, list[int], list[Batch]]:
    planner, lengths = case(request.param)
    return planner, lengths, planner.plan(lengths)


def test_plan_covers_every_row_exactly_once(planned) -> None:
    _, lengths, plan = planned
    assert sorted(row for batch in plan for row in batch.rows) == list(range(len(lengths)))


def test_batches_of_several_rows_keep_the_budget(planned) -> None:
    planner, _, plan = planned
    assert all(batch.padded_tokens <= planner.max_tokens for batch in plan if len(batch.rows) > 1)


def test_batches_keep_the_most_rows(planned) -> None:
    planner, _, plan = planned
    assert all(1 <= len(batch.rows) <= planner.max_rows for batch in plan)


def test_widest_batch_comes_first(planned) -> None:
    _, _, plan = planned
    assert [batch.width for batch in plan] == sorted((batch.width for batch in plan), reverse=True)


def test_width_is_the_longest_row_rounded_up(planned) -> None:
    planner, lengths, plan = planned
    longest = [max(lengths[row] for row in batch.rows) for batch in plan]
    assert [batch.width for batch in plan] == [-(-size // planner.multiple) * planner.multiple for size in longest]


@pytest.mark.parametrize("seed", range(10))
def test_equal_lengths_give_an_equal_plan(seed: int) -> None:
    planner, lengths = case(seed)
    assert planner.plan(lengths) == planner.plan(tuple(lengths))


@pytest.mark.parametrize("seed", range(10))
def test_order_of_rows_does_not_change_the_shapes(seed: int) -> None:
    planner, lengths = case(seed)
    shuffled = random.Random(seed).sample(lengths, len(lengths))
    shapes = [[(len(batch.rows), batch.width) for batch in planner.plan(rows)] for rows in (lengths, shuffled)]
    assert shapes[0] == shapes[1]


def test_row_beyond_the_budget_goes_alone() -> None:
    assert BatchPlanner(max_tokens=10).plan([3, 40, 3]) == [Batch((1,), 40), Batch((0, 2), 3)]


def test_equal_lengths_keep_their_order() -> None:
    assert BatchPlanner(max_tokens=10).plan([5, 5, 5]) == [Batch((0, 1), 5), Batch((2,), 5)]


def cheapest(lengths: list[int], planner: BatchPlanner) -> float:
    """Return the least cost over every way to cut the sorted rows within the limits."""
    rows = sorted(lengths, reverse=True)
    costs = []
    for cuts in itertools.product([False, True], repeat=len(rows) - 1):
        bounds = [0, *(place + 1 for place, cut in enumerate(cuts) if cut), len(rows)]
        parts = [rows[start:end] for start, end in itertools.pairwise(bounds)]
        if all(
            len(part) == 1 or (len(part) <= planner.max_rows and len(part) * part[0] <= planner.max_tokens)
            for part in parts
        ):
            costs.append(sum(len(part) * part[0] + planner.overhead for part in parts))
    return min(costs)


@pytest.mark.parametrize("seed", range(60))
def test_no_cuts_of_the_sorted_rows_cost_less(seed: int) -> None:
    rng = random.Random(seed)
    planner = BatchPlanner(
        max_tokens=rng.choice([20, 60, 4096]),
        max_rows=rng.choice([2, 4, 256]),
        overhead=rng.choice([0.0, 3.0, 12.0, 50]),
    )
    lengths = [rng.randint(1, rng.choice([4, 30])) for _ in range(rng.randint(1, 11))]
    plan = planner.plan(lengths)
    cost = sum(batch.padded_tokens + planner.overhead for batch in plan)
    assert cost == pytest.approx(cheapest(lengths, planner))


def test_a_dear_batch_is_worth_more_padding() -> None:
    lengths = [10, 10, 9, 9]
    assert len(BatchPlanner(overhead=1.0).plan(lengths)) == 2
    assert len(BatchPlanner(overhead=3.0).plan(lengths)) == 1


def test_nothing_owed_gives_no_batch() -> None:
    assert BatchPlanner().plan([]) == []
