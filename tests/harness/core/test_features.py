import numpy as np
import pytest

from harness.core.features import Feature


def test_key_is_the_same_for_equal_ids_of_different_examples() -> None:
    assert Feature(0, np.array([0, 5, 2])).key == Feature(7, np.array([0, 5, 2]), np.array(1)).key


@pytest.mark.parametrize("ids", [[0, 5], [0, 2, 5], [0, 5, 3], [0, 5, 2, 1]], ids=["short", "order", "id", "padded"])
def test_key_differs_where_the_ids_differ(ids: list[int]) -> None:
    assert Feature(0, np.array(ids)).key != Feature(0, np.array([0, 5, 2])).key


def test_key_does_not_depend_on_the_integers_width() -> None:
    assert Feature(0, np.array([0, 5, 2], dtype=np.int32)).key == Feature(0, np.array([0, 5, 2], dtype=np.int64)).key
