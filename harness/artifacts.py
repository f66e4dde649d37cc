"""Exported graphs on disk: `artifacts/<model>/<finetune>/<variant>/`, the exporter's product.

The evaluator and the server meet the producers only here, through directories with a manifest.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import ArtifactError, UsageError, nearest
from harness.tensors import GraphSignature

MANIFEST = "manifest.json"
GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
#: What the export gate found; see `exporters.gate`.
GATE = "gate.json"


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file, read in blocks."""
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """One exported graph with its tokenizer and its account of where it came from."""

    model: str
    finetune: str
    variant: str
    directory: Path
    signature: GraphSignature
    graph_sha256: str
    tokenizer_sha256: str
    #: Everything else the exporter wrote: head, layer, parity, lineage, packages, recipe.
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Return the name under which Triton serves the graph: ``mixed_ru-mnli-fp32``."""
        return f"{self.model}-{self.finetune}-{self.variant}"

    @property
    def batch_dependent(self) -> bool:
        """Return whether an answer depends on the rows that it is batched with."""
        return bool(self.manifest.get("batch_dependent", False))

    @property
    def pad_id(self) -> int:
        """Return the id that fills rows up.

        Raises:
            ArtifactError: the manifest is of an older version, which did not tell it.
        """
        if "pad_id" not in self.manifest:
            fix = f"export it again with `harness export --model {self.model} --force`"
            message = f"the manifest of {self.name!r} has no pad_id, as this version needs; {fix}"
            raise ArtifactError(message)
        return int(self.manifest["pad_id"])

    @property
    def graph(self) -> Path:
        """Return the ONNX file."""
        return self.directory / GRAPH

    @property
    def tokenizer(self) -> Path:
        """Return the tokenizers file."""
        return self.directory / TOKENIZER


def read_artifact(directory: Path) -> Artifact:
    """Return the artifact in a directory.

    Raises:
        ArtifactError: the manifest is missing or damaged.
    """
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return Artifact(
            model=manifest["model"],
            finetune=manifest["finetune"],
            variant=manifest["variant"],
            directory=directory,
            signature=GraphSignature.from_json(manifest["signature"]),
            graph_sha256=manifest["graph_sha256"],
            tokenizer_sha256=manifest["tokenizer_sha256"],
            manifest=manifest,
        )
    except FileNotFoundError as error:
        message = f"{directory} holds no exported graph; write one with `harness export`"
        raise ArtifactError(message) from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is damaged ({error!r}); export the model again with `harness export`"
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
        for path, expected in (
            (artifact.graph, artifact.graph_sha256),
            (artifact.tokenizer, artifact.tokenizer_sha256),
        ):
            if not path.is_file() or file_sha256(path) != expected:
                message = (
                    f"{path} is not the file its manifest describes; "
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
                f"model {model!r} has no variant {variant!r}{nearest(variant, variants)}; it has {', '.join(variants)}"
            )
            raise UsageError(message)
