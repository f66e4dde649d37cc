"""A randomly initialised encoder of a given shape: for speed, never for scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer as RustTokenizer
from transformers import PreTrainedModel, XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaModel

from exporters.export import export_artifact
from exporters.modules import Loaded
from exporters.variants import Variant
from harness.artifacts.store import Artifact
from harness.core.errors import UsageError
from harness.core.heads import Head, SentenceEmbedding, SequenceClassification, describe
from harness.core.machine import cores
from harness.core.task import AnyFinetune
from harness.inference.planner import Batch
from harness.serving.repository.config import Serving
from harness.serving.repository.store import publish
from training.checkpoint import Checkpoint, write_checkpoint


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an encoder; the default is XLM-R base (Conneau et al. 2020)."""

    name: str = "base-shape"
    layers: int = 12
    width: int = 768
    heads: int = 12
    feed_forward: int = 3072
    positions: int = 514

    def describe(self) -> str:
        """Return the shape as rows name it."""
        return f"{self.layers} x {self.width}"


def vocabulary_size(tokenizer: Path) -> int:
    """Return how many rows the table of a tokenizer's embeddings needs."""
    vocabulary = RustTokenizer.from_file(str(tokenizer)).get_vocab(with_added_tokens=True)
    return int(max(vocabulary.values())) + 1


def configuration(shape: Shape, vocabulary: int) -> XLMRobertaConfig:
    """Return transformers' configuration of a shape."""
    return XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        max_position_embeddings=shape.positions,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )


def _network(head: Head, config: XLMRobertaConfig) -> PreTrainedModel:
    if isinstance(head, SequenceClassification):
        config.num_labels = len(head.labels)
        return XLMRobertaForSequenceClassification(config)
    if isinstance(head, SentenceEmbedding):
        return XLMRobertaModel(config, add_pooling_layer=False)
    message = f"random weights are made for sequence classification and sentence embedding, not {type(head).__name__}"
    raise UsageError(message)


def write_random(
    folder: Path, shape: Shape, finetune: AnyFinetune, tokenizer: Path, seed: int, *, retrieval_layer: int | None = None
) -> Checkpoint:
    """Write a checkpoint of random weights for a finetune that classifies sequences, or for an encoder.

    Raises:
        UsageError: the finetune has another head.
    """
    config = configuration(shape, vocabulary_size(tokenizer))
    torch.manual_seed(seed)
    network = _network(finetune.head, config).eval()

    def save(draft: Path) -> None:
        network.save_pretrained(draft)
        (draft / "tokenizer.json").write_bytes(tokenizer.read_bytes())

    metadata = {
        "phase": "target",
        "parents": {},
        "seen": {},
        "model": shape.name,
        "finetune": finetune.name,
        "head": describe(finetune.head),
        "seed": seed,
        "retrieval_layer": retrieval_layer,
        "recipe": {"name": shape.name, "description": "random weights, no score"},
    }
    return write_checkpoint(folder / "checkpoints" / shape.name / "target" / finetune.name, metadata, save)


def export_random(
    folder: Path, checkpoint: Checkpoint, finetune: AnyFinetune, probes: Sequence[NDArray[np.int64]]
) -> Artifact:
    """Export and publish a checkpoint below a folder, `artifacts/` and `model_repository/`.

    Raises:
        ArtifactError: the graph differs from PyTorch.
    """
    out = folder / "artifacts" / checkpoint.metadata.model / finetune.name / "fp32"
    artifact = export_artifact(checkpoint.directory, finetune, "fp32", out, probes, ())
    publish(artifact, folder / "model_repository", Serving(threads=cores()), probe_ids=artifact.manifest.probe)
    return artifact


def apply_steps(variant: Variant, graph: Path, folder: Path, loaded: Loaded) -> Path:
    """Apply the steps of a variant, each into a file of its own below a folder; return the last file."""
    for number, step in enumerate(variant.steps):
        target = folder / f"{variant.name}-{number}.onnx"
        step(graph, target, loaded)
        graph = target
    return graph


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan multiplies."""

    padded_tokens: int
    operations: int


def cost(shape: Shape, layers: int, batches: Sequence[tuple[int, int]]) -> Cost:
    """Return the floating point operations of the matrix products of an encoder over a plan, padding included.

    A layer of width d and feed-forward width f does for each token the products of query, key, value and
    output, 4 d^2, and of the feed-forward part, 2 d f; attention multiplies each token's query with, and
    weighs the values of, the w tokens of its row: 2 w d. Each product counts as two operations (multiply and
    add), so that a batch of r rows padded to w takes

        layers * r * w * (8 d^2 + 4 d f + 4 w d).

    Heads, norms, softmax and the embedding table are left out: less than 1 % at base shape.

    Args:
        shape: of the encoder.
        layers: that are computed.
        batches: rows and width of each.
    """
    token = 8 * shape.width**2 + 4 * shape.width * shape.feed_forward
    padded = sum(rows * width for rows, width in batches)
    operations = sum(rows * width * (token + 4 * width * shape.width) for rows, width in batches)
    return Cost(padded, layers * operations)


def shapes(plan: Sequence[Batch]) -> list[tuple[int, int]]:
    """Return rows and width of each batch of a plan."""
    return [(len(batch.rows), batch.width) for batch in plan]
