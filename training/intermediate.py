"""Phase 2: intermediate training on one or more tasks in one or more languages, and the encoder it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import transformers

from harness import finetunes
from harness.heads import describe
from harness.recipe import Intermediate, Mixed
from harness.task import AnyFinetune
from harness.tokenizer import FastTokenizer
from training.batches import MixedBatches, TrainingSet
from training.checkpoint import Checkpoint, saving
from training.experiment import Training, account, add_seen, current, digests_of, identity_of
from training.modules import MultiTask, freeze
from training.pretraining import encoder_of, text_batches, text_model_of
from training.sampling import Sampler
from training.sets import share_out, sources, train_paths, training_set
from training.text import read_corpus
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
    tasks = [(task, finetunes.bound(task.name, training.layout)) for task in mix.tasks]
    corpus = None if mix.text is None else read_corpus(mix.text, training.layout)
    paths = [path for task, _ in tasks for path in train_paths(training.layout, task)] + list(
        corpus.paths if corpus else ()
    )
    data = digests_of(training.layout, paths)
    shapes = [(describe(finetune.head), repr(finetune.featurizer)) for _, finetune in tasks]
    identity = identity_of("intermediate", asdict(mix), shapes, steps, training.recipe.seed, parent.digest, data)
    directory = training.directory("intermediate")
    found = current(directory, identity)
    if found is not None:
        training.progress.say(f"{training.recipe.name}: phase 2 is there")
        return found
    training.check_leaks()
    tokenizer = FastTokenizer(parent.tokenizer)
    sets = [
        training_set(training, finetune, code, tokenizer, source=source, task=task)
        for task, finetune in tasks
        for code, source in sources(training.layout, task).items()
    ]
    sets = share_out(sets, mix.source_examples)
    batches = MixedBatches(
        sets,
        _sampler(mix, sets),
        rows=mix.batch_rows,
        steps=steps,
        seed=training.recipe.seed,
        pad_id=tokenizer.pad_id,
        text=None if mix.text is None or corpus is None else text_batches(training, corpus, mix.text, parent, steps),
        text_rate=0.0 if mix.text is None else mix.text.rate,
    )
    transformers.set_seed(training.recipe.seed)
    heads = {task.name: finetune.head for task, finetune in tasks}
    model = MultiTask(heads, encoder_of(parent), None if mix.text is None else text_model_of(parent))
    freeze(model.encoder, mix.frozen_layers)
    fitted = fit(
        model,
        batches,
        Schedule(
            steps=steps,
            learning_rate=mix.learning_rate,
            warmup=mix.warmup,
            seed=training.recipe.seed,
            compute=training.recipe.compute,
        ),
        training.place(identity, "intermediate"),
        f"{training.recipe.name}: phase 2, {' and '.join(heads)}",
        training.progress,
    )
    drawn = batches.drawn()
    aligned = corpus.aligned(mix.text) if corpus is not None and mix.text is not None else {}
    given: dict[str, dict[str, int]] = {task: {} for task in heads}
    for item in sets:
        given[item.task][item.language] = len(item.examples)
    told = account(
        training, "intermediate", identity, {"pretrained": parent.digest},
        data_sha256=data, steps=steps, **fitted.to_json(),
        drawn=drawn, text_steps=batches.text_steps(), source_examples=given,
        seen=add_seen(parent.account["seen"], taught(mix, tasks, drawn, aligned)),
    )  # fmt: skip
    return training.keep(directory, told, saving(model.shared_encoder(), parent))


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
