from pathlib import Path

import pytest

from harness.core.errors import ArtifactError
from harness.tokenization.tokenizer import FastTokenizer


def test_single_sequence_has_xlm_rs_frame(tokenizer) -> None:
    assert tokenizer.single([7, 8]) == [0, 7, 8, 2]


def test_pair_has_xlm_rs_frame(tokenizer) -> None:
    assert tokenizer.pair([7], [8, 9]) == [0, 7, 2, 2, 8, 9, 2]


@pytest.mark.parametrize(("name", "number"), [("pad_id", 1), ("unknown_id", 3), ("separator_id", 2)])
def test_special_ids_are_those_of_the_vocabulary(tokenizer, name: str, number: int) -> None:
    assert getattr(tokenizer, name) == number


def test_pieces_hold_no_special_tokens(tokenizer, spell) -> None:
    assert [spell(ids) for ids in tokenizer.subwords(["ab c", ""])] == ["abc", ""]


def test_offsets_count_code_points(tokenizer) -> None:
    (pieces,) = tokenizer.subwords_with_offsets(["😀é ab"])
    assert pieces.offsets == [(0, 1), (1, 2), (3, 4), (4, 5)]


def test_no_texts_give_no_pieces(tokenizer) -> None:
    assert tokenizer.subwords([]) == []


def test_file_that_is_no_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json cannot be read"):
        FastTokenizer(tmp_path / "tokenizer.json")


def test_missing_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"tokenizer\.json cannot be read"):
        FastTokenizer(tmp_path / "tokenizer.json")


def test_xlm_rs_pairs_have_no_token_types(tokenizer) -> None:
    assert tokenizer.pair_types(1, 2) is None


def test_berts_pairs_are_framed_and_typed_as_its_tokenizer_does(bert_tokenizer) -> None:
    assert bert_tokenizer.pair([7], [8, 9]) == [2, 7, 3, 8, 9, 3]
    assert bert_tokenizer.pair_types(1, 2) == [0, 0, 0, 1, 1, 1]
    assert bert_tokenizer.pair_types(0, 0) == [0, 0, 1]
    assert (bert_tokenizer.pad_id, bert_tokenizer.unknown_id, bert_tokenizer.separator_id) == (0, 1, 3)


def test_size_is_one_more_than_the_largest_id(tokenizer, bert_tokenizer) -> None:
    assert tokenizer.size == bert_tokenizer.size == 44
