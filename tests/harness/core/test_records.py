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

CHECKPOINT = {"phase": "target", "model": "tiny", "files": {}, "parents": {}, "seen": {}}
GRAPH = {
    "model": "tiny",
    "finetune": "mnli",
    "variant": "fp32",
    "signature": {"inputs": [], "outputs": []},
    "graph_sha256": "a",
    "tokenizer_sha256": "b",
    "hidden": 8,
    "pad_id": 1,
    "checkpoint": {"digest": "c", "account": CHECKPOINT},
}
ROW = {"accuracy": 1.0, "examples": 3, "split": "test", "official": False, "exposure": "unseen"}
RUN = {
    "model": "tiny",
    "variant": "fp32",
    "endpoint": "onnx",
    "request": {"tasks": ["xnli"], "data": "d", "limit": None, "protocols": []},
    "tasks": {"xnli": {"score": 1.0, "languages": {"ru": ROW}}},
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
    "deep under an unknown key": (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is damaged"),
    "format of another kind": (b'{"format": "two"}', "format: Expected `int`, got `str`"),
    "newer format": (None, "has format 9, this version reads 1 to "),
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
        (PHASE_FILE, "parents", "missing required field `parents`"),
        (PHASE_FILE, "seen", "missing required field `seen`"),
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


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        (PHASE_FILE, "phase", 3, "phase: Expected `str`, got `int`"),
        (PHASE_FILE, "seen", {"reading": {"en": "many"}}, "seen[...][...]: Expected `int`, got `str`"),
        (PHASE_FILE, "parents", ["a"], "parents: Expected `object`, got `array`"),
        (PHASE_FILE, "files", {"model.safetensors": None}, "files[...]: Expected `str`, got `null`"),
        (PHASE_FILE, "steps", 1.5, "steps: Expected `int | null`, got `float`"),
        (PHASE_FILE, "recipe", {"export": {"variants": "fp32"}}, "recipe.export.variants: Expected `array`, got `str`"),
        (PHASE_FILE, "recipe", {"data": 5}, "recipe.data: Expected `str | null`, got `int`"),
        (PHASE_FILE, "body", {"finetune": "siqa"}, "body: Object missing required field `digest`"),
        (MANIFEST, "pad_id", "1", "pad_id: Expected `int`, got `str`"),
        (MANIFEST, "signature", {"inputs": []}, "signature: Object missing required field `outputs`"),
        (
            MANIFEST,
            "signature",
            {"inputs": [{"name": "input_ids", "dtype": "int8", "axes": []}], "outputs": []},
            "signature.inputs[0].dtype: Invalid enum value 'int8'",
        ),
        (MANIFEST, "checkpoint", {"digest": "c"}, "checkpoint: Object missing required field `account`"),
        (MANIFEST, "probe", [1, None], "probe[1]: Expected `int`, got `null`"),
        (GATE, "passed", "yes", "passed: Expected `bool`, got `str`"),
        (GATE, "scripts", {"Latn": {}}, "scripts[...]: Object missing required field `samples`"),
        (SCORES, "tasks", [], "tasks: Expected `object`, got `array`"),
        (SCORES, "tasks", {"xnli": {"score": "x", "languages": {}}}, "tasks[...].score: Expected `float`, got `str`"),
        (SCORES, "request", {**RUN["request"], "protocols": {}}, "request.protocols: Expected `array`, got `object`"),
        (SCORES, "provenance", {}, "provenance: Object missing required field `data_sha256`"),
    ],
)
def test_wrong_field_is_named_by_its_path(name: str, key: str, value: object, words: str, tmp_path: Path) -> None:
    read, document, error, fix = READERS[name]
    (tmp_path / name).write_bytes(msgspec.json.encode({**document, key: value}))
    with pytest.raises(error) as caught:
        read(tmp_path)
    assert f"{tmp_path / name} is damaged ({words}); " in str(caught.value)
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"accuracy": 1.0}, "Object missing required field `examples`"),
        ({**ROW, "split": "training"}, "split: Invalid enum value 'training'"),
        ({**ROW, "accuracy": "high"}, "scores[...]: Expected `float`, got `str`"),
    ],
)
def test_wrong_language_of_a_run_is_named(row: dict[str, object], words: str, tmp_path: Path) -> None:
    document = {**RUN, "tasks": {"xnli": {"score": 1.0, "languages": {"ru": row}}}}
    (tmp_path / SCORES).write_bytes(msgspec.json.encode(document))
    with pytest.raises(UsageError) as caught:
        read_run(tmp_path)
    assert "tasks[...]: language ru: " in str(caught.value)
    assert words in str(caught.value)


def test_metrics_of_a_language_are_apart_from_what_is_known_of_it(tmp_path: Path) -> None:
    (tmp_path / SCORES).write_bytes(msgspec.json.encode(RUN))
    (row,) = read_run(tmp_path).tasks["xnli"].rows.values()
    assert (row.scores, row.examples, row.exposure) == ({"accuracy": 1.0}, 3, "unseen")


def test_number_that_python_does_not_read_is_one_sentence(tmp_path: Path) -> None:
    raw = msgspec.json.encode(CHECKPOINT)[:-1] + b', "unknown": ' + b"9" * 5_000 + b"}"
    (tmp_path / PHASE_FILE).write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"is damaged \(Exceeds the limit"):
        read_metadata(tmp_path)


def test_recipe_without_variants_says_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / PHASE_FILE).write_bytes(msgspec.json.encode(CHECKPOINT))
    with pytest.raises(CheckpointError, match=r"name one with `harness export --model tiny --variant fp32`"):
        _ = read_metadata(tmp_path).metadata.variants


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
