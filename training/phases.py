"""The three phases of a recipe: each leaves a checkpoint, and does nothing where a current one is."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

from harness import finetunes
from harness.artifacts import file_sha256
from harness.data import Layout, check_files
from harness.errors import CheckpointError, DataError
from harness.features import Feature
from harness.heads import SentenceEmbedding, describe
from harness.progress import Progress
from harness.provenance import commit, packages
from harness.recipe import Recipe, Scratch
from harness.task import AnyFinetune, Hyperparameters
from harness.tokenizer import FastTokenizer
from harness.workspace import Workspace
from training.batches import EpochBatches, MixedBatches, TrainingSet, by_example
from training.checkpoint import Checkpoint, is_complete, read_checkpoint, write_checkpoint
from training.development import development_scores
from training.modules import MaskedLanguageModel, MultiTask, build, freeze, load_encoder
from training.text import MASK, TextBatches, read_corpus, train_tokenizer
from training.trainer import Schedule, fit


@dataclass(frozen=True)
class Training:
    """One recipe on its way through the phases."""

    recipe: Recipe
    workspace: Workspace
    layout: Layout
    progress: Progress
    #: Optimiser steps of every phase at most; None for the recipe's own.
    max_steps: int | None = None

    @cached_property
    def retrieval_layer(self) -> int | None:
        """Return the hidden state that retrieval pools, where the recipe says one."""
        return self.recipe.pretrained.retrieval_layer

    def directory(self, phase: str, finetune: str | None = None) -> Path:
        """Return where a checkpoint of phase 2 or 3 lies."""
        folder = self.workspace.checkpoints / self.recipe.name / phase
        return folder / finetune if finetune else folder

    def steps(self, wanted: int) -> int:
        """Return the steps of a phase, cut where the command line says so."""
        return max(1, wanted if self.max_steps is None else min(wanted, self.max_steps))


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
    parent = _pretrained(training)
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


def _account(training: Training, phase: str, key: str, parents: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """Return what a checkpoint says of itself."""
    return {
        "phase": phase,
        "model": training.recipe.name,
        "key": key,
        "parents": dict(parents),
        "recipe": training.recipe.resolved(),
        "seed": training.recipe.seed,
        "retrieval_layer": training.retrieval_layer,
        "packages": packages(),
        "git": commit(),
        **more,
    }


def _key(*parts: Any) -> str:
    """Return the identity of a phase's inputs: equal keys need no new training."""
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _current(directory: Path, key: str) -> Checkpoint | None:
    """Return the checkpoint there if it came from equal inputs."""
    if not is_complete(directory):
        return None
    found = read_checkpoint(directory)
    return found if found.account.get("key") == key else None


def _digests(paths: Sequence[Path]) -> dict[str, str]:
    return {f"{path.parent.name}/{path.name}": file_sha256(path) for path in paths}


# Phase 1


def _pretrained(training: Training) -> Checkpoint:
    """Return the start: shared by all recipes whose phase 1 is the same, hence named by its content."""
    scratch = training.recipe.pretrained.scratch
    if scratch is None:
        return _public(training)
    corpus = read_corpus(scratch, training.layout)
    data = _digests(corpus.paths)
    cut = replace(scratch, steps=training.steps(scratch.steps))
    key = _key("pretrained", asdict(cut), training.retrieval_layer, training.recipe.seed, data)
    directory = training.workspace.checkpoints / f"pretrained-{key[:12]}"
    found = _current(directory, key)
    if found is not None:
        training.progress.say(f"{training.recipe.name}: phase 1 is there, {directory.name}")
        return found
    with _tokenizer_file(training, cut) as tokenizer_path:
        tokenizer = FastTokenizer(tokenizer_path)
        vocabulary = json.loads(tokenizer_path.read_text(encoding="utf-8"))
        mask_id = next(entry["id"] for entry in vocabulary["added_tokens"] if entry["content"] == MASK)
        transformers.set_seed(training.recipe.seed)
        model = MaskedLanguageModel(_config(cut, mask_id + 1), training.retrieval_layer)
        model.model.roberta.embeddings.position_embeddings.requires_grad_(cut.learn_positions)
        losses = fit(
            model,
            TextBatches(corpus, cut, tokenizer, mask_id=mask_id, seed=training.recipe.seed),
            Schedule(
                steps=cut.steps,
                learning_rate=cut.learning_rate,
                embedding_learning_rate=cut.embedding_learning_rate,
                seed=training.recipe.seed,
            ),
            f"{training.recipe.name}: phase 1, {' and '.join(cut.objectives)}",
            training.progress,
        )

        def save(folder: Path) -> None:
            model.model.config.hidden_dropout_prob = cut.dropout
            model.model.config.attention_probs_dropout_prob = cut.dropout
            model.model.save_pretrained(folder)
            shutil.copyfile(tokenizer_path, folder / "tokenizer.json")

        account = _account(training, "pretrained", key, {}, data_sha256=data, steps=cut.steps, losses=losses)
        return write_checkpoint(directory, {**account, "model": directory.name}, save)


