"""Phase 3: one checkpoint for each training set, the encoder with a fresh head, trained on English."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import msgspec
import transformers
from torch.utils.data import Subset
from transformers import PreTrainedModel

from harness.artifacts.checkpoint import HeadRecord, TriedRecord
from harness.benchmark import finetunes
from harness.core.errors import RecipeError
from harness.core.heads import SentenceEmbedding, describe
from harness.core.task import AnyFinetune, Hyperparameters
from harness.tokenization.tokenizer import FastTokenizer
from training.batches import EpochBatches, TrainingSet
from training.checkpoint import Checkpoint, saving
from training.development import Development, development, has_development, is_held_out
from training.experiment import Folders, Inputs, Training, add_seen, digests_of, identity_of, metadata_of, origin_of
from training.modules import build, freeze, proceed
from training.pretraining import encoder_of
from training.rates import choose, rates_of, trial_steps
from training.sets import Rows, every_row, training_set
from training.trainer import Schedule, StepSelection, fit

#: What a model records of its phase 2, so that comparisons can say what was equal.
MIX = ("steps", "text_steps", "source_examples", "drawn")


def teacher_of(training: Training, finetune: AnyFinetune) -> AnyFinetune:
    """Return the finetune whose training set a head learns from: its own, or the recipe's stand-in."""
    return finetunes.load(training.recipe.target.stand_ins.get(finetune.name, finetune.name))


def _hyperparameters(training: Training, finetune: AnyFinetune) -> Hyperparameters:
    """Return the finetune's own values with the recipe's overrides."""
    own = finetune.hyperparameters
    override = training.recipe.target.overrides.get(finetune.name)
    if own is None:
        message = f"{finetune.name!r} has a training set but no hyperparameters"
        raise ValueError(message)
    if override is None:
        return own
    changed = {name: value for name in ("epochs", "batch_rows") if (value := getattr(override, name)) is not None}
    if override.learning_rate is not None:
        # The first of several: which of them is taken is found out when training begins.
        changed["learning_rate"] = rates_of(override.learning_rate)[0]
    return replace(own, source="recipe", **changed)


def rates(training: Training, finetune: AnyFinetune) -> tuple[float, ...]:
    """Return the learning rates that phase 3 tries for a finetune; one where there is nothing to try."""
    override = training.recipe.target.overrides.get(finetune.name)
    if override is None or override.learning_rate is None:
        return (_hyperparameters(training, finetune).learning_rate,)
    return rates_of(override.learning_rate)


def target(training: Training, finetune: AnyFinetune, parent: Checkpoint) -> Checkpoint:
    """Return the target checkpoint of one finetune: the encoder with a fresh head, trained on English."""
    body = None if finetune.body is None else target(training, finetunes.load(finetune.body), parent)
    start = parent if body is None else body
    teacher = teacher_of(training, finetune)
    inputs = target_inputs(training, finetune, start)
    identity = inputs.identity
    found = inputs.checkpoint()
    if found is not None:
        training.progress.say(f"{training.recipe.name}: phase 3 {finetune.name} is there")
        return found
    # Before any data is read: a checkpoint that is not whole is refused at once.
    encoder = encoder_of(start)
    training.check_leaks()

    def fresh() -> PreTrainedModel:
        transformers.set_seed(training.recipe.seed)
        made = build(finetune.head, encoder)
        if body is not None and body.metadata.head == HeadRecord(**describe(finetune.head)):
            made = proceed(made, body.directory)
        return made

    model = fresh()
    more: dict[str, Any] = {"finetune": finetune.name, "head": describe(finetune.head), "taught_by": teacher.name}
    more["retrieval_layer"] = training.retrieval_layer if isinstance(finetune.head, SentenceEmbedding) else None
    more["body"] = None if body is None else {"finetune": finetune.body, "digest": body.digest}
    more["mix"] = (
        {name: getattr(parent.metadata, name) for name in MIX} if parent.metadata.phase == "intermediate" else None
    )
    prompt = getattr(finetune.featurizer, "prompt", "")
    if prompt and training.known is not None:
        more["prompts"] = {"query": prompt, "candidate": training.known.candidate_prompt}
    more |= origin_of(start)
    seen = start.metadata.seen
    if finetune.train is not None:
        more |= _fine_tune(training, finetune, start, model, identity, fresh)
        seen = add_seen(seen, {teacher.family: dict.fromkeys(finetune.languages, more["examples"])})
    metadata = metadata_of(
        training, "target", identity, {parent.metadata.phase: parent.digest}, data_sha256=inputs.data, seen=seen,
        **more,
    )  # fmt: skip
    return training.keep(inputs.directory, metadata, saving(model, parent))


