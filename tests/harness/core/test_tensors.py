import random

import numpy as np
import pytest

from harness.core.heads import (
    ChoiceScore,
    Head,
    SentenceEmbedding,
    SequenceClassification,
    SpanExtraction,
    TokenClassification,
    describe,
)
from harness.core.tensors import GraphSignature, TensorSpec, pad

HEADS: dict[str, tuple[Head, str]] = {
    "sequence": (SequenceClassification(("a", "b")), "logits float32 (rows, 2)"),
    "choice": (ChoiceScore(), "logits float32 (rows, 1)"),
    "token": (TokenClassification(("a", "b", "c")), "logits float32 (rows, tokens, 3)"),
    "span": (SpanExtraction(), "start_logits float32 (rows, tokens), end_logits float32 (rows, tokens)"),
    "embedding": (SentenceEmbedding(layers={12: 8}), "embedding float32 (rows, 7)"),
}


def rows(seed: int) -> list[np.ndarray]:
    rng = random.Random(seed)
    return [np.array([rng.randint(2, 99) for _ in range(rng.randint(1, 30))]) for _ in range(rng.randint(1, 9))]


@pytest.mark.parametrize("seed", range(10))
def test_rows_are_read_back_where_the_mask_is_one(seed: int) -> None:
    padded = pad(rows(seed), 1)
    read = [ids[mask == 1] for ids, mask in zip(padded["input_ids"], padded["attention_mask"], strict=True)]
    assert [ids.tolist() for ids in read] == [row.tolist() for row in rows(seed)]


@pytest.mark.parametrize("seed", range(10))
def test_padding_id_stands_where_the_mask_is_zero(seed: int) -> None:
    padded = pad(rows(seed), 1)
    assert set(padded["input_ids"][padded["attention_mask"] == 0].tolist()) <= {1}


@pytest.mark.parametrize("name", ["input_ids", "attention_mask"])
def test_padded_tensors_are_int64_of_the_given_width(name: str) -> None:
    padded = pad([np.array([5, 6]), np.array([7])], 1, width=4)
    assert (padded[name].dtype, padded[name].shape) == (np.int64, (2, 4))


def test_width_below_the_longest_row_is_refused() -> None:
    with pytest.raises(ValueError, match="width 2 is below the longest row, 3"):
        pad([np.array([5, 6, 7])], 1, width=2)


@pytest.mark.parametrize("kind", HEADS)
def test_head_gives_the_outputs_of_its_kind(kind: str) -> None:
    head, expected = HEADS[kind]
    assert head.signature(7).describe() == expected


@pytest.mark.parametrize("kind", HEADS)
def test_signature_survives_json(kind: str) -> None:
    signature = HEADS[kind][0].signature(7)
    assert GraphSignature.from_json(signature.to_json()) == signature


def test_only_tensors_with_a_tokens_axis_are_cut() -> None:
    specs = [TensorSpec("x", "float32", axes) for axes in (("rows", "tokens", 3), ("rows", 3))]
    assert [spec.per_token for spec in specs] == [True, False]


def test_manifest_names_a_heads_labels() -> None:
    assert describe(SequenceClassification(("a", "b"))) == {"kind": "SequenceClassification", "labels": ["a", "b"]}


@pytest.mark.parametrize("kind", HEADS)
def test_signature_has_token_types_where_they_are_wanted(kind: str) -> None:
    plain, typed = (HEADS[kind][0].signature(7, token_types=wanted) for wanted in (False, True))
    assert [spec.name for spec in plain.inputs] == ["input_ids", "attention_mask"]
    assert [spec.name for spec in typed.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    assert typed.outputs == plain.outputs
    assert GraphSignature.from_json(typed.to_json()) == typed


def test_only_heads_over_pairs_have_pairs() -> None:
    assert {kind for kind, (head, _) in HEADS.items() if head.pairs} == {"sequence", "choice", "span"}
