"""Phases 2 and 3, and the order of all three: each does nothing where a current checkpoint is."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import transformers

from harness import finetunes
from harness.artifacts import file_sha256
from harness.data import check_files
from harness.errors import DataError
from harness.features import Feature
from harness.heads import SentenceEmbedding, describe
from harness.task import AnyFinetune, Hyperparameters
from harness.tokenizer import FastTokenizer
from training.batches import EpochBatches, MixedBatches, TrainingSet, by_example
from training.checkpoint import Checkpoint, write_checkpoint
from training.development import development_scores
from training.experiment import Training, account, current, identity_of
from training.modules import MultiTask, build, freeze
from training.pretraining import encoder_of, pretrained
from training.trainer import Schedule, fit


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
    _check_data(training, chosen)
    parent = pretrained(training)
    if training.recipe.intermediate is not None:
        parent = _intermediate(training, parent)
    return {finetune.name: _target(training, finetune, parent) for finetune in chosen}


def _check_data(training: Training, chosen: Sequence[AnyFinetune]) -> None:
    """Refuse to start with a data file missing, however late its phase comes."""
    pairs = [(finetune, code) for finetune in chosen for code in finetune.languages]
    if training.recipe.intermediate is not None:
        for task in training.recipe.intermediate.tasks:
            finetune = finetunes.load(task.name)
            if finetune.train is None:
                message = f"{task.name!r} has no training set, it cannot be an intermediate task"
                raise DataError(message)
            pairs += [(finetune, code) for code in task.languages]
    paths = {
        path: None
        for finetune, code in pairs
        if finetune.train is not None
        for path in finetune.train.paths(training.layout, code, "train")
    }
    check_files(list(paths), f"recipe {training.recipe.name!r}")


# Phase 2


def _training_set(
    training: Training, finetune: AnyFinetune, language: str, tokenizer: FastTokenizer, count: int | None = None
) -> TrainingSet:
    """Return the featurized train split of one task in one language."""
    if finetune.train is None:
        message = f"{finetune.name!r} has no training set"
        raise DataError(message)
    with training.progress.step(f"{training.recipe.name}: reading {finetune.name} {language}", 1, "files") as advance:
        examples = finetune.train.read(training.layout, language, "train")[:count]
        features: list[Feature] = finetune.featurizer(examples, tokenizer)
        advance(1)
    return TrainingSet(finetune.name, language, finetune.head, by_example(features))


def _train_digests(training: Training, pairs: Sequence[tuple[AnyFinetune, str]]) -> dict[str, str]:
    paths = [
        path
        for finetune, code in pairs
        if finetune.train is not None
        for path in finetune.train.paths(training.layout, code, "train")
    ]
    return {str(path.relative_to(training.layout.xtreme.parent)): file_sha256(path) for path in paths}


def _intermediate(training: Training, parent: Checkpoint) -> Checkpoint:
    """Return the intermediate checkpoint: the encoder after the mix, without the mix's heads."""
    mix = training.recipe.intermediate
    if mix is None:
        message = f"recipe {training.recipe.name!r} has no [intermediate]"
        raise ValueError(message)
    steps = training.steps(mix.steps)
    pairs = [(finetunes.load(task.name), code) for task in mix.tasks for code in task.languages]
    data = _train_digests(training, pairs)
    shapes = [(describe(finetune.head), repr(finetune.featurizer)) for finetune, _ in pairs]
    identity = identity_of("intermediate", asdict(mix), shapes, steps, training.recipe.seed, parent.digest, data)
    directory = training.directory("intermediate")
    found = current(directory, identity)
    if found is not None:
        training.progress.say(f"{training.recipe.name}: phase 2 is there")
        return found
    tokenizer = FastTokenizer(parent.tokenizer)
    sets = [_training_set(training, finetune, code, tokenizer) for finetune, code in pairs]
    sizes = {
        task.name: task.weight or float(sum(len(item.examples) for item in sets if item.task == task.name))
        for task in mix.tasks
    }
    batches = MixedBatches(sets, sizes, mix.batch_rows, steps, training.recipe.seed, tokenizer.pad_id)
    transformers.set_seed(training.recipe.seed)
    model = MultiTask({task.name: finetunes.load(task.name).head for task in mix.tasks}, encoder_of(parent))
    freeze(model.encoder, mix.frozen_layers)
    losses = fit(
        model,
        batches,
        Schedule(steps=steps, learning_rate=mix.learning_rate, warmup=mix.warmup, seed=training.recipe.seed),
        f"{training.recipe.name}: phase 2, {' and '.join(sizes)}",
        training.progress,
    )
    told = account(
        training, "intermediate", identity, {"pretrained": parent.digest},
        data_sha256=data, steps=steps, drawn=batches.drawn(), losses=losses,
    )  # fmt: skip
    return write_checkpoint(directory, told, _saving(model.shared_encoder(), parent))