def with_own_vectors(training: Training, finetune: AnyFinetune) -> AnyFinetune:
    """Return a training set whose graph is the encoder itself as the recipe's known encoder makes vectors.

    What a script says otherwise on purpose, as `encoder_cls` does, stays; so does the mean for an encoder whose
    own vectors come from its pooler, which training drops.
    """
    known, head = training.known, finetune.head
    if known is None or known.pooling == "pooler" or not isinstance(head, SentenceEmbedding) or head.pooling != "mean":
        return finetune
    return replace(
        finetune,
        head=replace(head, pooling=known.pooling),
        featurizer=replace(finetune.featurizer, prompt=known.query_prompt),  # type: ignore[type-var]
    )


def target_inputs(training: Training, finetune: AnyFinetune, start: Checkpoint) -> Inputs:
    """Return what the target checkpoint of a finetune is made from; `start` is its body's or the encoder's."""
    override = training.recipe.target.overrides.get(finetune.name)
    teacher = teacher_of(training, finetune)
    paths = [
        path
        for code in finetune.languages
        for path in (teacher.train.paths(training.layout, code, "train") if teacher.train else ())
    ]
    data = digests_of(training.layout, paths)
    settings = asdict(_hyperparameters(training, finetune)) if finetune.train is not None else {}
    extra = asdict(override) if override else {}
    if finetune.train is not None and len(rates(training, finetune)) > 1:
        extra["sweep"] = training.recipe.target.sweep
    identity = identity_of(
        "target",
        finetune.name,
        describe(finetune.head),
        repr(finetune.featurizer),
        settings,
        extra,
        training.max_steps,
        training.recipe.target.frozen_layers,
        training.recipe.target.evaluations,
        training.recipe.target.patience,
        training.retrieval_layer,
        training.recipe.seed,
        start.digest,
        data,
    )
    return Inputs(identity, training.directory("target", finetune.name), data, fp32=training.fp32)


def _has_dev(training: Training, finetune: AnyFinetune) -> bool:
    """Return whether no training examples have to stand in for a dev set."""
    (language,) = finetune.languages
    teacher = teacher_of(training, finetune)
    chosen_by_it = training.recipe.target.evaluations or len(rates(training, finetune)) > 1
    return not chosen_by_it or has_development(teacher, training.layout, language)


def target_set(
    training: Training, finetune: AnyFinetune, tokenizer: FastTokenizer, rows: Rows = every_row
) -> TrainingSet:
    """Return what a finetune is trained on in phase 3, but for what is held out to choose the step by."""
    (language,) = finetune.languages
    override = training.recipe.target.overrides.get(finetune.name)
    without = (lambda _: False) if _has_dev(training, finetune) else is_held_out
    return training_set(
        training,
        teacher_of(training, finetune),
        language,
        tokenizer,
        count=override.examples if override else None,
        without=without,
        rows=rows,
    )


