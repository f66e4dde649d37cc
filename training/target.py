"""Phase 3: one checkpoint for each training set, the encoder with a fresh head, trained on English."""

from dataclasses import asdict, replace
from typing import Any

import transformers

from harness.artifacts.checkpoint import HeadRecord
from harness.benchmark import finetunes
from harness.core.heads import SentenceEmbedding, describe
from harness.core.task import AnyFinetune, Hyperparameters
from harness.tokenization.tokenizer import FastTokenizer
from training.batches import EpochBatches, TrainingSet
from training.checkpoint import Checkpoint, saving
from training.development import Development, development, has_development, is_held_out
from training.experiment import Inputs, Training, add_seen, digests_of, identity_of, metadata_of, origin_of
from training.modules import build, freeze, proceed
from training.pretraining import encoder_of
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
    changed = {
        name: value
        for name in ("learning_rate", "epochs", "batch_rows")
        if (value := getattr(override, name)) is not None
    }
    return replace(own, source="recipe", **changed)


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
    transformers.set_seed(training.recipe.seed)
    model = build(finetune.head, encoder)
    if body is not None and body.metadata.head == HeadRecord(**describe(finetune.head)):
        model = proceed(model, body.directory)
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
        more |= _fine_tune(training, finetune, start, model, identity)
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
    return not training.recipe.target.evaluations or has_development(teacher, training.layout, language)


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


def target_schedule(training: Training, finetune: AnyFinetune, steps: int) -> Schedule:
    """Return how phase 3 goes."""
    return Schedule(
        steps=steps,
        learning_rate=_hyperparameters(training, finetune).learning_rate,
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
    training: Training, finetune: AnyFinetune, parent: Checkpoint, model: Any, identity: str
) -> dict[str, Any]:
    """Train a model on the finetune's English training set; return what its checkpoint records of it."""
    override = training.recipe.target.overrides.get(finetune.name)
    settings = _hyperparameters(training, finetune)
    tokenizer = FastTokenizer(parent.tokenizer)
    (language,) = finetune.languages
    teacher = teacher_of(training, finetune)
    count = override.examples if override else None
    train_set = target_set(training, finetune, tokenizer)
    batches = target_batches(training, finetune, train_set, tokenizer.pad_id)
    steps = len(batches)
    freeze(model.base_model, training.recipe.target.frozen_layers)
    chosen_by = _development(training, teacher, language, tokenizer, count, has_dev=_has_dev(training, finetune))
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
        target_schedule(training, finetune, steps),
        training.folders(identity, finetune.name),
        f"{training.recipe.name}: phase 3, {finetune.name}",
        training.progress,
        selection,
    )
    return {
        "steps": steps,
        "examples": len(train_set.examples),
        "hyperparameters": asdict(settings),
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
