import numpy as np
import pytest

from harness.core.features import Feature, pad_features
from harness.core.tensors import ENCODER_INPUTS, TOKEN_TYPES


def test_key_is_the_same_for_equal_ids_of_different_examples() -> None:
    assert Feature(0, np.array([0, 5, 2])).key == Feature(7, np.array([0, 5, 2]), np.array(1)).key


@pytest.mark.parametrize("ids", [[0, 5], [0, 2, 5], [0, 5, 3], [0, 5, 2, 1]], ids=["short", "order", "id", "padded"])
def test_key_differs_where_the_ids_differ(ids: list[int]) -> None:
    assert Feature(0, np.array(ids)).key != Feature(0, np.array([0, 5, 2])).key


def test_key_does_not_depend_on_the_integers_width() -> None:
    assert Feature(0, np.array([0, 5, 2], dtype=np.int32)).key == Feature(0, np.array([0, 5, 2], dtype=np.int64)).key


def test_token_types_are_part_of_the_key_where_there_are_any() -> None:
    plain, marked = (
        Feature(0, np.array([0, 5, 2]), token_types=types) for types in (None, np.array([0, 1, 1], dtype=np.int8))
    )
    assert plain.key == Feature(0, np.array([0, 5, 2])).key
    assert marked.key != plain.key
    assert marked.key == Feature(0, np.array([0, 5, 2]), token_types=np.array([0, 1, 1])).key
    assert marked.key != Feature(0, np.array([0, 5, 2]), token_types=np.array([0, 0, 1])).key


def test_graph_gets_token_types_where_it_takes_them() -> None:
    rows = [Feature(0, np.array([0, 5, 2, 6]), token_types=np.array([0, 0, 1, 1])), Feature(1, np.array([0, 2]))]
    assert list(pad_features(rows, 1, ENCODER_INPUTS)) == ["input_ids", "attention_mask"]
    padded = pad_features(rows, 1, (*ENCODER_INPUTS, TOKEN_TYPES), 5)
    assert list(padded) == ["input_ids", "attention_mask", "token_type_ids"]
    assert padded["token_type_ids"].dtype == np.int64
    assert padded["token_type_ids"].tolist() == [[0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]
