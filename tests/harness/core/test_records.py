"""Every record names file and key, and how the file is made new."""

from pathlib import Path

import msgspec
import pytest

from harness.artifacts.checkpoint import PHASE_FILE, read_metadata
from harness.artifacts.gate import GATE, read_gate
from harness.artifacts.manifest import MANIFEST, read_manifest
from harness.artifacts.run import SCORES, read_run
from harness.core.errors import ArtifactError, CheckpointError, HarnessError, UsageError
from harness.core.records import Record, read_record, to_json

CHECKPOINT = {"phase": "target", "model": "tiny", "files": {}}
GRAPH = {
    "model": "tiny",
    "finetune": "mnli",
    "variant": "fp32",
    "signature": {},
    "graph_sha256": "a",
    "tokenizer_sha256": "b",
    "hidden": 8,
    "pad_id": 1,
    "checkpoint": {"digest": "c", "account": CHECKPOINT},
}
RUN = {
    "model": "tiny",
    "variant": "fp32",
    "endpoint": "onnx",
    "request": {"tasks": ["xnli"], "data": "d", "limit": None, "protocols": []},
    "tasks": {"xnli": {"score": 1.0, "languages": {}}},
    "provenance": {"data_sha256": {}, "graph_sha256": {}, "tokenizer_sha256": "b", "checkpoint_sha256": {}},
}
#: File name -> its reader, a whole document, the error, and the command of the message.
READERS = {
    PHASE_FILE: (read_metadata, CHECKPOINT, CheckpointError, "run `harness train` again"),
    MANIFEST: (lambda folder: read_manifest(folder / MANIFEST, "tiny"), GRAPH, ArtifactError, "harness export"),
    GATE: (lambda folder: read_gate(folder / GATE, "tiny"), {"passed": True}, ArtifactError, "harness export"),
    SCORES: (read_run, RUN, UsageError, "harness eval"),
}
DAMAGE = {
    "empty": (b"", "not JSON"),
    "cut": (b'{"model": "ti', "not JSON"),
    "no object": (b"[]", "Expected `object`, got `array`"),
    "not UTF-8": (b'{"model": "\xff\xfe"}', "is damaged"),
    "deep": (b"[" * 100_000, "is damaged"),
    "format of another kind": (b'{"format": "two"}', "format: Expected `int`, got `str`"),
    "newer format": (None, "has format 9, this version reads formats 1 to 1"),
}


@pytest.mark.parametrize("name", READERS)
def test_file_without_a_format_is_format_1(name: str, tmp_path: Path) -> None:
    read, document, _, _ = READERS[name]
    (tmp_path / name).write_bytes(msgspec.json.encode({**document, "unknown": [1]}))
    found = read(tmp_path)
    record = found.metadata if name == PHASE_FILE else found
    assert record.format == 1


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_sentence_with_file_and_fix(name: str, damage: str, tmp_path: Path) -> None:
    read, document, error, fix = READERS[name]
    raw, words = DAMAGE[damage]
    (tmp_path / name).write_bytes(msgspec.json.encode({**document, "format": 9}) if raw is None else raw)
    with pytest.raises(error) as caught:
        read(tmp_path)
    message = str(caught.value)
    assert words in message
    assert str(tmp_path / name) in message
    assert fix in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        (PHASE_FILE, "phase", "missing required field `phase`"),
        (PHASE_FILE, "files", "missing required field `files`"),
        (MANIFEST, "checkpoint", "missing required field `checkpoint`"),
        (MANIFEST, "pad_id", "missing required field `pad_id`"),
        (GATE, "passed", "missing required field `passed`"),
        (SCORES, "request", "missing required field `request`"),
    ],
)
def test_missing_field_is_named(name: str, key: str, words: str, tmp_path: Path) -> None:
    read, document, error, _ = READERS[name]
    kept = {field: value for field, value in document.items() if field != key}
    (tmp_path / name).write_bytes(msgspec.json.encode(kept))
    with pytest.raises(error, match=words):
        read(tmp_path)


def test_field_inside_another_is_named_by_its_path(tmp_path: Path) -> None:
    document = {**GRAPH, "checkpoint": {"digest": "c", "account": {**CHECKPOINT, "seed": "one"}}}
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(document))
    with pytest.raises(
        ArtifactError, match=r"damaged \(checkpoint\.account\.seed: Expected `int \| null`, got `str`\)"
    ):
        read_manifest(tmp_path / MANIFEST)


@pytest.mark.parametrize("name", [PHASE_FILE, SCORES])
def test_missing_file_says_what_makes_it(name: str, tmp_path: Path) -> None:
    read, _, error, _ = READERS[name]
    with pytest.raises(error, match=r"harness (train|eval)"):
        read(tmp_path)


def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "record.json").mkdir()
    with pytest.raises(HarnessError, match="cannot be read"):
        read_record(tmp_path / "record.json", Record, UsageError, "write it again")


def test_record_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(GRAPH))
    record = read_manifest(tmp_path / MANIFEST)
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(to_json(record)))
    assert read_manifest(tmp_path / MANIFEST) == record
