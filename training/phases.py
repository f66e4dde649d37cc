"""The order of the three phases: each does nothing where a current checkpoint is."""

from collections.abc import Sequence

from harness import finetunes
from harness.data import check_files
from harness.task import AnyFinetune
from training.checkpoint import Checkpoint
from training.experiment import Training
from training.intermediate import intermediate
from training.pretraining import pretrained
from training.sets import train_paths
from training.target import target, teacher_of


def train(training: Training, targets: Sequence[str] = ()) -> dict[str, Checkpoint]:
    """Run the phases of a recipe that are not done; return the target checkpoints by finetune.

    Args:
        training: the recipe and where it works.
        targets: finetunes of phase 3; the recipe's where empty.

    Raises:
        DataError: a data file is missing, before anything starts.
        CheckpointError: a checkpoint on disk is damaged.
    """
    chosen = [finetunes.load(name) for name in targets or training.recipe.target_finetunes()]
    _check_data(training, [*chosen, *(body for finetune in chosen for body in _bodies(finetune))])
    parent = pretrained(training)
    if training.recipe.intermediate is not None:
        parent = intermediate(training, training.recipe.intermediate, parent)
    return {finetune.name: target(training, finetune, parent) for finetune in chosen}


def _bodies(finetune: AnyFinetune) -> list[AnyFinetune]:
    """Return the finetunes that one starts from, nearest first."""
    if finetune.body is None:
        return []
    body = finetunes.load(finetune.body)
    return [body, *_bodies(body)]


def _check_data(training: Training, chosen: Sequence[AnyFinetune]) -> None:
    """Refuse to start with a data file missing, however late its phase comes."""
    mix = training.recipe.intermediate
    paths = [path for task in (mix.tasks if mix else ()) for path in train_paths(training.layout, task)]
    for finetune in chosen:
        teacher = teacher_of(training, finetune)
        if teacher.train is not None:
            paths += [
                path for code in finetune.languages for path in teacher.train.paths(training.layout, code, "train")
            ]
    check_files(list(dict.fromkeys(paths)), f"recipe {training.recipe.name!r}")
