"""The precompiled character map of SentencePiece, written from plain rules.

The map is how a Unigram tokenizer keeps its Unicode normalisation in a model file, and what the
`Precompiled` normaliser of the tokenizers library reads. Its bytes are, little endian::

    u32                 bytes of the trie
    u32 * n             the trie, a double array as darts-clone lays it out
    UTF-8, NUL-ended    what the keys are replaced with, one string after another

One unit of the double array::

    inner node          bits 0-7 label, bit 8 "a key ends here", bits 10-30 offset
    value               bit 31 set, bits 0-30 where the replacement starts, in bytes

The children of the node at `p` lie around `base = p ^ offset`: the one of byte `b` at `base ^ b`, the value
at `base`. A unit that no node uses is zero. Two nodes never have the same base, so that a label that fits
belongs to the node that was asked.

Sources: `src/normalizer.cc` of google/sentencepiece (layout of the map), `include/darts.h` of
s-yata/darts-clone (units), Narsil/spm_precompiled (how the tokenizers library reads both).
"""

import struct
import unicodedata
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TypeAlias

#: A node of the trie while it is built: children by byte; under 0, the value of the key that ends here.
_Node: TypeAlias = dict[int, "_Node | int"]

#: Bytes that differ from a base by one byte stay inside a block of this many units.
BLOCK = 256
#: Offsets have 21 bits. The format can shift larger ones by 8 bits, which maps of this size do not need.
LARGEST_OFFSET = 1 << 21
#: The tokenizers library looks a grapheme up as a whole below this many UTF-8 bytes, else character by character.
WHOLE_GRAPHEME_BELOW = 6


def write_charsmap(rules: Mapping[str, str]) -> bytes:
    """Return the bytes of a precompiled character map.

    Args:
        rules: What is replaced -> what stands for it, which may be nothing. Neither has U+0000.

    Raises:
        ValueError: A key is empty, or U+0000 is in a key or in a replacement.
    """
    starts: dict[str, int] = {}
    strings = bytearray()
    for replacement in rules.values():
        if "\0" in replacement:
            message = f"the replacement {replacement!r} has U+0000, which ends a string in a character map"
            raise ValueError(message)
        if replacement not in starts:
            starts[replacement] = len(strings)
            strings += replacement.encode() + b"\0"
    units = double_array({key.encode(): starts[replacement] for key, replacement in rules.items()})
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + bytes(strings)


def double_array(entries: Mapping[bytes, int]) -> list[int]:
    """Return the units of a double-array trie; equal entries give equal units, whatever their order.

    Args:
        entries: Key -> value. Keys are not empty and have no byte 0.

    Raises:
        ValueError: A key is empty or has a byte 0, or the trie is larger than the format allows.
    """
    units = [0] * BLOCK
    free = [False, *([True] * (BLOCK - 1))]  # The root is at 0.
    bases: set[int] = set()
    first_free = 1
    waiting: deque[tuple[int, int, _Node]] = deque([(0, 0, _trie(entries))])
    while waiting:
        position, label, node = waiting.popleft()
        labels = sorted(node)
        while first_free < len(free) and not free[first_free]:
            first_free += 1
        base = _base(labels, free, bases, first_free)
        if base >= len(units):
            units += [0] * BLOCK
            free += [True] * BLOCK
        bases.add(base)
        offset = position ^ base
        if offset >= LARGEST_OFFSET:
            message = f"a trie of {len(entries)} keys is too large for offsets of 21 bits"
            raise ValueError(message)
        units[position] = offset << 10 | (0 in node) << 8 | label
        for byte in labels:
            free[base ^ byte] = False
            child = node[byte]
            if isinstance(child, int):
                units[base] = 1 << 31 | child
            else:
                waiting.append((base ^ byte, byte, child))
    return units


def _trie(entries: Mapping[bytes, int]) -> _Node:
    root: _Node = {}
    for key, value in sorted(entries.items()):
        if not key or 0 in key:
            message = f"the key {key!r} is empty or has a byte 0; a character map cannot hold it"
            raise ValueError(message)
        node = root
        for byte in key:
            child = node.setdefault(byte, {})
            assert isinstance(child, dict)  # Only 0 holds a value, and no key has that byte.
            node = child
        node[0] = value
    return root


def _base(labels: list[int], free: list[bool], bases: set[int], first_free: int) -> int:
    """Return the first base whose children all fall on free units; it may lie in a block still to be added."""
    lowest = labels[0] if labels else 0
    for position in range(first_free, len(free)):
        if free[position]:
            base = position ^ lowest
            if base not in bases and all(free[base ^ label] for label in labels):
                return base
    return len(free)


def compositions(ruled: Iterable[str] = ()) -> dict[str, str]:
    """Return base + combining mark -> the one character that Unicode composes them to, as XLM-R's map has them.

    SentencePiece built its `nmt_nfkc` map from Unicode 3.2, whose tables Python keeps. Of the sequences
    in that map this returns those that the tokenizers library can apply: two characters of fewer than
    `WHOLE_GRAPHEME_BELOW` bytes. (Of a longer sequence its first two characters, or its first one if
    that has a rule, match already.) Marks that are canonically equal to another one, such as U+0341, count as that one.

    Args:
        ruled: Characters that have a rule of their own. The library applies that one, so sequences
            that start with them are left out.
    """
    unicode = unicodedata.ucd_3_2_0
    skipped = frozenset(ruled)
    composed: dict[str, str] = {}
    marks: dict[str, list[str]] = {}
    for character in map(chr, range(0x10000)):  # What lies above takes at least eight bytes with its mark.
        # Angle brackets mark a decomposition of compatibility, which nothing composes to.
        if unicode.decomposition(character)[:1] in {"", "<"}:
            continue
        decomposed = unicode.normalize("NFD", character)
        if len(decomposed) == 1:
            marks.setdefault(decomposed, []).append(character)
        elif len(decomposed) == 2 and unicode.normalize("NFC", character) == character:
            composed[decomposed] = character
    return {
        pair[0] + equal: character
        for pair, character in composed.items()
        for equal in (pair[1], *marks.get(pair[1], ()))
        if pair[0] not in skipped and len((pair[0] + equal).encode()) < WHOLE_GRAPHEME_BELOW
    }
