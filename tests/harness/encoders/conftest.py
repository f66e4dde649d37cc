"""A writer of the wheel's file layout at small sizes; it shares no code with the reader."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest


def blocks(matrix: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Return a matrix in 4-bit blocks, and what a reader has to get back."""
    raw, back = bytearray(), []
    for block in matrix.astype(np.float32).reshape(-1, 32):
        scale = np.float16(np.abs(block).max() / 7)
        halves = [int(np.clip(round(float(value) / float(scale)), -8, 7)) + 8 for value in block]
        raw += struct.pack("<e", scale)
        raw += bytes(halves[j] | halves[j + 16] << 4 for j in range(16))
        back += [(half - 8) * float(scale) for half in halves]
    return bytes(raw), np.array(back, np.float32).reshape(matrix.shape)


@dataclass
class Entry:
    """One entry of the directory; what a test sets is written instead of what is right."""

    name: str
    raw: bytes
    values: int
    kind: int
    offset: int | None = None
    size: int | None = None


@dataclass
class WheelFile:
    """A file of 2 layers of 32 x 64, 12 rows of words and 10 pieces. Every field can be made wrong."""

    magic: bytes = b"E5S1"
    version: int = 1
    hidden: int = 32
    layers: int = 2
    heads: int = 2
    feed_forward: int = 64
    vocabulary: int = 12
    positions: int = 6
    token_types: int = 2
    epsilon: float = 1e-12
    block: int = 32
    pieces: list[bytes] = field(
        default_factory=lambda: [
            piece.encode() for piece in ("<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b", "▁ab", "é", "<mask>")
        ]
    )
    #: bos, eos, pad, unk: the order of the file.
    special: tuple[int, int, int, int] = (0, 2, 1, 3)
    scores: list[float] = field(default_factory=lambda: [0, 0, 0, 0, -2.0, -3.5, -3.25, -4.125, -5.0, 0])
    first_offset: int = 0
    text_bytes: int | None = None
    rules: list[tuple[int, list[int]]] = field(
        default_factory=lambda: [(0x7, []), (0xA0, [0x20]), (0xBD, [0x31, 0x2044, 0x32]), (0xFB01, [0x66, 0x69])]
    )
    rule_count: int | None = None
    rule_padding: bytes = b""
    entry_count: int | None = None
    trailing: bytes = b""
    gap: int = 0

    def __post_init__(self) -> None:
        #: name in the file -> what a reader has to get back.
        self.values: dict[str, np.ndarray] = {}
        self.entries: list[Entry] = []
        #: The offsets at which one field of the header ends and the next begins.
        self.boundaries: list[int] = []
        random = np.random.default_rng(5)

        def add(name: str, shape: tuple[int, ...], four_bit: bool = False) -> None:
            matrix = random.normal(size=shape).astype(np.float32)
            raw, back = blocks(matrix) if four_bit else (matrix.astype("<f4").tobytes(), matrix)
            self.values[name] = back
            self.entries.append(Entry(name, raw, matrix.size, int(four_bit)))

        add("emb.word", (12, 32), four_bit=True)
        add("emb.pos", (6, 32))
        add("emb.type", (2, 32))
        add("emb.ln.w", (32,))
        add("emb.ln.b", (32,))
        for layer in range(2):
            for name, shape in (("q", (32, 32)), ("k", (32, 32)), ("v", (32, 32)), ("ao", (32, 32)), ("aln", (32,))):
                add(f"l{layer}.{name}.w", shape, four_bit=len(shape) == 2)
                add(f"l{layer}.{name}.b", (32,))
            for name, shape in (("fi", (64, 32)), ("fo", (32, 64)), ("oln", (32,))):
                add(f"l{layer}.{name}.w", shape, four_bit=len(shape) == 2)
                add(f"l{layer}.{name}.b", shape[:1])

    def entry(self, name: str) -> Entry:
        return next(entry for entry in self.entries if entry.name == name)

    def bytes(self) -> bytes:
        data = bytearray()
        self.boundaries = [0]

        def put(layout: str, *values: object) -> None:
            data.extend(struct.pack(f"<{layout}", *values))
            self.boundaries.append(len(data))

        put("4s", self.magic)
        put("I", self.version)
        for number in (self.hidden, self.layers, self.heads, self.feed_forward, self.vocabulary, self.positions):
            put("i", number)
        put("i", self.token_types)
        put("f", self.epsilon)
        put("i", self.block)
        put("i", len(self.pieces))
        for index in self.special:
            put("i", index)
        text = b"".join(self.pieces)
        put("Q", len(text) if self.text_bytes is None else self.text_bytes)
        starts = [sum(map(len, self.pieces[:index])) for index in range(len(self.pieces) + 1)]
        put(f"{len(starts)}I", self.first_offset, *starts[1:])
        put(f"{len(self.scores)}f", *self.scores)
        put(f"{len(text)}s", text)
        rules = b"".join(struct.pack(f"<IB{len(new)}I", old, len(new), *new) for old, new in self.rules)
        rules += self.rule_padding
        put("i", len(self.rules) if self.rule_count is None else self.rule_count)
        put("I", len(rules))
        put(f"{len(rules)}s", rules)
        put("i", len(self.entries) if self.entry_count is None else self.entry_count)
        tensors = self._tensors(len(data) + sum(23 + len(entry.name) for entry in self.entries))
        for entry, (offset, _) in zip(self.entries, tensors, strict=True):
            put("H", len(entry.name))
            put(f"{len(entry.name)}s", entry.name.encode())
            put("B", entry.kind)
            put("I", entry.values)
            put("Q", offset if entry.offset is None else entry.offset)
            put("Q", len(entry.raw) if entry.size is None else entry.size)
        for offset, raw in tensors:
            data.extend(b"\0" * (offset - len(data)))
            data.extend(raw)
        return bytes(data) + self.trailing

    def _tensors(self, start: int) -> list[tuple[int, bytes]]:
        found = []
        for entry in self.entries:
            start = -(-start // 64) * 64 + self.gap
            found.append((start, entry.raw))
            start += len(entry.raw)
        return found


@pytest.fixture
def wheel_file() -> WheelFile:
    return WheelFile()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write bytes to a file: ``written(wheel_file.bytes())``."""

    def write(data: bytes) -> Path:
        path = tmp_path / "tiny-q4.bin"
        path.write_bytes(data)
        return path

    return write
