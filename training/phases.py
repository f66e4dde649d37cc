"""The order of the three phases: each does nothing where a current checkpoint is."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from harness.benchmark import finetunes, tasks
from harness.benchmark.sources.lines import iterate_lines
from harness.core.layout import check_files
from harness.core.task import AnyFinetune, Source
from training.checkpoint import Checkpoint, Phase
from training.experiment import Training
from training.intermediate import check_weights, intermediate
from training.leaks import EvaluationTexts, Overlap, texts
from training.pretraining import pretrained
from training.recipe import Recipe
from training.sets import sources, train_paths
from training.target import target, teacher_of, with_own_vectors
from training.text import read_corpus
from training.trainer import check_trackers


def train(training: Training, targets: Sequence[str] = (), last: Phase = "target") -> dict[str, Checkpoint]:
    """Run the phases of a recipe that are not done; return the target checkpoints by finetune.

    Args:
        training: the recipe and where it works.
        targets: finetunes of phase 3; the recipe's where empty.
        last: the phase to stop after.

    Raises:
        DataError: a data file is missing, before anything starts.
        LeakError: a file that is trained on holds evaluation sentences.
        CheckpointError: a checkpoint on disk is damaged.
    """
    chosen = chosen_finetunes(training, targets)
    training = replace(training, overlaps=cache(lambda: _overlaps(training, with_bodies(chosen))))
    parent = pretrained(training)
    if last == "pretrained":
        return {last: parent}
    if training.recipe.intermediate is not None:
        parent = intermediate(training, training.recipe.intermediate, parent)
    if last == "intermediate":
        return {last: parent}
    return {finetune.name: target(training, finetune, parent) for finetune in chosen}


def chosen_finetunes(training: Training, targets: Sequence[str]) -> list[AnyFinetune]:
    """Return the finetunes of phase 3: those named, or the recipe's; every data file of the recipe is there then.

    Raises:
        RecipeError: a weight has no value, or a tracker is not known or not installed.
        DataError: names the files that are missing, however late their phase comes.
    """
    named = [finetunes.load(name) for name in targets or training.recipe.target_finetunes()]
    chosen = [with_own_vectors(training, finetune) for finetune in named]
    mix = training.recipe.intermediate
    if mix is not None:
        check_weights(mix, training.steps(mix.steps))
    check_trackers(training.recipe.compute)
    _check_data(training, with_bodies(chosen))
    return chosen


def with_bodies(chosen: Sequence[AnyFinetune]) -> list[AnyFinetune]:
    """Return finetunes and those that they start from, each once and after what it starts from."""
    every = {item.name: item for finetune in chosen for item in [*reversed(_bodies(finetune)), finetune]}
    return list(every.values())


def _overlaps(training: Training, chosen: Sequence[AnyFinetune]) -> list[Overlap]:
    """Return what the recipe's files share with the evaluation files of the data folder."""
    layout, recipe = training.layout, training.recipe
    trained: dict[str, Iterable[str]] = {}
    own: dict[str, frozenset[str]] = {}

    def add(finetune: AnyFinetune, source: Source[Any], language: str) -> None:
        paths = source.paths(layout, language, "train")
        name = " and ".join(str(path.relative_to(layout.xtreme.parent)) for path in paths)
        trained[name] = (text for example in source.read(layout, language, "train") for text in texts(example))
        # SIQA is trained on for COPA's sake; both are XCOPA's.
        served = {task.name for task in tasks.answered_by(finetune.name)}
        own[name] = frozenset(served) if source is finetune.train else frozenset()

    with training.progress.step(f"{recipe.name}: looking for evaluation sentences", 1, "recipes") as advance:
        for task in recipe.intermediate.tasks if recipe.intermediate else ():
            finetune = finetunes.bound(task.name, layout)
            for language, source in sources(layout, task).items():
                add(finetune, source, language)
        for finetune in chosen:
            teacher = teacher_of(training, finetune)
            for language in finetune.languages if teacher.train is not None else ():
                add(teacher, teacher.train, language)  # type: ignore[arg-type]
        mixes = [recipe.pretrained.scratch, recipe.intermediate.text if recipe.intermediate else None]
        for path in dict.fromkeys(path for mix in mixes if mix is not None for path in read_corpus(mix, layout).paths):
            trained[str(path.relative_to(layout.xtreme.parent))] = iterate_lines(path)
        found = EvaluationTexts(layout).overlaps(trained, own)
        advance(1)
    return found


def _bodies(finetune: AnyFinetune) -> list[AnyFinetune]:
    """Return the finetunes that one starts from, nearest first."""
    if finetune.body is None:
        return []
    body = finetunes.load(finetune.body)
    return [body, *_bodies(body)]


def training_sets(recipe: Recipe) -> list[str]:
    """Return the names of the training sets of a recipe's phases 2 and 3, each once."""
    chosen = with_bodies([finetunes.load(name) for name in recipe.target_finetunes()])
    taught = [recipe.target.stand_ins.get(finetune.name, finetune.name) for finetune in chosen]
    named = [*(task.name for task in (recipe.intermediate.tasks if recipe.intermediate else ())), *taught]
    return [name for name in dict.fromkeys(named) if finetunes.load(name).train is not None]


def _check_data(training: Training, chosen: Sequence[AnyFinetune]) -> None:
    """Refuse to start with a data file missing, however late its phase comes."""
    mix = training.recipe.intermediate
    needed = {path: task.name for task in (mix.tasks if mix else ()) for path in train_paths(training.layout, task)}
    for finetune in chosen:
        teacher = teacher_of(training, finetune)
        if teacher.train is not None:
            needed |= {
                path: teacher.name
                for code in finetune.languages
                for path in teacher.train.paths(training.layout, code, "train")
            }
    lacking = list(dict.fromkeys(name for path, name in needed.items() if not path.is_file()))
    folder = training.layout.root or training.layout.xtreme
    fix = f"get them with `harness data get {' '.join(lacking)} --data {folder}`, or take them out of the recipe"
    check_files(list(needed), f"recipe {training.recipe.name!r}", fix)
