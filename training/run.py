"""The body of `harness train`: a recipe, where it works, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from harness.errors import UsageError, nearest
from harness.progress import Progress, Silent
from harness.recipe import Recipe
from harness.workspace import Workspace
from training.checkpoint import Checkpoint, Phase
from training.distributed import once, rank
from training.experiment import Training
from training.phases import train


@dataclass(frozen=True, slots=True)
class Trained:
    """What one recipe left: the recipe as it ran, and the target checkpoints by finetune."""

    recipe: Recipe
    checkpoints: Mapping[str, Checkpoint]
    #: Whether this is the process that goes on with them, where several trained together.
    is_first: bool = True


def train_recipe(
    recipe: Recipe,
    workspace: Workspace,
    *,
    data: Path | None,
    targets: Sequence[str],
    seed: int | None,
    max_steps: int | None,
    phase: str,
    resume: bool,
    allow_leak: str | None,
    progress: Progress,
) -> Trained:
    """Run the phases that are not done.

    Args:
        recipe: the experiment.
        workspace: where checkpoints go.
        data: the data folder; the recipe's own where None.
        targets: finetunes of phase 3; the recipe's where empty.
        seed: replaces the recipe's; the model is then named after it, so that seeds lie side by side.
        max_steps: optimiser steps of every phase at most; the model is named after it too, so that a
            trial never replaces the real one.
        phase: the one to stop after.
        resume: go on where a training stopped; begin it again otherwise.
        allow_leak: why evaluation sentences may be trained on.
        progress: told of every step.

    Raises:
        UsageError: there is no such phase.
        LeakError: a file that is trained on holds evaluation sentences.
        DataError: a data file is missing, before anything starts.
        CheckpointError: a checkpoint on disk is damaged.
    """
    phases = get_args(Phase)
    if phase not in phases:
        message = f"no phase {phase!r}{nearest(phase, phases)}; the phases are {', '.join(phases)}"
        raise UsageError(message)
    # Of several processes one speaks.
    progress = progress if rank() == 0 else Silent()
    name = recipe.name + ("" if seed is None else f".seed{seed}") + ("" if max_steps is None else f".steps{max_steps}")
    chosen = replace(recipe, name=name, seed=recipe.seed if seed is None else seed)
    with progress.step(f"{name}: data folder", 1, "folders") as advance:
        layout = once(lambda: workspace.layout(data, recipe.data), lambda: workspace.layout(data, recipe.data))
        advance(1)
    training = Training(chosen, workspace, layout, progress, max_steps=max_steps, resume=resume, allow_leak=allow_leak)
    return Trained(chosen, train(training, targets, cast(Phase, phase)), rank() == 0)
