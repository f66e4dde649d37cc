"""Phase 2: intermediate training on one or more tasks in one or more languages, and the encoder it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
import transformers
from torch.utils.data import Subset
from transformers import PreTrainedModel

from harness.artifacts.checkpoint import TriedRecord
from harness.benchmark import finetunes
from harness.core.errors import RecipeError
from harness.core.heads import describe
from harness.core.task import AnyFinetune
from harness.tokenization.tokenizer import FastTokenizer
from training.batches import MixedBatches, TrainingSet
from training.checkpoint import Checkpoint, saving
from training.development import Development, development, has_development
from training.experiment import Folders, Inputs, Training, add_seen, digests_of, identity_of, metadata_of, origin_of
from training.modules import MultiTask, freeze
from training.pretraining import encoder_of, text_batches, text_model_of
from training.rates import choose, rates_of, trial_steps
from training.recipe import Intermediate, Mixed
from training.sampling import Sampler
from training.sets import Rows, every_row, share_out, sources, train_paths, training_set
from training.text import Corpus, read_corpus
from training.trainer import Schedule, fit


def _sampler(mix: Intermediate, sets: Sequence[TrainingSet]) -> Sampler:
    sizes = {task.name: sum(len(item.examples) for item in sets if item.task == task.name) for task in mix.tasks}
    weights = {task.name: str(task.weight) for task in mix.tasks if task.weight is not None}
    return Sampler(mix.sampling, sizes, weights, cap=mix.cap, temperature=mix.temperature)


def intermediate(training: Training, mix: Intermediate, parent: Checkpoint) -> Checkpoint:
    """Return the intermediate checkpoint: the encoder after the mix, without the mix's heads.

    Raises:
        DataError: a file is malformed, or a set smaller than its share.
    """
    steps = training.steps(mix.steps)
    tasks = bound_tasks(training, mix)
    corpus = None if mix.text is None else read_corpus(mix.text, training.layout)
    inputs = intermediate_inputs(training, mix, parent, corpus)
    found = inputs.checkpoint()
    if found is not None:
        training.progress.say(f"{training.recipe.name}: phase 2 is there")
        return found
    heads = {task.name: finetune.head for task, finetune in tasks}

    def fresh(text: PreTrainedModel | None) -> MultiTask:
        transformers.set_seed(training.recipe.seed)
        made = MultiTask(heads, encoder, text)
        freeze(made.encoder, mix.frozen_layers)
        return made

    # Before any data is read: a checkpoint that is not whole is refused at once.
    encoder = encoder_of(parent)
    text = None if mix.text is None else text_model_of(parent)
    training.check_leaks()
    tokenizer = FastTokenizer(parent.tokenizer)
    sets = mixed_sets(training, mix, tokenizer)
    batches = mixed_batches(training, mix, sets, corpus, parent.tokenizer)
    folders = training.folders(inputs.identity, "intermediate")
    description = f"{training.recipe.name}: phase 2, {' and '.join(heads)}"
    tried: list[TriedRecord] = []
    if len(tries := rates_of(mix.learning_rate)) > 1:
        chosen_by = _developments(training, mix, tokenizer)
        few = trial_steps(steps, mix.sweep)

        def trial(rate: float, place: Folders) -> float:
            own, some = fresh(None if mix.text is None else text_model_of(parent)), Subset(batches, range(few))
            schedule = mixed_schedule(training, mix, few, rate)
            fit(own, some, schedule, place, f"{description}, learning rate {rate:g}", training.progress)
            return fmean(each.score(own.models[name]) for name, each in chosen_by.items())

        tried = choose(tries, few, folders, trial)
    model = fresh(text)
    fitted = fit(
        model,
        batches,
        mixed_schedule(training, mix, steps, tried[0].learning_rate if tried else None),
        folders,
        description,
        training.progress,
    )
    drawn = batches.drawn()
    aligned = corpus.aligned(mix.text) if corpus is not None and mix.text is not None else {}
    given: dict[str, dict[str, int]] = {task: {} for task in heads}
    for item in sets:
        given[item.task][item.language] = len(item.examples)
    metadata = metadata_of(
        training, "intermediate", inputs.identity, {"pretrained": parent.digest},
        data_sha256=inputs.data, steps=steps, **fitted.to_json(),
        tried=msgspec.to_builtins(tried), drawn=drawn, text_steps=batches.text_steps(), source_examples=given,
        seen=add_seen(parent.metadata.seen, taught(mix, tasks, drawn, aligned)), **origin_of(parent),
    )  # fmt: skip
    return training.keep(inputs.directory, metadata, saving(model.shared_encoder(), parent))


def check_weights(mix: Intermediate, steps: int) -> None:
    """Refuse weights of tasks without a value, before anything is trained.

    Raises:
        RecipeError: names the step and the weights.
    """
    weights = {task.name: str(task.weight) for task in mix.tasks if task.weight is not None}
    if weights:
        sampler = Sampler(mix.sampling, dict.fromkeys(weights, 1), weights)
        for step in range(steps):
            sampler.probabilities(step)


def bound_tasks(training: Training, mix: Intermediate) -> list[tuple[Mixed, AnyFinetune]]:
    """Return the tasks of the mix with their declarations, labels of the data folder included."""
    return [(task, finetunes.bound(task.name, training.layout)) for task in mix.tasks]


def intermediate_inputs(training: Training, mix: Intermediate, parent: Checkpoint, corpus: Corpus | None) -> Inputs:
    """Return what the intermediate checkpoint is made from; `corpus` is the mix's text."""
    tasks = bound_tasks(training, mix)
    paths = [path for task, _ in tasks for path in train_paths(training.layout, task)] + list(
        corpus.paths if corpus else ()
    )
    data = digests_of(training.layout, paths)
    shapes = [(describe(finetune.head), repr(finetune.featurizer)) for _, finetune in tasks]
    steps = training.steps(mix.steps)
    identity = identity_of("intermediate", settings_of(mix), shapes, steps, training.recipe.seed, parent.digest, data)
    return Inputs(identity, training.directory("intermediate"), data, fp32=training.fp32)


