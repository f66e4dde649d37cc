from pathlib import Path

import numpy as np
import pytest

from harness.core.features import Feature
from harness.tokenization.cache import Block, DamagedRows, TokenCache, describe

WORDS = Feature(0, np.array([0, 7, 9, 2]), None, np.array([[0, 1], [1, 2]]))
PLAIN = Feature(1, np.array([0, 5, 2]))
FLAT = Feature(2, np.array([0, 2]), None, np.array([3, 4, 5]))


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return TokenCache(tmp_path / "tokens")


def written(cache: TokenCache, path: Path, *blocks: Block) -> list[Block]:
    return list(cache.write(path, blocks))


def test_rows_come_back_as_they_were(cache: TokenCache) -> None:
    path = cache.path(tokenizer="a")
    written(cache, path, Block([], [WORDS, PLAIN]), Block([], [FLAT]))
    blocks = list(cache.read(path) or ())
    assert [len(block.features) for block in blocks] == [2, 1]
    for read, given in zip([row for block in blocks for row in block.features], [WORDS, PLAIN, FLAT], strict=True):
        assert (read.example, read.input_ids.tolist(), read.key) == (given.example, given.input_ids.tolist(), given.key)
        assert (read.alignment is None) == (given.alignment is None)
        if given.alignment is not None and read.alignment is not None:
            np.testing.assert_array_equal(read.alignment, given.alignment)


def test_key_is_the_rows_own_and_not_made_again(cache: TokenCache) -> None:
    path = cache.path(tokenizer="a")
    written(cache, path, Block([], [PLAIN]))
    (block,) = cache.read(path) or ()
    (row,) = block.features
    assert row.digest == Feature(0, row.input_ids).key


def test_ids_of_a_pool_are_kept(cache: TokenCache) -> None:
    path = cache.path(pool="b")
    written(cache, path, Block(["Q1", "Q2"], [PLAIN, FLAT]))
    assert [block.ids for block in cache.read(path) or ()] == [["Q1", "Q2"]]


def test_rows_are_mapped_and_not_copied(cache: TokenCache) -> None:
    path = cache.path(tokenizer="a")
    written(cache, path, Block([], [WORDS]))
    (block,) = cache.read(path) or ()
    assert not block.features[0].input_ids.flags.owndata
    assert not block.features[0].input_ids.flags.writeable


def test_what_was_never_written_is_none(cache: TokenCache) -> None:
    assert cache.read(cache.path(tokenizer="a")) is None


@pytest.mark.parametrize("size", [0, 10, 300])
def test_file_cut_short_is_refused_and_goes(cache: TokenCache, size: int) -> None:
    path = cache.path(tokenizer="a")
    written(cache, path, Block([], [WORDS] * 50))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedRows, match="has another checksum than was written; it was removed"):
        cache.read(path)
    assert not path.exists()


def test_flipped_bit_is_found_and_its_rows_are_made_again(cache: TokenCache) -> None:
    paths = [cache.path(tokenizer=name) for name in ("a", "b")]
    for path in paths:
        written(cache, path, Block([], [WORDS] * 50))
    content = bytearray(paths[0].read_bytes())
    content[len(content) // 2] ^= 1
    paths[0].write_bytes(content)
    (line,) = cache.verify()
    assert str(paths[0]) in line
    assert [path.exists() for path in paths] == [False, True]


def test_writing_that_is_given_up_leaves_nothing(cache: TokenCache) -> None:
    path = cache.path(tokenizer="a")
    blocks = cache.write(path, [Block([], [WORDS]), Block([], [PLAIN])])
    next(blocks)
    blocks.close()
    assert list(cache.folder.iterdir()) == []


def test_failure_in_the_middle_leaves_nothing(cache: TokenCache) -> None:
    def broken():
        yield Block([], [WORDS])
        message = "line 3"
        raise ValueError(message)

    with pytest.raises(ValueError, match="line 3"):
        list(cache.write(cache.path(tokenizer="a"), broken()))
    assert list(cache.folder.iterdir()) == []


def test_anything_else_has_another_file(cache: TokenCache) -> None:
    paths = {cache.path(tokenizer=tokenizer, limit=limit) for tokenizer in "ab" for limit in (None, 1)}
    assert len(paths) == 4
    assert cache.path(tokenizer="a", limit=1) in paths


def test_change_of_the_code_that_makes_rows_has_another_file(cache: TokenCache, monkeypatch) -> None:
    before = cache.path(tokenizer="a")
    monkeypatch.setattr("harness.tokenization.cache.code_sha256", lambda *_: "other")
    assert cache.path(tokenizer="a") != before


def test_functions_are_described_without_their_address() -> None:
    assert " at 0x" in repr(describe.__wrapped__ if hasattr(describe, "__wrapped__") else describe)
    assert describe(describe) == "<function describe>"


def test_token_types_come_back(cache: TokenCache) -> None:
    typed = Feature(0, np.array([0, 7, 2, 8]), token_types=np.array([0, 0, 1, 1]))
    path = cache.path(tokenizer="a")
    written(cache, path, Block([], [PLAIN, typed, FLAT]))
    (block,) = cache.read(path) or ()
    assert [None if row.token_types is None else row.token_types.tolist() for row in block.features] == [
        None, [0, 0, 1, 1], None,
    ]  # fmt: skip
    assert block.features[1].key == typed.key
