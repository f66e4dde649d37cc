"""The character map: read back by a reader of the format written here, and by the tokenizers library."""

import struct
import unicodedata

import numpy as np
import pytest
from tokenizers.normalizers import Precompiled

from harness.encoders.charsmap import compositions, double_array, write_charsmap


def prefixes(units: list[int], text: bytes) -> list[tuple[bytes, int]]:
    """Return every key that the text starts with, and its value: the search that darts-clone documents."""
    found = []
    position = units[0] >> 10
    for index, byte in enumerate(text):
        position ^= byte
        unit = units[position]
        if unit & 0x800000FF != byte:
            break
        position ^= unit >> 10
        if unit >> 8 & 1:
            assert units[position] >> 31
            found.append((text[: index + 1], units[position] & 0x7FFFFFFF))
    return found


def random_keys(count: int) -> dict[bytes, int]:
    random = np.random.default_rng(11)
    return {
        bytes(random.integers(1, 256, size=random.integers(1, 6)).astype(np.uint8)): int(random.integers(0, 1 << 20))
        for _ in range(count)
    }


@pytest.mark.parametrize("count", [0, 1, 2, 50, 3000])
def test_double_array_finds_every_key_and_no_other(count: int) -> None:
    entries = random_keys(count)
    units = double_array(entries)
    assert len(units) % 256 == 0
    for key in (*entries, *(bytes([byte]) for byte in range(1, 256)), *(key + b"\x01" for key in entries), b"\x7f" * 9):
        expected = [(key[:size], entries[key[:size]]) for size in range(1, len(key) + 1) if key[:size] in entries]
        assert prefixes(units, key) == expected


def test_order_of_the_entries_does_not_matter() -> None:
    entries = random_keys(500)
    assert double_array(entries) == double_array(dict(reversed(entries.items())))


@pytest.mark.parametrize("key", [b"", b"a\0b"])
def test_keys_that_the_format_cannot_hold(key: bytes) -> None:
    with pytest.raises(ValueError, match="is empty or has a byte 0"):
        double_array({key: 1})


def test_a_replacement_with_nul() -> None:
    with pytest.raises(ValueError, match=r"has U\+0000"):
        write_charsmap({"a": "b\0"})


def test_layout() -> None:
    data = write_charsmap({"½": "1⁄2", "\xa0": " ", "\u2009": " ", "\x07": ""})
    (size,) = struct.unpack_from("<I", data)
    units = list(struct.unpack_from(f"<{size // 4}I", data, 4))
    strings = data[4 + size :]
    assert strings == "1⁄2\0 \0\0".encode()
    starts = {key: prefixes(units, key.encode())[0][1] for key in ("½", "\xa0", "\u2009", "\x07")}
    assert starts == {"½": 0, "\xa0": 6, "\u2009": 6, "\x07": 8}


def test_the_tokenizers_library_applies_the_rules() -> None:
    normaliser = Precompiled(write_charsmap({"½": "1⁄2", "\xa0": " ", "\x07": "", "ﬁ": "fi", "e\u0301": "é"}))
    assert normaliser.normalize_str("a\x07b\xa0½ ﬁx cafe\u0301 e ﬂ 你") == "ab 1⁄2 fix caf\u00e9 e ﬂ 你"


def test_every_single_character_against_the_rules() -> None:
    """A map of all of Unicode's compatibility characters: the library changes those and leaves the others."""
    old = unicodedata.ucd_3_2_0
    rules = {
        character: old.normalize("NFKC", character)
        for character in map(chr, range(1, 0x30000))
        if old.normalize("NFKC", character) != character
    }
    assert len(rules) > 4000
    normaliser = Precompiled(write_charsmap(rules))
    for code_point in (*range(1, 0xD800), *range(0xE000, 0x30000)):
        character = chr(code_point)
        assert normaliser.normalize_str(character) == rules.get(character, character)


def test_compositions() -> None:
    found = compositions()
    assert found["e\u0301"] == "é"
    assert found["e\u0341"] == "é"
    assert found["\u0627\u0653"] == "\u0622"  # Arabic alef with madda
    assert "\u304b\u3099" not in found  # six bytes: か with a voicing mark
    assert "\u0915\u093c" not in found  # Unicode never composes the Devanagari letter qa
    assert all(len(key) == 2 and len(key.encode()) < 6 for key in found)
    assert all(unicodedata.normalize("NFC", key) == value for key, value in found.items())


def test_compositions_leave_out_what_starts_with_a_rule() -> None:
    found = compositions({"e"})
    assert "e\u0301" not in found
    assert found["E\u0301"] == "É"