def settings_of(mix: Intermediate) -> dict[str, Any]:
    """Return what of a mix decides on its checkpoint; how long rates are tried does where there are several."""
    found = asdict(mix)
    if len(rates_of(mix.learning_rate)) == 1:
        del found["sweep"]
    return found


def _developments(training: Training, mix: Intermediate, tokenizer: FastTokenizer) -> dict[str, Development]:
    """Return the English dev set of each task that has one, to choose a learning rate by.

    Raises:
        RecipeError: no task has one.
    """
    found = {
        task.name: development(finetune, training.layout, "en", tokenizer, [])
        for task, finetune in bound_tasks(training, mix)
        if has_development(finetune, training.layout, "en")
    }
    chosen = {name: each for name, each in found.items() if each is not None}
    if not chosen:
        message = (
            f"[intermediate] learning_rate is {list(rates_of(mix.learning_rate))}, and there is no English dev set of "
            f"{', '.join(task.name for task in mix.tasks)} to choose by; name one learning rate"
        )
        raise RecipeError(message)
    return chosen


def mixed_sets(
    training: Training, mix: Intermediate, tokenizer: FastTokenizer, rows: Rows = every_row
) -> list[TrainingSet]:
    """Return the training sets of the mix, each task in each of its languages.

    Raises:
        DataError: a file is malformed, or a set smaller than its share.
    """
    sets = [
        training_set(training, finetune, code, tokenizer, source=source, task=task, rows=rows)
        for task, finetune in bound_tasks(training, mix)
        for code, source in sources(training.layout, task).items()
    ]
    return share_out(sets, mix.source_examples)


def mixed_batches(
    training: Training, mix: Intermediate, sets: Sequence[TrainingSet], corpus: Corpus | None, tokenizer: Path
) -> MixedBatches:
    """Return the batch of each step of phase 2, those of text among them."""
    steps = training.steps(mix.steps)
    return MixedBatches(
        sets,
        _sampler(mix, sets),
        rows=mix.batch_rows,
        steps=steps,
        seed=training.recipe.seed,
        pad_id=FastTokenizer(tokenizer).pad_id,
        text=None if mix.text is None or corpus is None else text_batches(training, corpus, mix.text, tokenizer, steps),
        text_rate=0.0 if mix.text is None else mix.text.rate,
    )


def mixed_schedule(
    training: Training, mix: Intermediate, steps: int | None = None, rate: float | None = None
) -> Schedule:
    """Return how phase 2 goes: over all its steps and at the first of its learning rates where none are given."""
    return Schedule(
        steps=training.steps(mix.steps) if steps is None else steps,
        learning_rate=rates_of(mix.learning_rate)[0] if rate is None else rate,
        warmup=mix.warmup,
        seed=training.recipe.seed,
        compute=training.recipe.compute,
    )


def taught(
    mix: Intermediate,
    tasks: Sequence[tuple[Mixed, AnyFinetune]],
    drawn: Mapping[str, Mapping[str, int]],
    aligned: Mapping[str, int],
) -> dict[str, dict[str, int]]:
    """Return family -> language -> examples of what a mix taught; switched words count as their language."""
    found: dict[str, dict[str, int]] = {"alignment": dict(aligned)} if aligned else {}
    for task, finetune in tasks:
        languages = dict(drawn[task.name])
        if task.switch is not None:
            languages[task.switch.language] = languages.get(task.switch.language, 0) + languages.get("en", 0)
        found = add_seen(found, {finetune.family: languages})
    return found
