"""A step cut into parts by length: each row once, little padding, and the loss of the whole step."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from training.parts import LEAST, MOST, PADDING, by_tokens, cut, padded, part_tokens, parts_of


def lengths(rows: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).lognormal(3.6, 0.5, rows)
    return np.sort(drawn.astype(np.int64).clip(4, 384))


@pytest.mark.parametrize("rows", [1, 2, 7, 32, 128])
def test_groups_of_rows_keep_to_the_padding_limit(rows: int) -> None:
    found = lengths(rows)
    cuts = cut(found)
    assert [edge for edges in cuts for edge in edges][::2] == [0, *(end for _, end in cuts[:-1])]
    assert cuts[-1][1] == rows
    assert padded(found, cuts) <= PADDING * found.sum()


def test_no_fewer_groups_would_do() -> None:
    found = lengths(12)
    cuts = cut(found)
    edges = range(1, 12)
    # Every way to cut the rows into one group fewer.
    fewer = len(cuts) - 1
    ways = ([0, *inner, 12] for inner in combinations(edges, fewer - 1))
    least = min(padded(found, list(pairwise(way))) for way in ways)
    assert least > PADDING * found.sum()


def test_rows_of_one_length_are_one_group() -> None:
    assert cut(np.full(32, 17)) == [(0, 32)]


@pytest.mark.parametrize("most", [64, 200, 1000, 10_000])
def test_parts_keep_to_their_tokens(most: int) -> None:
    found = lengths(32)
    cuts = by_tokens(found, most)
    assert [row for start, end in cuts for row in range(start, end)] == list(range(32))
    assert all(end - start == 1 or found[start:end].sum() <= most for start, end in cuts)
    # No more parts than need be, but for what whole rows cost.
    assert len(cuts) <= 2 * -(-int(found.sum()) // most) or most < 2 * found.max()


def test_recipe_may_want_more_parts() -> None:
    assert len(by_tokens(lengths(32), 10_000, at_least=5)) == 5
    assert len(by_tokens(lengths(3), 10_000, at_least=5)) == 3


def batch(rows: int = 16, choices: int | None = None) -> dict[str, torch.Tensor]:
    shape = (rows,) if choices is None else (rows, choices)
    found = np.random.default_rng(1).integers(3, 30, shape)
    mask = torch.from_numpy((np.arange(30) < found[..., None]).astype(np.int64))
    ids = torch.arange(mask.numel()).view(mask.shape) * mask
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.arange(rows)}


@pytest.mark.parametrize("choices", [None, 3])
@pytest.mark.parametrize("unpadded", [True, False])
def test_each_row_is_in_one_part_with_all_its_tokens(choices: int | None, unpadded: bool) -> None:
    whole = batch(choices=choices)
    parts = parts_of({"task": "a", **whole}, 120, unpadded=unpadded)
    assert len(parts) > 2
    rows = [row for part, _ in parts for row in part["labels"].tolist()]
    assert sorted(rows) == list(range(16))
    assert sum(weight for _, weight in parts) == pytest.approx(1.0)
    for part, weight in parts:
        assert (part["task"], weight) == ("a", len(part["labels"]) / 16)
        for ids, mask, row in zip(part["input_ids"], part["attention_mask"], part["labels"], strict=True):
            width = part["input_ids"].shape[-1]
            assert torch.equal(ids, whole["input_ids"][row][..., :width])
            assert torch.equal(mask, whole["attention_mask"][row][..., :width])
            assert not whole["attention_mask"][row][..., width:].any()


def test_parts_of_a_padded_network_have_little_padding() -> None:
    parts = parts_of(batch(64), 10_000, unpadded=False)
    masks = [part["attention_mask"] for part, _ in parts]
    assert sum(mask.numel() for mask in masks) <= PADDING * sum(int(mask.sum()) for mask in masks)


def test_labels_of_tokens_weigh_by_their_number_and_parts_without_any_are_left_out() -> None:
    whole = batch(4)
    labels = torch.full_like(whole["input_ids"], -100)
    labels[0, :2] = 1
    labels[1, :1] = 1
    parts = parts_of({**whole, "labels": labels}, 1, unpadded=True)
    assert sorted(weight for _, weight in parts) == [pytest.approx(1 / 3), pytest.approx(2 / 3)]


def test_rows_that_are_compared_are_divided_only_where_the_recipe_says_so() -> None:
    whole = {**batch(8), "aligned": torch.tensor(4)}
    ((part, weight),) = parts_of(whole, 1, unpadded=True)
    assert (part, weight) == (whole, 1.0)
    assert [len(part["input_ids"]) for part, _ in parts_of(whole, 1, unpadded=True, at_least=2)] == [4, 4]


def shape(**values: int) -> BertModel:
    with torch.device("meta"):
        return BertModel(BertConfig(**values), add_pooling_layer=False)


def test_small_machine_gets_small_parts() -> None:
    model = shape(
        vocab_size=250_037, hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536
    )
    assert part_tokens(model, 24 * 2**30) == MOST
    assert LEAST < part_tokens(model, 5 * 2**30) < 4000
    assert part_tokens(model, 2**30) == LEAST
    assert part_tokens(torch.nn.Linear(2, 2), 2**30) == MOST
