"""The tokenizer.json that is made from pieces, scores and rules, at a small size."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from harness.encoders.unigram import SpecialIds, tokenizer_json
from harness.tokenization.tokenizer import FastTokenizer

PIECES = ("<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b", "▁ab", "é", "fi", "<mask>")
SCORES = np.array([0, 0, 0, 0, -2.0, -3.5, -3.25, -4.1, -5.0, -6.0, 0], np.float32)
RULES = {"\xa0": " ", "ﬁ": "fi", "\x07": ""}
SPECIAL = SpecialIds(bos=0, pad=1, eos=2, unk=3, mask=10)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(tokenizer_json(PIECES, SCORES, RULES, SPECIAL))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("ab", "▁ab"),
        (" ab", "▁ab"),
        ("ab  \xa0 ab", "▁ab ▁ab"),
        ("ab ", "▁ab"),
        ("aﬁ", "▁ a fi"),
        ("a\x07b", "▁ab"),
        ("ae\u0301", "▁ a é"),
        ("ax", "▁ a <unk>"),
        ("ab <mask>", "▁ab <mask>"),
    ],
)
def test_pieces(text: str, pieces: str, tokenizer: Tokenizer) -> None:
    found = tokenizer.encode(text, add_special_tokens=False)
    assert [PIECES[index] for index in found.ids] == pieces.split()


def test_frame_of_one_text_and_of_a_pair(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("ab").ids == [0, 7, 2]
    pair = tokenizer.encode("ab", "ab")
    assert pair.ids == [0, 7, 2, 2, 7, 2]
    assert pair.type_ids == [0] * 6


def test_decoding(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("ab ab é").ids) == "ab ab é"


def test_special_tokens(tokenizer: Tokenizer) -> None:
    added = tokenizer.get_added_tokens_decoder()
    assert {index: token.content for index, token in added.items()} == {
        0: "<s>", 1: "<pad>", 2: "</s>", 3: "<unk>", 10: "<mask>",
    }  # fmt: skip
    assert all(token.special and not token.normalized for token in added.values())
    assert tokenizer.get_vocab_size() == len(PIECES)


def test_scores_are_written_exactly() -> None:
    document = json.loads(tokenizer_json(PIECES, SCORES, RULES, SPECIAL))
    assert [piece for piece, _ in document["model"]["vocab"]] == list(PIECES)
    assert [score for _, score in document["model"]["vocab"]] == [float(score) for score in SCORES]


def test_equal_arguments_give_equal_text() -> None:
    other = tokenizer_json(list(PIECES), SCORES.copy(), dict(RULES), SPECIAL)
    assert other == tokenizer_json(PIECES, SCORES, RULES, SPECIAL)


def test_the_harness_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json(PIECES, SCORES, RULES, SPECIAL), encoding="utf-8")
    read = FastTokenizer(path)
    assert (read.pad_id, read.unknown_id, read.separator_id) == (1, 3, 2)
    assert read.subwords(["ab", "a é"]) == [[7], [4, 5, 4, 8]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"scores": SCORES[:-1]}, r"scores of shape \(10,\); a tokenizer of 11 pieces needs one finite score for each"),
        ({"scores": SCORES * np.float32("nan")}, "needs one finite score for each"),
        ({"pieces": (*PIECES[:5], "b", *PIECES[6:])}, "1 of 11 pieces come twice"),
        ({"special": SpecialIds(bos=0, pad=1, eos=2, unk=3, mask=11)}, "are not five different ids below 11"),
        ({"special": SpecialIds(bos=0, pad=1, eos=2, unk=3, mask=3)}, "are not five different ids below 11"),
        ({"normalisation": {"": "a"}}, "is empty or has a byte 0"),
    ],
)
def test_refusals(arguments: dict[str, Any], sentence: str) -> None:
    right = {"pieces": PIECES, "scores": SCORES, "normalisation": RULES, "special": SPECIAL}
    make: Callable[..., str] = tokenizer_json
    with pytest.raises(ValueError, match=sentence):
        make(**{**right, **arguments})
