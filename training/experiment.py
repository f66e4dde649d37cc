"""One recipe on its way through the phases: where it works, and how its checkpoints know each other."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from harness.artifacts.workspace import Workspace
from harness.core.errors import CheckpointError
from harness.core.files import file_sha256
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.core.records import to_json
from harness.core.version import __version__, packages
from harness.encoders.catalogue import Known, find
from harness.evaluation.provenance import commit
from training.checkpoint import Checkpoint, is_complete, read_checkpoint, write_checkpoint
from training.distributed import once, rank
from training.leaks import Overlap, check
from training.recipe import Recipe

#: Which comparison `training.encoders.loading` makes; counted up where it finds more.
LOADING = 1


@dataclass(frozen=True, slots=True)
class Folders:
    """Where one training writes while it runs."""

    #: States from which it can be resumed.
    states: Path
    #: What TensorBoard shows.
    logs: Path
    #: Whether to resume from the states; they are dropped otherwise.
    resume: bool = True


@dataclass(frozen=True)
class Training:
    """One recipe on its way through the phases."""

    recipe: Recipe
    workspace: Workspace
    layout: Layout
    progress: Progress
    #: Optimiser steps of every phase at most; None for the recipe's own.
    max_steps: int | None = None
    #: Resume from the states that a stopped training left.
    resume: bool = True
    #: Why evaluation sentences may be trained on; None refuses them.
    allow_leak: str | None = None
    #: Gives what the recipe's training shares with evaluation; called before anything is trained.
    overlaps: Callable[[], list[Overlap]] = list

    @property
    def fp32(self) -> bool:
        """Return whether the recipe, or `--fp32`, wants every product in fp32 whatever the machine has."""
        return self.recipe.compute.bf16 is False

    @property
    def retrieval_layer(self) -> int | None:
        """Return the hidden state that retrieval pools, where the recipe or its known encoder says one."""
        start, known = self.recipe.pretrained, self.known
        if start.retrieval_layer is not None or known is None or known.pooling == "pooler":
            return start.retrieval_layer
        return known.retrieval_layer

    @property
    def known(self) -> Known | None:
        """Return the known encoder that the recipe starts from; None where it names none."""
        name = self.recipe.pretrained.encoder
        return None if name is None else find(name)

    def directory(self, phase: str, finetune: str | None = None) -> Path:
        """Return where a checkpoint of phase 2 or 3 lies."""
        folder = self.workspace.checkpoints / self.recipe.name / phase
        return folder / finetune if finetune else folder

    def check_leaks(self) -> None:
        """Refuse to train on evaluation sentences, unless that is allowed.

        Raises:
            LeakError: names them.
        """
        check(self.overlaps(), self.allow_leak)

    def folders(self, identity: str, phase: str) -> Folders:
        """Return where a training keeps its states until its checkpoint is written, and its logs."""
        return Folders(
            # What was begun in bf16 is not continued where fp32 is wanted.
            states=self.workspace.checkpoints / ".states" / f"{identity[:16]}{'-fp32' if self.fp32 else ''}",
            logs=self.workspace.runs / "tensorboard" / self.recipe.name / phase,
            resume=self.resume,
        )

    def keep(self, directory: Path, metadata: Mapping[str, Any], save: Callable[[Path], None]) -> Checkpoint:
        """Write a phase's checkpoint, and drop the states from which its training could have been resumed.

        Raises:
            CheckpointError: the checkpoint cannot be written; an older one there stays.
        """
        try:
            kept = once(lambda: write_checkpoint(directory, metadata, save), lambda: read_checkpoint(directory))
        except (OSError, SafetensorError) as error:
            message = f"checkpoint {directory} cannot be written ({error}); free space and run `harness train` again"
            raise CheckpointError(message) from error
        if rank() == 0:
            states = self.folders(metadata["key"], "").states
            # Those of the learning rates that were tried lie beside them.
            for folder in (states, *states.parent.glob(f"{states.name}-rates")):
                shutil.rmtree(folder, ignore_errors=True)
        return kept

    def steps(self, wanted: int) -> int:
        """Return the steps of a phase, cut where the command line says so."""
        return max(1, wanted if self.max_steps is None else min(wanted, self.max_steps))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a phase's checkpoint is made from; equal inputs need no new training."""

    identity: str
    #: Where the checkpoint goes.
    directory: Path
    #: Data file by its path in the layout -> SHA-256.
    data: Mapping[str, str]
    #: Whether a checkpoint that was computed in less than fp32 is not wanted.
    fp32: bool = False

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint that came from them, if it is there.

        Raises:
            CheckpointError: it is damaged.
        """
        found = current(self.directory, self.identity)
        computed = None if found is None else found.metadata.computed
        return None if self.fp32 and computed is not None and computed.precision != "fp32" else found


def metadata_of(
    training: Training, phase: str, identity: str, parents: Mapping[str, str], **more: Any
) -> dict[str, Any]:
    """Return the metadata of a checkpoint as JSON values."""
    found = training.overlaps()
    return {
        "phase": phase,
        "model": training.recipe.name,
        "key": identity,
        "parents": dict(parents),
        "recipe": training.recipe.resolved(),
        "seed": training.recipe.seed,
        "retrieval_layer": training.retrieval_layer,
        # Every tensor was compared when the encoder was loaded; checkpoints without this are older than that.
        "loading": LOADING,
        "overlaps": [overlap.to_json() for overlap in found],
        "leak_allowed": training.allow_leak if any(overlap.is_leak for overlap in found) else None,
        "gold_errors": None if training.layout.gold_errors is None else len(training.layout.gold_errors),
        "packages": packages(),
        "git": commit(),
        **more,
    }


def origin_of(parent: Checkpoint) -> dict[str, Any]:
    """Return the origin that a checkpoint passes on to those that start from it; empty where it has none."""
    found = parent.metadata.origin
    return {} if found is None else {"origin": to_json(found)}


def add_seen(
    before: Mapping[str, Mapping[str, int]], more: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """Return family -> language -> training examples, summed: what a checkpoint has been taught so far."""
    seen = {family: dict(languages) for family, languages in before.items()}
    for family, languages in more.items():
        known = seen.setdefault(family, {})
        for language, examples in languages.items():
            known[language] = known.get(language, 0) + examples
    return seen


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
    return found if found.metadata.key == identity else None


def digests_of(layout: Layout, paths: Sequence[Path]) -> dict[str, str]:
    """Return the digests of data files by their path in the layout."""
    root = layout.xtreme.parent
    return {str(path.relative_to(root) if path.is_relative_to(root) else path): file_sha256(path) for path in paths}
