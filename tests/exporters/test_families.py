"""Checkpoints of other families than XLM-R on their way to a served model, and precisions that are refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_checkpoints import finetune
from tiny_encoders import ROWS, tiny_encoder
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from benchmarks.families import CASES, fine_tuned
from exporters.export import GateRefusal, export_artifact
from harness.artifacts.store import Artifact
from harness.benchmark import finetunes
from harness.core.errors import CheckpointError
from harness.core.heads import SentenceEmbedding
from harness.inference.endpoints.onnx import OnnxEndpoint
from harness.inference.planner import BatchPlanner
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import declaration, text_model
from harness.text.pipeline import TextPipeline
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import read_checkpoint
from training.encoders.loading import load_encoder

PREMISE, HYPOTHESIS = "wж10 wж20 wж30", "wж40 wж50"


def probes_of(first: int, last: int) -> Sequence[NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    return [np.array([first, *generator.integers(10, ROWS - 1, size=size), last]) for size in (1, 5, 14)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact]:
    """A BERT encoder with the head of mnli: its checkpoint, and its artifact."""
    root = tmp_path_factory.mktemp("bert")
    mnli = finetunes.load("mnli")
    checkpoint = fine_tuned(root / "checkpoint", tiny_encoder(root / "encoder", "bert"), mnli.head, "mnli")
    return checkpoint, export_artifact(checkpoint, mnli, "fp32", root / "tiny/mnli/fp32", probes_of(2, 3), ())


def test_text_model_answers_as_plain_transformers_does(exported: tuple[Path, Artifact]) -> None:
    checkpoint, artifact = exported
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(checkpoint / "tokenizer.json"))
    with torch.no_grad():
        encoded = tokenizer(PREMISE, HYPOTHESIS, return_tensors="pt")
        assert encoded["token_type_ids"].tolist() == [[0] * 5 + [1] * 3]
        logits = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()(**encoded).logits[0]
    pipeline = TextPipeline(declaration(artifact), FastTokenizer(artifact.tokenizer))
    fields = dict(zip([field.name for field in pipeline.form.fields], ([PREMISE], [HYPOTHESIS]), strict=True))
    with OnnxEndpoint.of(artifact) as endpoint:
        (answer,) = pipeline.ask([pipeline.read(fields)], endpoint, BatchPlanner())
    right = torch.softmax(logits, 0).tolist()
    given = [answer["probabilities"][label] for label in finetunes.load("mnli").head.labels]
    np.testing.assert_allclose(given, right, atol=1e-4)


def test_published_graph_has_token_types_in_config_warm_up_and_known_answer(
    exported: tuple[Path, Artifact], tmp_path: Path
) -> None:
    _, artifact = exported
    publish(artifact, tmp_path, Serving(threads=1), probe_ids=artifact.manifest.probe, text=text_model)
    folder = tmp_path / artifact.name
    config = (folder / "configs/online.pbtxt").read_text(encoding="utf-8")
    assert 'name: "token_type_ids" data_type: TYPE_INT64 dims: [ -1 ] allow_ragged_batch: true' in config
    assert list((folder / "warmup").glob("*-token_type_ids"))
    known = json.loads((folder / "1/known_answer.json").read_text(encoding="utf-8"))
    assert list(known["inputs"]) == ["input_ids", "attention_mask", "token_type_ids"]


def test_artifact_says_what_the_family_has(exported: tuple[Path, Artifact]) -> None:
    _, artifact = exported
    assert (artifact.manifest.pad_id, artifact.manifest.max_tokens) == (0, 64)


def test_precision_that_a_family_cannot_compute_in_is_refused_with_the_reason(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path / "encoder", "deberta-v2")
    checkpoint = fine_tuned(tmp_path / "checkpoint", encoder, CASES["tags"].head)
    with pytest.raises(
        GateRefusal, match=r"tiny is not published in fp16: .*become NaN \(microsoft/DeBERTa#77.*choose another"
    ):
        export_artifact(checkpoint, finetune("tiny", CASES["tags"].head), "fp16", tmp_path / "out", probes_of(1, 2), ())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "pooler"])
def test_sentence_is_pooled_as_the_head_says(tmp_path: Path, pooling: str) -> None:
    encoder = tiny_encoder(tmp_path / "encoder", "bert", layout="pooler")
    network = load_encoder(encoder, pooler=True).eval()
    rows = probes_of(2, 3)
    right = []
    with torch.no_grad():
        for row in rows:
            states = network(torch.from_numpy(row)[None])
            hidden = states.last_hidden_state[0]
            right.append(
                {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1], "pooler": states.pooler_output[0]}[
                    pooling
                ]
            )
    head = SentenceEmbedding(layers={3: 3}, pooling=pooling)
    checkpoint = _encoder_checkpoint(tmp_path / "checkpoint", encoder)
    artifact = export_artifact(checkpoint, finetune("tiny", head), "fp32", tmp_path / "m/tiny/fp32", rows, ())
    with OnnxEndpoint.of(artifact) as endpoint:
        for row, vector in zip(rows, right, strict=True):
            given = endpoint.infer({"input_ids": row[None], "attention_mask": np.ones_like(row)[None]})["embedding"][0]
            np.testing.assert_allclose(given, torch.nn.functional.normalize(vector, dim=0).numpy(), atol=1e-5)


def test_pooler_of_a_lower_layer_is_refused(tmp_path: Path) -> None:
    encoder = tiny_encoder(tmp_path / "encoder", "bert", layout="pooler")
    checkpoint = _encoder_checkpoint(tmp_path / "checkpoint", encoder)
    head = SentenceEmbedding(layers={3: 2}, pooling="pooler")
    with pytest.raises(
        CheckpointError, match="pooling 'pooler' reads the last of 3 layers, and retrieval layer 2 is set"
    ):
        export_artifact(checkpoint, finetune("tiny", head), "fp32", tmp_path / "out", probes_of(2, 3), ())


def test_vocabulary_of_another_encoder_is_refused_at_export(tmp_path: Path) -> None:
    head = CASES["label"].head
    checkpoint = fine_tuned(tmp_path / "checkpoint", tiny_encoder(tmp_path / "encoder", "bert"), head)
    assert read_checkpoint(checkpoint).metadata.finetune == "tiny"
    other = tiny_encoder(tmp_path / "other", "xlm-roberta")
    checkpoint = _with_tokenizer(tmp_path / "mixed", checkpoint, other / "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"its padding has the id 1, pad_token_id in config\.json is 0"):
        export_artifact(checkpoint, finetune("tiny", head), "fp32", tmp_path / "out", probes_of(2, 3), ())


def _encoder_checkpoint(folder: Path, encoder: Path) -> Path:
    """Return a checkpoint of an encoder that nothing was trained on, as phase 1 or an import leaves it."""
    metadata = {"phase": "pretrained", "model": "tiny", "parents": {}, "seen": {}}
    return _written(folder, encoder, encoder / "tokenizer.json", metadata)


def _with_tokenizer(folder: Path, checkpoint: Path, tokenizer: Path) -> Path:
    return _written(folder, checkpoint, tokenizer, dict(read_checkpoint(checkpoint).document))


def _written(folder: Path, source: Path, tokenizer: Path, metadata: dict) -> Path:
    from training.checkpoint import write_checkpoint

    def save(draft: Path) -> None:
        for name in ("config.json", "model.safetensors"):
            (draft / name).write_bytes((source / name).read_bytes())
        (draft / "tokenizer.json").write_bytes(tokenizer.read_bytes())

    return write_checkpoint(folder, metadata, save).directory
