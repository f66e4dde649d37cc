"""Exported graphs on disk: `artifacts/<model>/<finetune>/<variant>/`, the exporter's product.

The evaluator and the server meet the producers only here, through directories with a manifest.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from harness.artifacts.checkpoint import CheckpointMetadata
from harness.artifacts.manifest import MANIFEST, ArtifactManifest, read_manifest
from harness.core.errors import ArtifactError, UsageError, nearest
from harness.core.files import file_sha256
from harness.core.tensors import GraphSignature

#: The variant that answers as PyTorch does; retrieval stays in it unless a user exports it otherwise.
EXACT = "fp32"
GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
#: The weights of a graph of more than 2 GiB, which one protobuf file cannot hold (ONNX's external data).
WEIGHTS = f"{GRAPH}.data"


def weights_file(graph: Path) -> Path:
    """Return where the weights of a graph lie that its own file cannot hold; most graphs have no such file."""
    return graph.with_name(f"{graph.name}.data")


def graph_digests(graph: Path) -> dict[str, str]:
    """Return `graph_sha256` of a manifest, and `weights_sha256` where the weights lie in their own file."""
    own, weights = file_sha256(graph), weights_file(graph)
    if not weights.is_file():
        return {"graph_sha256": own}
    apart = file_sha256(weights)
    return {"graph_sha256": joined_sha256(own, apart), "weights_sha256": apart}


def joined_sha256(graph: str, weights: str | None) -> str:
    """Return the digest that a graph is known by.

    Args:
        graph: the digest of the ONNX file.
        weights: that of the file of its weights; None where they are in the ONNX file.
    """
    # The ONNX file alone is the same for other weights of the same shapes.
    return graph if weights is None else sha256(f"{graph} {weights}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """One exported graph with its tokenizer and its manifest."""

    directory: Path
    #: Everything that the exporter wrote: head, layer, parity, lineage, packages.
    manifest: ArtifactManifest

    @property
    def model(self) -> str:
        """Return the model that the graph is of."""
        return self.manifest.model

    @property
    def finetune(self) -> str:
        """Return the training set that the graph was fine-tuned on."""
        return self.manifest.finetune

    @property
    def variant(self) -> str:
        """Return the graph's precision: ``fp32``."""
        return self.manifest.variant

    @property
    def signature(self) -> GraphSignature:
        """Return the graph's inputs and outputs."""
        return self.manifest.signature

    @property
    def graph_sha256(self) -> str:
        """Return the digest that the graph is known by, see `joined_sha256`."""
        return self.manifest.graph_sha256

    @property
    def tokenizer_sha256(self) -> str:
        """Return the digest of the tokenizers file."""
        return self.manifest.tokenizer_sha256

    @property
    def name(self) -> str:
        """Return the name under which Triton serves the graph: ``mixed_ru-mnli-fp32``."""
        return f"{self.model}-{self.finetune}-{self.variant}"

    @property
    def batch_dependent(self) -> bool:
        """Return whether an answer depends on the rows that it is batched with."""
        return self.manifest.batch_dependent

    @property
    def pad_id(self) -> int:
        """Return the id that fills rows up."""
        return self.manifest.pad_id

    @property
    def checkpoint(self) -> CheckpointMetadata:
        """Return the metadata of the checkpoint that the graph was exported from."""
        return self.manifest.checkpoint.metadata

    @property
    def graph(self) -> Path:
        """Return the ONNX file."""
        return self.directory / GRAPH

    @property
    def weights_sha256(self) -> str | None:
        """Return the digest of the file of the weights; None where they are in the ONNX file."""
        return self.manifest.weights_sha256

    @property
    def graph_files(self) -> tuple[Path, ...]:
        """Return the ONNX file, and the file of its weights where there is one."""
        return (self.graph,) if self.weights_sha256 is None else (self.graph, weights_file(self.graph))

    @property
    def graph_bytes(self) -> int:
        """Return how large the graph is, weights included."""
        return sum(path.stat().st_size for path in self.graph_files)

    @property
    def tokenizer(self) -> Path:
        """Return the tokenizers file."""
        return self.directory / TOKENIZER

    def damaged(self) -> Path | None:
        """Return the first file that is missing or is not what the manifest describes; None where all are right."""
        for path in (*self.graph_files, self.tokenizer):
            if not path.is_file():
                return path
        own, *weights = (file_sha256(path) for path in self.graph_files)
        if weights and weights[0] != self.weights_sha256:
            return weights_file(self.graph)
        if joined_sha256(own, weights[0] if weights else None) != self.graph_sha256:
            return self.graph
        return None if file_sha256(self.tokenizer) == self.tokenizer_sha256 else self.tokenizer


def read_artifact(directory: Path) -> Artifact:
    """Return the artifact in a directory.

    Raises:
        ArtifactError: the manifest is missing or damaged; names file and key.
    """
    try:
        return Artifact(directory, read_manifest(directory / MANIFEST, directory.parents[1].name))
    except FileNotFoundError as error:
        message = f"{directory} holds no exported graph; write one with `harness export`"
        raise ArtifactError(message) from error


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """The artifacts under one root."""

    root: Path

    def directory(self, model: str, finetune: str, variant: str) -> Path:
        """Return where such a graph is, or would be."""
        return self.root / model / finetune / variant

    def models(self) -> list[str]:
        """Return the models that have any exported graph."""
        return sorted({path.parents[2].name for path in self.root.glob(f"*/*/*/{MANIFEST}")})

    def of(self, model: str) -> list[Artifact]:
        """Return every exported graph of one model; damage in another model's does not matter."""
        return [read_artifact(path.parent) for path in sorted((self.root / model).glob(f"*/*/{MANIFEST}"))]

    def all(self) -> list[Artifact]:
        """Return every exported graph."""
        return [read_artifact(path.parent) for path in sorted(self.root.glob(f"*/*/*/{MANIFEST}"))]

    def find(self, model: str, finetune: str, variant: str) -> Artifact:
        """Return one graph, checked against its manifest's digests.

        Raises:
            UsageError: no such model or variant; names the nearest.
            ArtifactError: the files are not those the manifest describes.
        """
        self.check_names(model, variant)
        directory = self.directory(model, finetune, variant)
        if not directory.is_dir():
            message = (
                f"model {model!r} has no {variant} graph of {finetune!r} under {self.root}; "
                f"write it with `harness train --target {finetune}` and `harness export --model {model}`"
            )
            raise ArtifactError(message)
        artifact = read_artifact(directory)
        if (path := artifact.damaged()) is not None:
            message = (
                f"{path} {'is not the file its manifest describes' if path.is_file() else 'is missing'}; "
                f"export it again with `harness export --model {model} --force`"
            )
            raise ArtifactError(message)
        return artifact

    def check_names(self, model: str, variant: str) -> None:
        """Refuse a model or a variant that was never exported.

        Raises:
            UsageError: names the nearest right one and how to make it.
        """
        known = self.models()
        if model not in known:
            message = (
                f"no exported model {model!r} under {self.root}{nearest(model, known)}; "
                f"`harness models` lists them, `harness train` and `harness export` make one"
            )
            raise UsageError(message)
        variants = sorted({path.parent.name for path in (self.root / model).glob(f"*/*/{MANIFEST}")})
        if variant not in variants:
            message = (
                f"model {model!r} has no variant {variant!r}{nearest(variant, variants)}; "
                f"it has {', '.join(variants)}, and `harness export --model {model} --variant VARIANT` adds others"
            )
            raise UsageError(message)
