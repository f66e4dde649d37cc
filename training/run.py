"""`harness train`: a recipe and its workspace to the checkpoints of its phases."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes
from harness.core.errors import UsageError, nearest
from harness.core.progress import Progress, Silent
from training.checkpoint import Checkpoint, Phase
from training.distributed import once, rank
from training.estimate import Estimator, lines
from training.experiment import Training
from training.phases import train, training_sets
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Trained:
    """What one recipe left: the recipe as it ran, and the target checkpoints by finetune."""

    recipe: Recipe
    checkpoints: Mapping[str, Checkpoint]
    #: Whether this is the process that continues with them, where several trained together.
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
    allow_gold_errors: bool = False,
    fp32: bool = False,
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
        resume: resume a training that was stopped; begin it again otherwise.
        allow_leak: why evaluation sentences may be trained on.
        progress: shows every step.
        allow_gold_errors: train without gold answers that contradict their text, and list them.
        fp32: compute in fp32 whatever the recipe says and the machine has.

    Raises:
        UsageError: there is no such phase.
        LeakError: a file that is trained on holds evaluation sentences.
        DataError: a data file is missing, before anything starts.
        CheckpointError: a checkpoint on disk is damaged.
    """
    last = _phase(phase)
    # Of several processes one speaks.
    progress = progress if rank() == 0 else Silent()
    training = _training(_in_fp32(recipe, fp32), workspace, data, seed, max_steps, progress)
    layout = training.layout.allowing(allow_gold_errors)
    training = replace(training, resume=resume, allow_leak=allow_leak, layout=layout)
    trained = Trained(training.recipe, train(training, targets, last), rank() == 0)
    for error in layout.gold_errors or ():
        progress.say(f"gold error, never trained on: {error.describe()}")
    return trained


def encoder_of_phase(recipe: Recipe, phase: str) -> tuple[Recipe, list[str]]:
    """Return the recipe that leaves the encoder of a phase as a model, and the training sets that it needs.

    The encoder of phase 1 is a model of its own, ``NAME.pretrained``. That of phase 2 is what the recipe's own model
    has as its untrained graphs.

    Args:
        recipe: the experiment.
        phase: ``pretrained`` or ``intermediate``.

    Raises:
        UsageError: the recipe has no phase 2.
    """
    known = [finetunes.load(name) for name in finetunes.names()]
    untrained = [finetune.name for finetune in known if finetune.train is None and finetune.body is None]
    if phase == "pretrained":
        return replace(recipe, name=f"{recipe.name}.{phase}", intermediate=None), untrained
    if recipe.intermediate is None:
        message = f"recipe {recipe.name!r} has no [intermediate]; export its encoder with `--phase pretrained --export`"
        raise UsageError(message)
    return recipe, untrained


def dry_run(
    recipes: Sequence[Recipe],
    workspace: Workspace,
    *,
    data: Path | None,
    targets: Sequence[str],
    seeds: Sequence[int | None],
    max_steps: int | None,
    phase: str,
    resume: bool,
    progress: Progress,
    allow_gold_errors: bool = False,
    fp32: bool = False,
) -> Iterator[str]:
    """Yield what `train_recipe` would do for each recipe, and about how long it would take; the same arguments.

    With several seeds each recipe is shown for each of them; what is measured for one holds for all.

    Raises:
        UsageError: there is no such phase.
        DataError: a data file is missing or malformed.
        CheckpointError: a checkpoint on disk is damaged.
    """
    last = _phase(phase)
    estimator = Estimator(recipes=len(recipes) * len(seeds))
    for recipe, seed in ((recipe, seed) for seed in seeds for recipe in recipes):
        training = _training(_in_fp32(recipe, fp32), workspace, data, seed, max_steps, progress)
        training = replace(training, resume=resume, layout=training.layout.allowing(allow_gold_errors))
        yield from lines(training, targets, last, estimator)


def _in_fp32(recipe: Recipe, fp32: bool) -> Recipe:
    return replace(recipe, compute=replace(recipe.compute, bf16=False)) if fp32 else recipe


def _phase(name: str) -> Phase:
    phases = get_args(Phase)
    if name not in phases:
        message = f"no phase {name!r}{nearest(name, phases)}; the phases are {', '.join(phases)}"
        raise UsageError(message)
    return cast(Phase, name)


def _training(
    recipe: Recipe, workspace: Workspace, data: Path | None, seed: int | None, max_steps: int | None, progress: Progress
) -> Training:
    """Return a recipe where it works, named after what the command line changes of it."""
    name = recipe.name + ("" if seed is None else f".seed{seed}") + ("" if max_steps is None else f".steps{max_steps}")
    chosen = replace(recipe, name=name, seed=recipe.seed if seed is None else seed)
    if data is None and recipe.data is None and not os.environ.get("HARNESS_DATA"):
        sets = " ".join(training_sets(recipe))
        message = (
            f"recipe {name!r} names no data folder; give one with `--data DIR` or the variable HARNESS_DATA, and "
            f"`harness data get {sets} --data DIR` gets what it trains on"
        )
        raise UsageError(message)
    with progress.step(f"{name}: data folder", 1, "folders") as advance:
        layout = once(lambda: workspace.layout(data, recipe.data), lambda: workspace.layout(data, recipe.data))
        advance(1)
    return Training(chosen, workspace, layout, progress, max_steps=max_steps)
