"""The body of `harness train`: a recipe, where it works, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.progress import Progress
from harness.recipe import Recipe
from harness.workspace import Workspace
from training.checkpoint import Checkpoint
from training.experiment import Training
from training.phases import train


@dataclass(frozen=True, slots=True)
class Trained:
    """What one recipe left: the recipe as it ran, and the target checkpoints by finetune."""

    recipe: Recipe
    checkpoints: Mapping[str, Checkpoint]


def train_recipe(
    recipe: Recipe,
    workspace: Workspace,
    *,
    data: Path | None,
    targets: Sequence[str],
    seed: int | None,
    max_steps: int | None,
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
        progress: told of every step.

    Raises:
        DataError: a data file is missing, before anything starts.
        CheckpointError: a checkpoint on disk is damaged.
    """
    name = recipe.name + ("" if seed is None else f".seed{seed}") + ("" if max_steps is None else f".steps{max_steps}")
    chosen = replace(recipe, name=name, seed=recipe.seed if seed is None else seed)
    with progress.step(f"{name}: data folder", 1, "folders") as advance:
        layout = workspace.layout(data, recipe.data)
        advance(1)
    training = Training(chosen, workspace, layout, progress, max_steps)
    return Trained(chosen, train(training, targets))
