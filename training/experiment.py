"""One recipe on its way through the phases: where it works, and how its checkpoints know each other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness import __version__
from harness.artifacts import file_sha256
from harness.data import Layout
from harness.progress import Progress
from harness.provenance import commit, packages
from harness.recipe import Recipe
from harness.workspace import Workspace
from training.checkpoint import Checkpoint, is_complete, read_checkpoint


@dataclass(frozen=True)
class Training:
    """One recipe on its way through the phases."""

    recipe: Recipe
    workspace: Workspace
    layout: Layout
    progress: Progress
    #: Optimiser steps of every phase at most; None for the recipe's own.
    max_steps: int | None = None

    @property
    def retrieval_layer(self) -> int | None:
        """Return the hidden state that retrieval pools, where the recipe says one."""
        return self.recipe.pretrained.retrieval_layer

    def directory(self, phase: str, finetune: str | None = None) -> Path:
        """Return where a checkpoint of phase 2 or 3 lies."""
        folder = self.workspace.checkpoints / self.recipe.name / phase
        return folder / finetune if finetune else folder

    def steps(self, wanted: int) -> int:
        """Return the steps of a phase, cut where the command line says so."""
        return max(1, wanted if self.max_steps is None else min(wanted, self.max_steps))


def account(training: Training, phase: str, identity: str, parents: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """Return what a checkpoint says of itself."""
    return {
        "phase": phase,
        "model": training.recipe.name,
        "key": identity,
        "parents": dict(parents),
        "recipe": training.recipe.resolved(),
        "seed": training.recipe.seed,
        "retrieval_layer": training.retrieval_layer,
        "packages": packages(),
        "git": commit(),
        **more,
    }


def identity_of(*parts: Any) -> str:
    """Return the identity of a phase's inputs: equal keys need no new training.

    The version is one of them: a release that trains otherwise must not be mistaken for this one.
    """
    return sha256(json.dumps([__version__, *parts], sort_keys=True, default=str).encode()).hexdigest()


def current(directory: Path, identity: str) -> Checkpoint | None:
    """Return the checkpoint there if it came from equal inputs."""
    if not is_complete(directory):
        return None
    found = read_checkpoint(directory)
    return found if found.account.get("key") == identity else None


def digests(paths: Sequence[Path]) -> dict[str, str]:
    """Return the digests of files by folder and name."""
    return {f"{path.parent.name}/{path.name}": file_sha256(path) for path in paths}