def target_batches(training: Training, finetune: AnyFinetune, train_set: TrainingSet, pad_id: int) -> EpochBatches:
    """Return the batch of each step of phase 3."""
    settings = _hyperparameters(training, finetune)
    override = training.recipe.target.overrides.get(finetune.name)
    wanted = -(-int(settings.epochs * len(train_set.examples)) // settings.batch_rows)
    if override and override.max_steps:
        wanted = min(wanted, override.max_steps)
    return EpochBatches(
        train_set,
        rows=settings.batch_rows,
        steps=training.steps(wanted),
        seed=training.recipe.seed,
        pad_id=pad_id,
    )


def target_schedule(training: Training, finetune: AnyFinetune, steps: int, rate: float | None = None) -> Schedule:
    """Return how phase 3 goes, at the first of its learning rates where none is given."""
    return Schedule(
        steps=steps,
        learning_rate=rates(training, finetune)[0] if rate is None else rate,
        seed=training.recipe.seed,
        compute=training.recipe.compute,
    )


def scored_tokens(training: Training, finetune: AnyFinetune, tokenizer: FastTokenizer) -> int:
    """Return the tokens of the dev set, as often as phase 3 scores it: to choose a step, and at its end."""
    (language,) = finetune.languages
    override = training.recipe.target.overrides.get(finetune.name)
    found = _development(
        training, teacher_of(training, finetune), language, tokenizer, override.examples if override else None,
        has_dev=_has_dev(training, finetune),
    )  # fmt: skip
    if found is None:
        return 0
    return (training.recipe.target.evaluations + 1) * sum(len(feature.input_ids) for feature in found.features)


def _fine_tune(
    training: Training,
    finetune: AnyFinetune,
    parent: Checkpoint,
    model: PreTrainedModel,
    identity: str,
    fresh: Callable[[], PreTrainedModel],
) -> dict[str, Any]:
    """Train a model on the finetune's English training set; return what its checkpoint records of it.

    Where the recipe names several learning rates, each trains a `fresh` model on a part of the steps before.
    """
    override = training.recipe.target.overrides.get(finetune.name)
    settings = _hyperparameters(training, finetune)
    tokenizer = FastTokenizer(parent.tokenizer)
    (language,) = finetune.languages
    teacher = teacher_of(training, finetune)
    count = override.examples if override else None
    train_set = target_set(training, finetune, tokenizer)
    batches = target_batches(training, finetune, train_set, tokenizer.pad_id)
    steps = len(batches)
    frozen = training.recipe.target.frozen_layers
    folders, description = (
        training.folders(identity, finetune.name),
        f"{training.recipe.name}: phase 3, {finetune.name}",
    )
    chosen_by = _development(training, teacher, language, tokenizer, count, has_dev=_has_dev(training, finetune))
    tried: list[TriedRecord] = []
    if len(tries := rates(training, finetune)) > 1:
        if chosen_by is None:
            message = (
                f"[target.overrides.{finetune.name}] learning_rate is {list(tries)}, and there is no English dev set "
                f"of {teacher.name} to choose by; name one learning rate"
            )
            raise RecipeError(message)
        few = trial_steps(steps, training.recipe.target.sweep)

        def trial(rate: float, place: Folders) -> float:
            own = fresh()
            freeze(own.base_model, frozen)
            some = Subset(batches, range(few))
            schedule = target_schedule(training, finetune, few, rate)
            fit(own, some, schedule, place, f"{description}, learning rate {rate:g}", training.progress)
            return chosen_by.score(own)

        tried = choose(tries, few, folders, trial)
        settings = replace(settings, learning_rate=tried[0].learning_rate)
        # As it would be had nothing been tried.
        transformers.set_seed(training.recipe.seed)
    freeze(model.base_model, frozen)
    selection = None
    if chosen_by is not None and training.recipe.target.evaluations:
        selection = StepSelection(
            evaluate=lambda: chosen_by.score(model),
            evaluations=training.recipe.target.evaluations,
            patience=training.recipe.target.patience,
        )
    fitted = fit(
        model,
        batches,
        target_schedule(training, finetune, steps, settings.learning_rate),
        folders,
        description,
        training.progress,
        selection,
    )
    return {
        "steps": steps,
        "examples": len(train_set.examples),
        "hyperparameters": asdict(settings),
        "tried": msgspec.to_builtins(tried),
        **fitted.to_json(),
        "development": {language: chosen_by.scores(model)} if chosen_by is not None else {},
    }


def _development(
    training: Training,
    teacher: AnyFinetune,
    language: str,
    tokenizer: FastTokenizer,
    count: int | None,
    *,
    has_dev: bool,
) -> Development | None:
    """Return what the best step is chosen by: a dev set, or training examples that were held out for it."""
    with training.progress.step(f"{training.recipe.name}: reading dev of {teacher.name}", 1, "files") as advance:
        train = teacher.train.read(training.layout, language, "train")[:count] if teacher.train and not has_dev else []
        held_out = [example for example in train if is_held_out(example)]
        found = development(teacher, training.layout, language, tokenizer, held_out)
        advance(1)
    return found
