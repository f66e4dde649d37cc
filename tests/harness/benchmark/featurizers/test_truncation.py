import random

import pytest

from harness.benchmark.featurizers.truncation import longest_first


def one_by_one(first: int, second: int, room: int) -> tuple[int, int]:
    """As transformers' `truncate_sequences` does it, a piece at a time."""
    for _ in range(max(0, first + second - room)):
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


@pytest.mark.parametrize("seed", range(20))
def test_result_is_that_of_cutting_one_piece_at_a_time(seed: int) -> None:
    rng = random.Random(seed)
    cases = [(rng.randint(0, 40), rng.randint(0, 40), rng.randint(0, 60)) for _ in range(50)]
    assert [longest_first(*case) for case in cases] == [one_by_one(*case) for case in cases]


@pytest.mark.parametrize(
    ("case", "expected"),
    [((3, 4, 7), (3, 4)), ((9, 2, 8), (6, 2)), ((2, 9, 8), (2, 6)), ((5, 5, 9), (5, 4)), ((5, 5, 8), (4, 4))],
    ids=["fits", "first-longer", "second-longer", "equal-odd", "equal-even"],
)
def test_longer_sequence_is_cut(case: tuple[int, int, int], expected: tuple[int, int]) -> None:
    assert longest_first(*case) == expected
