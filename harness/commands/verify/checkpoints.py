"""The links of a checkpoint: its files against phase.json, and its parents."""

from collections.abc import Iterator

from harness.artifacts.checkpoint import Checkpoint, read_checkpoint, read_metadata
from harness.artifacts.workspace import Workspace
from harness.commands.verify.check import SHORT, below, link
from harness.core.errors import ArtifactError, HarnessError


class Lineage:
    """The checkpoints of a workspace by their digests; one that was verified is not verified again."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._verified: set[str] = set()
        self._by_digest: dict[str, Checkpoint] = {}
        for path in workspace.finished_checkpoints("**"):
            try:
                found = read_metadata(path)
            except HarnessError:
                continue  # named where the chain leads there: its digest is then not to be found
            self._by_digest[found.digest] = found

    def find(self, digest: str) -> Checkpoint | None:
        """Return the checkpoint of a digest; None where there is none."""
        return self._by_digest.get(digest)

    def verify(self, checkpoint: Checkpoint) -> Iterator[str]:
        """Yield the lines of the checkpoints that a checkpoint comes from, and its own.

        Raises:
            ArtifactError: a file or a parent is not the recorded one.
        """
        name = below(self._workspace.root, checkpoint.directory)
        if checkpoint.digest in self._verified:
            return
        self._verified.add(checkpoint.digest)
        parents = dict(checkpoint.metadata.parents)
        body = checkpoint.metadata.body
        if body is not None:
            parents[f"body {body.finetune}"] = body.digest
        for role, digest in parents.items():
            parent = self._by_digest.get(digest)
            if parent is None:
                with link(f"checkpoint {name}"):
                    message = (
                        f"its parent ({role}, {digest[:SHORT]}) is not under {self._workspace.checkpoints}; "
                        "it was trained again, deleted or damaged, bring both up to date with `harness train RECIPE`"
                    )
                    raise ArtifactError(message)
            yield from self.verify(parent)
        with link(f"checkpoint {name}"):
            read_checkpoint(checkpoint.directory)
        origins = ", ".join(f"{role} {digest[:SHORT]}" for role, digest in parents.items())
        files = len(checkpoint.metadata.files)
        yield f"ok  checkpoint {name}: {files} files as written" + (f", from {origins}" if origins else "")