def _saving(model: Any, parent: Checkpoint) -> Any:
    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        shutil.copyfile(parent.tokenizer, folder / "tokenizer.json")

    return save


# Phase 3


def _hyperparameters(training: Training, finetune: AnyFinetune) -> Hyperparameters:
    """Return the finetune's own values with the recipe's overrides."""
    own = finetune.hyperparameters
    override = training.recipe.target.overrides.get(finetune.name)
    if own is None:
        message = f"{finetune.name!r} has a training set but no hyperparameters"
        raise ValueError(message)
    if override is None:
        return own
    changed = {
        name: value
        for name in ("learning_rate", "epochs", "batch_rows")
        if (value := getattr(override, name)) is not None
    }
    return replace(own, source="recipe", **changed)


def _target(training: Training, finetune: AnyFinetune, parent: Checkpoint) -> Checkpoint:
    """Return the target checkpoint of one finetune: the encoder with a fresh head, trained on English."""
    override = training.recipe.target.overrides.get(finetune.name)
    data = _train_digests(training, [(finetune, code) for code in finetune.languages])
    settings = asdict(_hyperparameters(training, finetune)) if finetune.train is not None else {}
    extra = asdict(override) if override else {}
    identity = identity_of(
        "target",
        finetune.name,
        describe(finetune.head),
        repr(finetune.featurizer),
        settings,
        extra,
        training.max_steps,
        training.recipe.target.frozen_layers,
        training.retrieval_layer,
        training.recipe.seed,
        parent.digest,
        data,
    )
    directory = training.directory("target", finetune.name)
    found = current(directory, identity)
    if found is not None:
        training.progress.say(f"{training.recipe.name}: phase 3 {finetune.name} is there")
        return found
    transformers.set_seed(training.recipe.seed)
    model = build(finetune.head, encoder_of(parent))
    more: dict[str, Any] = {"finetune": finetune.name, "head": describe(finetune.head)}
    more["retrieval_layer"] = training.retrieval_layer if isinstance(finetune.head, SentenceEmbedding) else None
    more["parents_drawn"] = parent.account.get("drawn", {})
    if finetune.train is not None:
        more |= _fine_tune(training, finetune, parent, model)
    told = account(training, "target", identity, {parent.account["phase"]: parent.digest}, data_sha256=data, **more)
    return write_checkpoint(directory, told, _saving(model, parent))


def _fine_tune(training: Training, finetune: AnyFinetune, parent: Checkpoint, model: Any) -> dict[str, Any]:
    """Train a model on the finetune's English training set; return what its checkpoint tells of it."""
    override = training.recipe.target.overrides.get(finetune.name)
    settings = _hyperparameters(training, finetune)
    tokenizer = FastTokenizer(parent.tokenizer)
    (language,) = finetune.languages
    train_set = _training_set(training, finetune, language, tokenizer, override.examples if override else None)
    wanted = -(-int(settings.epochs * len(train_set.examples)) // settings.batch_rows)
    if override and override.max_steps:
        wanted = min(wanted, override.max_steps)
    steps = training.steps(wanted)
    batches = EpochBatches(
        train_set, rows=settings.batch_rows, steps=steps, seed=training.recipe.seed, pad_id=tokenizer.pad_id
    )
    freeze(model.roberta, training.recipe.target.frozen_layers)
    schedule = Schedule(steps=steps, learning_rate=settings.learning_rate, seed=training.recipe.seed)
    losses = fit(model, batches, schedule, f"{training.recipe.name}: phase 3, {finetune.name}", training.progress)
    with training.progress.step(f"{training.recipe.name}: dev score of {finetune.name}", 1, "files") as advance:
        scores = development_scores(finetune, model, training.layout, language, tokenizer)
        advance(1)
    return {
        "steps": steps,
        "examples": len(train_set.examples),
        "hyperparameters": asdict(settings),
        "losses": losses,
        "development": {language: scores},
    }
