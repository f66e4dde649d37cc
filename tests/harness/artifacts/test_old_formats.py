"""Products of the versions before formats were counted are read, their unknown keys and digests kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.artifacts.checkpoint import read_checkpoint
from harness.artifacts.gate import read_gate
from harness.artifacts.manifest import differing_metadata
from harness.artifacts.run import read_run
from harness.artifacts.store import read_artifact
from harness.core.files import content_sha256
from harness.evaluation.request import EvaluationRequest

#: `phase.json` of phase 3 as it was written at bc8a347, every key of it, with short values.
PHASE: dict[str, Any] = {
    "phase": "target",
    "model": "tiny",
    "key": "159b",
    "parents": {"intermediate": "3ce2"},
    "recipe": {
        "name": "tiny",
        "description": "для проверки",
        "data": "sample",
        "seed": 1,
        "pretrained": {"checkpoint": None, "revision": None, "scratch": {"layers": 4}, "retrieval_layer": 1},
        "intermediate": {"steps": 640, "frozen_layers": 2, "tasks": [{"name": "mnli", "weight": 2.0}]},
        "target": {"finetunes": [], "overrides": {"mnli": {"learning_rate": 0.0005}}},
        "export": {"variants": ["fp32"]},
        "compute": {"accumulation": 1},
    },
    "seed": 1,
    "retrieval_layer": None,
    "overlaps": [],
    "leak_allowed": None,
    "packages": {"torch": "2.13.0+cpu"},
    "git": {"commit": "bc8a347", "dirty": False},
    "data_sha256": {"intermediate/mnli/en/train.jsonl": "5a1f"},
    "seen": {"alignment": {"ru": 5000}, "inference": {"en": 6628, "ru": 5144}},
    "finetune": "mnli",
    "head": {"kind": "SequenceClassification", "labels": ["contradiction", "entailment", "neutral"]},
    "taught_by": "mnli",
    "body": None,
    "mix": {"steps": 640, "text_steps": 156, "source_examples": {"mnli": {"en": 750}}, "drawn": {"mnli": {"en": 51}}},
    "steps": 375,
    "examples": 1500,
    "hyperparameters": {"learning_rate": 0.0005, "epochs": 8.0, "batch_rows": 32, "source": "recipe"},
    "losses": [{"step": 18, "loss": 1.0845}],
    "evaluations": [{"step": 75, "score": 60.5}],
    "chosen_step": 375,
    "development": {"en": {"accuracy": 71.1, "examples": 90, "origin": "dev"}},
    "files": {"model.safetensors": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"},
}
#: What bc8a347 called this checkpoint: manifests and children name it so.
DIGEST = "55dfb983a8de3ef8b9408c3eade7edf6a5bdf4c9200caa1cc345041bc012ec6b"
GATE: dict[str, Any] = {
    "model": "tiny",
    "finetune": "mnli",
    "variant": "fp32",
    "checkpoint": DIGEST,
    "passed": True,
    "problems": [],
    "accepted": None,
    "tolerance": {"difference": 0.0001, "flips": None, "drop": None},
    "trained": {"above_chance": True, "model": 42.2, "ignoring_the_text": 24.5, "gain_interval": [6.25, 75.0]},
    "scripts": {
        "Cyrl": {
            "samples": ["xnli bg", "xnli ru"],
            "examples": 16,
            "decisions": 16,
            "flips": 0.0,
            "largest_difference": 1.7e-06,
            "deviation": 2.28,
            "pytorch": 12.5,
            "graph": 12.5,
            "drop": 0.0,
            "drop_interval": [0.0, 0.0],
        }
    },
    "machine": {"processor": "AMD EPYC", "cores": 2},
}
MANIFEST: dict[str, Any] = {
    "model": "tiny",
    "finetune": "mnli",
    "variant": "fp32",
    "steps": [],
    "batch_dependent": False,
    "head": PHASE["head"],
    "signature": {
        "inputs": [
            {"name": "input_ids", "dtype": "int64", "axes": ["rows", "tokens"]},
            {"name": "attention_mask", "dtype": "int64", "axes": ["rows", "tokens"]},
        ],
        "outputs": [{"name": "logits", "dtype": "float32", "axes": ["rows", 3]}],
    },
    "graph_sha256": "18e5",
    "tokenizer_sha256": "6874",
    "gate_sha256": "9610",
    "vocabulary": 3000,
    "pad_id": 1,
    "hidden": 96,
    "layers": 4,
    "max_tokens": 512,
    "retrieval_layer": None,
    "opset": 18,
    "ir_version": 8,
    "needs_onnxruntime": "1.14",
    "parity": {"rows": 22, "lengths": [16], "tolerance": 0.0001, "runtime": "onnxruntime 1.31.1", "outputs": {}},
    "checkpoint": {
        "digest": DIGEST,
        "account": {**{key: value for key, value in PHASE.items() if key != "losses"}, "omitted": ["losses"]},
    },
    "packages": {"torch": "2.13.0+cpu"},
    "probe": [0, 607, 2],
    "created": "2026-12-01T01:19:20+00:00",
}
RUN: dict[str, Any] = {
    "model": "tiny",
    "variant": "fp32",
    "endpoint": "triton (local)",
    "suite": "xtreme",
    "request": {
        "models": ["tiny"],
        "tasks": ["all"],
        "suite": "xtreme",
        "languages": [],
        "scripts": [],
        "split": "test",
        "data": "sample",
        "endpoint": None,
        "variant": "fp32",
        "limit": None,
        "output": None,
        "protocols": [],
        "available": False,
        "submission": None,
        "tuning": True,
    },
    "tasks": {
        "xnli": {
            "score": 40.0,
            "label": "partial: 1/15 languages, test, not the official number of examples",
            "complete": False,
            "headline": ["accuracy"],
            "protocol": "",
            "representation": "",
            "stand_in": "",
            "leak": "",
            "selected_on": "",
            "languages": {
                "ru": {"accuracy": 40.0, "examples": 5, "split": "test", "official": False, "exposure": "unseen"}
            },
            "scripts": {"Cyrl": 40.0},
            "families": {"Indo-European": 40.0},
            "non-Latin": 40.0,
            "transfer_gap": None,
            "unseen": 40.0,
        }
    },
    "groups": {"Sentence-pair Classification": None},
    "overall": {"paper": None},
    "padding": {"padded_tokens": 10, "useful_tokens": 9, "ratio": 1.1, "batches": 1, "rows": 5, "graph_seconds": 1.6},
    "repeats": "each row's answer is its own, whatever it is batched with",
    "provenance": {
        "packages": {"numpy": "1.26.4"},
        "git": {"commit": "bc8a347", "dirty": False},
        "data": "sample/xtreme",
        "data_sha256": {"xnli": "b879"},
        "variant": {"mnli": "fp32"},
        "graph_sha256": {"mnli": "18e5"},
        "tokenizer_sha256": "6874",
        "checkpoint_sha256": {"mnli": DIGEST},
        "backend": "onnxruntime (python backend) in Triton 2.51.0",
        "search": "faiss 1.15.1 (CPU)",
        "machine": {"cores": 2},
        "created": "2026-12-01T01:21:06+00:00",
        "tuning": None,
    },
    "stages": {"imports": 0.0, "total": 8.6},
    "tokens": {"tokenized_rows": 0, "cached_rows": 5},
    "fingerprint": "1bb8",
}


def write(path: Path, document: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    return path.parent


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = write(tmp_path / "checkpoints/tiny/target/mnli/phase.json", PHASE)
    (folder / "model.safetensors").write_bytes(b"weights")
    assert content_sha256(folder / "model.safetensors") == PHASE["files"]["model.safetensors"]
    return folder


def test_checkpoint_keeps_the_digest_that_its_children_name(checkpoint: Path) -> None:
    found = read_checkpoint(checkpoint)
    assert found.digest == DIGEST
    assert (found.metadata.format, found.metadata.variants, found.metadata.data) == (1, ["fp32"], "sample")
    assert (found.metadata.frozen_layers, found.metadata.seen["inference"]["ru"]) == (2, 5144)


def test_digest_is_over_keys_that_no_record_names(checkpoint: Path) -> None:
    write(checkpoint / "phase.json", {**PHASE, "hyperparameters": {}})
    assert read_checkpoint(checkpoint).digest != DIGEST


def test_manifest_is_read_and_agrees_with_its_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "artifacts/tiny/mnli/fp32/manifest.json", MANIFEST)
    found = read_artifact(folder)
    assert (found.manifest.format, found.name, found.pad_id) == (1, "tiny-mnli-fp32", 1)
    assert found.signature.to_json() == MANIFEST["signature"]
    assert found.manifest.checkpoint.digest == DIGEST
    assert found.checkpoint.omitted == ["losses"]
    assert differing_metadata(folder / "manifest.json", "tiny", read_checkpoint(checkpoint)) is None


def test_manifest_that_disagrees_in_a_key_that_no_record_names_is_found(checkpoint: Path, tmp_path: Path) -> None:
    account = {**MANIFEST["checkpoint"]["account"], "chosen_step": 300}
    path = tmp_path / "manifest.json"
    write(path, {**MANIFEST, "checkpoint": {"digest": DIGEST, "account": account}})
    assert differing_metadata(path, "tiny", read_checkpoint(checkpoint)) == "chosen_step"


def test_gate_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "gate.json", GATE)
    found = read_gate(folder / "gate.json", "tiny")
    assert found is not None
    assert (found.format, found.passed, found.tolerance.difference) == (1, True, 0.0001)
    assert (found.scripts["Cyrl"].drop_interval, found.trained.gain_interval) == ((0.0, 0.0), (6.25, 75.0))


def test_run_is_read_and_its_request_can_be_made_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "run/scores.json", RUN)
    found = read_run(folder)
    assert (found.format, found.tasks["xnli"].score, found.tasks["xnli"].not_latin) == (1, 40.0, 40.0)
    assert found.tasks["xnli"].rows["ru"].scores == {"accuracy": 40.0}
    assert (found.plausibility, found.warnings) == ({}, [])
    request = EvaluationRequest.from_record(found.request, None, None)
    assert (request.models, request.suite, request.tuning) == (("tiny",), "xtreme", True)
