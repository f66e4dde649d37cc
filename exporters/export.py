"""One checkpoint to one artifact: trace, variant's steps, parity, and only then the directory."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters.manifest import manifest
from exporters.modules import Loaded, load_module, retrieval_layer
from exporters.onnx import write_graph
from exporters.parity import parity
from exporters.variants import Variant, find_variant
from harness.artifacts import GRAPH, MANIFEST, TOKENIZER, Artifact, file_sha256, read_artifact
from harness.errors import ArtifactError, CheckpointError
from harness.heads import Head, SentenceEmbedding, describe
from harness.task import AnyFinetune
from harness.tensors import GraphSignature
from harness.tokenizer import FastTokenizer
from training.checkpoint import Checkpoint, read_checkpoint


def export_artifact(
    checkpoint_dir: Path,
    finetune: AnyFinetune,
    variant: str,
    out: Path,
    probes: Sequence[NDArray[np.int64]],
    *,
    force: bool = False,
) -> Artifact:
    """Export a checkpoint and return its artifact; one that is there already is only returned.

    Args:
        checkpoint_dir: a checkpoint that `training.checkpoint` wrote.
        finetune: what the checkpoint was trained for.
        variant: a name of `exporters.variants.VARIANTS`.
        out: the artifact's own directory, as `ArtifactStore.directory` gives it. An older artifact
            there is replaced at the very end, and stays if anything fails before.
        probes: token ids of real sentences of several lengths, each (tokens,), for the parity check.
        force: export even if the artifact of this checkpoint and variant is there.

    Raises:
        UsageError: no such variant.
        CheckpointError: the checkpoint is damaged, of another head, or does not fit its tokenizer.
        ArtifactError: the graph differs from PyTorch past the variant's tolerance.
    """
    chosen = find_variant(variant)
    checkpoint = read_checkpoint(checkpoint_dir)
    _check_finetune(checkpoint, finetune)
    if not force and (present := _present(out, checkpoint, finetune.head, chosen)) is not None:
        return present
    loaded = load_module(checkpoint, finetune.head)
    _check_tokens(checkpoint, loaded, probes)
    signature = finetune.head.signature(loaded.hidden)
    out.parent.mkdir(parents=True, exist_ok=True)
    # One level deeper than an artifact lies, so that no listing of artifacts ever finds a draft.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        draft = Path(scratch) / "draft"
        draft.mkdir()
        _write_variant(loaded, signature, chosen, draft / GRAPH)
        agreement = parity(loaded.module, draft / GRAPH, probes, loaded.pad_id, chosen.tolerance)
        shutil.copyfile(checkpoint.tokenizer, draft / TOKENIZER)
        account = manifest(
            draft,
            checkpoint=checkpoint,
            finetune=finetune,
            variant=chosen.name,
            loaded=loaded,
            signature=signature,
            parity=agreement,
            probes=probes,
        )
        (draft / MANIFEST).write_text(json.dumps(account, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _replace(out, draft, Path(scratch) / "retired")
    return read_artifact(out)


def _check_finetune(checkpoint: Checkpoint, finetune: AnyFinetune) -> None:
    trained = checkpoint.account.get("finetune")
    # An encoder of phase 1 or 2 was trained for no finetune.
    if trained not in (None, finetune.name):
        message = f"checkpoint {checkpoint.directory} was trained for {trained!r}, {finetune.name!r} is wanted"
        raise CheckpointError(message)


def _check_tokens(checkpoint: Checkpoint, loaded: Loaded, probes: Sequence[NDArray[np.int64]]) -> None:
    """Refuse a tokenizer that is not the network's, before torch fails on an index."""
    pad_id = FastTokenizer(checkpoint.tokenizer).pad_id
    largest = max(int(row.max()) for row in probes)
    longest = max(len(row) for row in probes)
    for name, found, right, fits in (
        ("padding id", pad_id, loaded.pad_id, pad_id == loaded.pad_id),
        ("largest token id", largest, f"below {loaded.vocabulary}", largest < loaded.vocabulary),
        ("longest row", longest, f"at most {loaded.max_tokens} tokens", longest <= loaded.max_tokens),
    ):
        if not fits:
            message = f"{name} of {checkpoint.tokenizer} is {found}, the network's config.json wants {right}"
            raise CheckpointError(message)


def _present(out: Path, checkpoint: Checkpoint, head: Head, variant: Variant) -> Artifact | None:
    """Return the artifact in `out` if exporting again would only repeat it."""
    try:
        artifact = read_artifact(out)
    except ArtifactError:
        # Missing or damaged: either way there is something to write.
        return None
    made = artifact.manifest
    layer = retrieval_layer(head, checkpoint, made["layers"]) if isinstance(head, SentenceEmbedding) else None
    same = (
        made["checkpoint"]["digest"] == checkpoint.digest
        and artifact.variant == variant.name
        and made["head"] == describe(head)
        and made["retrieval_layer"] == layer
    )
    files = ((artifact.graph, artifact.graph_sha256), (artifact.tokenizer, artifact.tokenizer_sha256))
    whole = all(path.is_file() and file_sha256(path) == digest for path, digest in files)
    return artifact if same and whole else None


def _write_variant(loaded: Loaded, signature: GraphSignature, variant: Variant, graph: Path) -> None:
    write_graph(loaded.module, signature, graph)
    for step in variant.steps:
        after = graph.with_name(f"after-{graph.name}")
        step(graph, after)
        after.replace(graph)


def _replace(out: Path, draft: Path, retired: Path) -> None:
    """Put the draft where an older artifact may be, which comes back if that fails."""
    if not out.exists():
        draft.rename(out)
        return
    out.rename(retired)
    try:
        draft.rename(out)
    except BaseException:
        retired.rename(out)
        raise