@contextmanager
def _tokenizer_file(training: Training, scratch: Scratch) -> Iterator[Path]:
    """Give a tokenizer.json: the one the recipe names, or one trained on its texts."""
    if scratch.tokenizer is not None:
        section, _, rest = scratch.tokenizer.partition("/")
        path = training.layout.section("tokenizers") / rest if section == "tokenizers" else Path(scratch.tokenizer)
        check_files([path], f"recipe {training.recipe.name!r}")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="harness-tokenizer-") as folder:
        path = Path(folder) / "tokenizer.json"
        train_tokenizer(read_corpus(scratch, training.layout).lines(), scratch.vocabulary or 0).save(str(path))
        yield path


def _config(scratch: Scratch, vocabulary: int) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=scratch.width,
        num_hidden_layers=scratch.layers,
        num_attention_heads=scratch.heads,
        intermediate_size=4 * scratch.width,
        # XLM-R counts positions from 2, so 512 tokens need 514.
        max_position_embeddings=514,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )


def _public(training: Training) -> Checkpoint:
    """Return a phase 1 that names a public checkpoint and keeps no weights of its own."""
    source, revision = training.recipe.pretrained.checkpoint, training.recipe.pretrained.revision
    if source is None or (revision is None and not Path(source).is_dir()):
        message = f"[pretrained] checkpoint {source!r} is no folder here, and a hub id needs its `revision`, a commit"
        raise CheckpointError(message)
    key = _key("public", source, revision, _digests(sorted(Path(source).glob("*"))) if Path(source).is_dir() else {})
    directory = training.workspace.checkpoints / f"pretrained-{key[:12]}"
    found = _current(directory, key)
    if found is not None:
        return found

    def save(folder: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision or "main")
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))

    account = _account(training, "pretrained", key, {}, source=source, revision=revision)
    return write_checkpoint(directory, {**account, "model": directory.name}, save)


def _encoder_of(checkpoint: Checkpoint) -> XLMRobertaModel:
    source = checkpoint.account.get("source")
    return load_encoder(source or checkpoint.directory, checkpoint.account.get("revision"))


# Phase 2


def _training_set(
    training: Training, finetune: AnyFinetune, language: str, tokenizer: FastTokenizer, count: int | None = None
) -> TrainingSet:
    """Return the featurized train split of one task in one language."""
    if finetune.train is None:
        message = f"{finetune.name!r} has no training set"
        raise DataError(message)
    examples = finetune.train.read(training.layout, language, "train")[:count]
    features: list[Feature] = finetune.featurizer(examples, tokenizer)
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
    key = _key("intermediate", asdict(mix), steps, training.recipe.seed, parent.digest, data)
    directory = training.directory("intermediate")
    found = _current(directory, key)
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
    model = MultiTask({task.name: finetunes.load(task.name).head for task in mix.tasks}, _encoder_of(parent))
    freeze(model.encoder, mix.frozen_layers)
    losses = fit(
        model,
        batches,
        Schedule(steps=steps, learning_rate=mix.learning_rate, warmup=mix.warmup, seed=training.recipe.seed),
        f"{training.recipe.name}: phase 2, {' and '.join(sizes)}",
        training.progress,
    )
    account = _account(
        training, "intermediate", key, {"pretrained": parent.digest},
        data_sha256=data, steps=steps, drawn=batches.drawn(), losses=losses,
    )  # fmt: skip
    return write_checkpoint(directory, account, _saving(model.shared_encoder(), parent))


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
    key = _key(
        "target",
        finetune.name,
        describe(finetune.head),
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
    found = _current(directory, key)
    if found is not None:
        training.progress.say(f"{training.recipe.name}: phase 3 {finetune.name} is there")
        return found
    transformers.set_seed(training.recipe.seed)
    model = build(finetune.head, _encoder_of(parent))
    more: dict[str, Any] = {"finetune": finetune.name, "head": describe(finetune.head)}
    more["retrieval_layer"] = training.retrieval_layer if isinstance(finetune.head, SentenceEmbedding) else None
    more["parents_drawn"] = parent.account.get("drawn", {})
    if finetune.train is not None:
        more |= _fine_tune(training, finetune, parent, model)
    account = _account(training, "target", key, {parent.account["phase"]: parent.digest}, data_sha256=data, **more)
    return write_checkpoint(directory, account, _saving(model, parent))


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
    scores = development_scores(finetune, model, training.layout, language, tokenizer)
    return {
        "steps": steps,
        "examples": len(train_set.examples),
        "hyperparameters": asdict(settings),
        "losses": losses,
        "development": {language: scores},
    }
