"""The links of an exported graph: its files against manifest.json, and the checkpoint that it came from."""

from collections.abc import Iterator

from harness.artifacts.checkpoint import Checkpoint
from harness.artifacts.gate import GATE
from harness.artifacts.manifest import MANIFEST, differing_metadata
from harness.artifacts.store import Artifact
from harness.artifacts.workspace import Workspace
from harness.commands.verify.check import below, digest, link, require, short
from harness.commands.verify.checkpoints import Lineage
from harness.core.errors import ArtifactError


def verify_artifact(artifact: Artifact, lineage: Lineage, workspace: Workspace) -> Iterator[str]:
    """Yield the lines of the checkpoints that a graph comes from, and its own.

    Raises:
        ArtifactError: a file is not the recorded one, or the checkpoint is gone.
    """
    ancestor = artifact.manifest.checkpoint.digest
    name = below(workspace.root, artifact.directory)
    with link(f"artifact {name}"):
        checkpoint = lineage.find(ancestor)
        if checkpoint is None:
            message = (
                f"its checkpoint {short(ancestor)} is not under {workspace.checkpoints}; "
                f"it was trained again, deleted or damaged, export with `harness export --model {artifact.model}`"
            )
            raise ArtifactError(message)
    yield from lineage.verify(checkpoint)
    with link(f"artifact {name}"):
        workspace.artifacts.find(artifact.model, artifact.finetune, artifact.variant)
        fix = f"export again with `harness export --model {artifact.model} --force`"
        written = checkpoint.metadata.files.get("tokenizer.json")
        require(written, artifact.tokenizer_sha256, "its tokenizer", fix)
        _check_origin(artifact, checkpoint, fix)
        # Graphs from before the gate, and those written without it, name none.
        require(artifact.manifest.gate_sha256, digest(artifact.directory / GATE), f"its {GATE}", fix)
    yield f"ok  artifact {name}: graph and tokenizer as in its manifest, from {short(checkpoint.digest)}"


def _check_origin(artifact: Artifact, checkpoint: Checkpoint, fix: str) -> None:
    """Compare what is recorded elsewhere too: where the artifact lies, and its checkpoint's metadata."""
    folder = "/".join(artifact.directory.parts[-3:])
    require("/".join((artifact.model, artifact.finetune, artifact.variant)), folder, "its folder", fix)
    if key := differing_metadata(artifact.directory / MANIFEST, artifact.model, checkpoint):
        message = f"its manifest has another {key} than its checkpoint; {fix}"
        raise ArtifactError(message)
