"""Phase 1: a public checkpoint by name, or an encoder of our own from scratch."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import transformers
from transformers import PretrainedConfig, PreTrainedModel

from harness.core.errors import CheckpointError, RecipeError
from harness.core.files import file_sha256
from harness.core.layout import check_files
from harness.core.records import to_json
from harness.encoders.catalogue import find
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import Checkpoint
from training.distributed import once
from training.encoders import xlm_roberta
from training.encoders.known import SourcedWeights, weights_of
from training.encoders.loading import CheckpointSource, load, load_encoder, read_config, write_tokenizer
from training.encoders.networks import networks_of
from training.experiment import Inputs, Training, digests_of, identity_of, metadata_of
from training.modules import MaskedLanguageModel
from training.precision import precision_of
from training.recipe import Scratch, TextMix
from training.text import MASKS, Corpus, TextBatches, read_corpus, train_tokenizer
from training.trainer import Schedule, fit


def pretrained(training: Training) -> Checkpoint:
    """Return the start: shared by all recipes whose phase 1 is the same, hence named by its content."""
    scratch = training.recipe.pretrained.scratch
    if scratch is None:
        return _public(training)
    corpus = read_corpus(scratch, training.layout)
    inputs = scratch_inputs(training, scratch, corpus)
    found = inputs.checkpoint()
    if found is not None:
        training.progress.say(f"{training.recipe.name}: phase 1 is there, {found.directory.name}")
        return found
    training.check_leaks()
    cut, identity = cut_of(training, scratch), inputs.identity
    with tokenizer_file(training, cut, corpus) as tokenizer_path:
        tokenizer = FastTokenizer(tokenizer_path)
        mask_id = mask_of(tokenizer_path)
        transformers.set_seed(training.recipe.seed)
        model = masked_model(cut, mask_id)
        with training.progress.step(f"{training.recipe.name}: tokenizing the texts", 1, "corpora") as advance:
            batches = TextBatches(corpus, cut, tokenizer, steps=cut.steps, mask_id=mask_id, seed=training.recipe.seed)
            advance(1)
        fitted = fit(
            model,
            batches,
            scratch_schedule(training, cut),
            training.folders(identity, "pretrained"),
            f"{training.recipe.name}: phase 1, {' and '.join(cut.objectives)}",
            training.progress,
        )

        def save(folder: Path) -> None:
            set_dropout(model.model.config, cut.dropout)
            model.model.save_pretrained(folder)
            shutil.copyfile(tokenizer_path, folder / "tokenizer.json")

        # Parallel text teaches to align languages, which is what retrieval tasks measure.
        aligned = corpus.aligned(cut)
        seen = {"alignment": aligned} if aligned else {}
        metadata = metadata_of(
            training, "pretrained", identity, {}, data_sha256=inputs.data, steps=cut.steps, seen=seen,
            **fitted.to_json(),
        )  # fmt: skip
        return training.keep(inputs.directory, {**metadata, "model": inputs.directory.name}, save)


def cut_of(training: Training, scratch: Scratch) -> Scratch:
    """Return phase 1 with the steps it has where the command line cuts them."""
    return replace(scratch, steps=training.steps(scratch.steps))


def scratch_inputs(training: Training, scratch: Scratch, corpus: Corpus) -> Inputs:
    """Return what a phase 1 from scratch is made from.

    Raises:
        DataError: the tokenizer that the recipe names is missing.
    """
    data = digests_of(training.layout, [*corpus.paths, *_named_tokenizer(training, scratch)])
    identity = identity_of("pretrained", asdict(cut_of(training, scratch)), training.recipe.seed, data)
    return Inputs(identity, training.workspace.checkpoints / f"pretrained-{identity[:12]}", data, fp32=training.fp32)


def scratch_schedule(training: Training, cut: Scratch) -> Schedule:
    """Return how a phase 1 from scratch goes."""
    return Schedule(
        steps=cut.steps,
        learning_rate=cut.learning_rate,
        embedding_learning_rate=cut.embedding_learning_rate,
        seed=training.recipe.seed,
        compute=training.recipe.compute,
    )


def masked_model(cut: Scratch, mask_id: int) -> MaskedLanguageModel:
    """Return the model of phase 1 before its first step; the mask is the last entry of the vocabulary."""
    model = MaskedLanguageModel(xlm_roberta.NETWORKS.masked(scratch_config(cut, mask_id + 1)))
    model.model.base_model.embeddings.position_embeddings.requires_grad_(cut.learn_positions)
    return model


def mask_of(tokenizer: Path) -> int:
    """Return the id of the mask.

    Raises:
        CheckpointError: the tokenizer has none.
    """
    vocabulary = json.loads(tokenizer.read_text(encoding="utf-8"))
    marks = [entry["id"] for entry in vocabulary["added_tokens"] if entry["content"] in MASKS]
    if not marks:
        message = f"{tokenizer} has none of {', '.join(MASKS)} among its added tokens; masked LM needs one"
        raise CheckpointError(message)
    return int(marks[0])


def text_batches(training: Training, corpus: Corpus, mix: TextMix, tokenizer: Path, steps: int) -> TextBatches:
    """Return one batch of text for each step of phase 2."""
    with training.progress.step(f"{training.recipe.name}: tokenizing the texts", 1, "corpora") as advance:
        batches = TextBatches(
            corpus,
            mix,
            FastTokenizer(tokenizer),
            steps=steps,
            mask_id=mask_of(tokenizer),
            seed=training.recipe.seed,
        )
        advance(1)
    return batches


def text_model_of(checkpoint: Checkpoint) -> PreTrainedModel:
    """Return phase 1's model with its prediction of masked subwords, for continued masked language modelling.

    Raises:
        CheckpointError: there is none, or it has no such head.
    """
    source = source_of(checkpoint)
    networks, config = read_config(source)
    return load(networks.masked, networks, config, source)


def _named_tokenizer(training: Training, scratch: Scratch) -> list[Path]:
    """Return the tokenizer that the recipe names, if it names one: a path, or one of the data folder."""
    if scratch.tokenizer is None:
        return []
    section, _, rest = scratch.tokenizer.partition("/")
    path = training.layout.section("tokenizers") / rest if section == "tokenizers" else Path(scratch.tokenizer)
    check_files([path], f"recipe {training.recipe.name!r}", "name another `tokenizer`")
    return [path]


@contextmanager
def tokenizer_file(training: Training, scratch: Scratch, corpus: Corpus) -> Iterator[Path]:
    """Give a tokenizer.json: the one the recipe names, or one trained on its texts."""
    for path in _named_tokenizer(training, scratch):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="harness-tokenizer-") as folder:
        path = Path(folder) / "tokenizer.json"
        train_tokenizer(corpus.lines(), scratch.vocabulary or 0).save(str(path))
        yield path


def scratch_config(scratch: Scratch, vocabulary: int) -> PretrainedConfig:
    """Return the shape of an encoder from scratch; dropout is that of phase 1, none."""
    return xlm_roberta.scratch_config(
        layers=scratch.layers, width=scratch.width, heads=scratch.heads, vocabulary=vocabulary
    )


def set_dropout(config: PretrainedConfig, rate: float) -> None:
    """Set every dropout rate of an encoder, in place."""
    for key in networks_of(config.model_type).family.dropout:
        setattr(config, key, rate)


def public_inputs(training: Training) -> Inputs:
    """Return what a phase 1 that names a public checkpoint is made from.

    Raises:
        CheckpointError: the name is no folder, and no commit of a hub id is given.
    """
    if training.known is not None:
        place = public_weights(training).source
        source, revision = place.name, place.revision
    else:
        source, revision = str(training.recipe.pretrained.checkpoint), training.recipe.pretrained.revision
    if training.known is None and revision is None and not Path(source).is_dir():
        message = f"[pretrained] checkpoint {source!r} is no folder here, and a hub id needs its `revision`, a commit"
        raise CheckpointError(message)
    identity = identity_of(
        "public",
        source,
        revision,
        {path.name: file_sha256(path) for path in sorted(Path(source).glob("*")) if path.is_file()},
    )
    return Inputs(identity, training.workspace.checkpoints / f"pretrained-{identity[:12]}", {})


def public_source(training: Training) -> CheckpointSource:
    """Return where the public checkpoint is that the recipe names."""
    start = training.recipe.pretrained
    return (
        CheckpointSource(str(start.checkpoint), start.revision)
        if start.encoder is None
        else public_weights(training).source
    )


def public_weights(training: Training) -> SourcedWeights:
    """Return the weights of the known encoder that the recipe names.

    Raises:
        UsageError, CheckpointError, MissingExtra: see `training.encoders.known.weights_of`.
    """
    start = training.recipe.pretrained
    return _weights(str(start.encoder), start.source, start.revision, training.workspace.checkpoints)


@cache
def _weights(name: str, source: str | None, revision: str | None, checkpoints: Path) -> SourcedWeights:
    """Return the weights of a known encoder; files are compared with their digests once in a process."""

    def found() -> SourcedWeights:
        return weights_of(find(name), source, revision, checkpoints)

    return once(found, found)


def save_public_tokenizer(training: Training, folder: Path) -> None:
    """Write the tokenizer.json of the public checkpoint that the recipe names.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    write_tokenizer(public_source(training), folder / "tokenizer.json")


def public_config(training: Training) -> PretrainedConfig:
    """Return the shape of the public checkpoint that the recipe names.

    Raises:
        CheckpointError: it cannot be loaded, or no family has its `model_type`.
    """
    _, config = read_config(public_source(training))
    return config


def check_public(training: Training, tokenizer: Path) -> None:
    """Refuse a public checkpoint that is not whole, or not the tokenizer's, before anything is read or trained.

    Raises:
        CheckpointError: says what is wrong.
        RecipeError: the precision is one that the family does not allow.
    """
    source = public_source(training)
    networks, _ = read_config(source)
    precision = precision_of(training.recipe.compute, networks.family.refused)
    if (reason := networks.family.refused.get(precision)) is not None:
        message = (
            f"recipe {training.recipe.name!r} trains {networks.family.model_type} in {precision}: {reason}"
            f"; set bf16 = false in [compute], or launch without mixed precision"
        )
        raise RecipeError(message)
    load_encoder(source.name, source.revision, tokenizer=tokenizer)


def _public(training: Training) -> Checkpoint:
    """Return a phase 1 that names a public checkpoint and keeps no weights of its own.

    Its weights are compared each time: a checkpoint of phase 1 may be older than the comparison.
    """
    inputs = public_inputs(training)
    found = inputs.checkpoint()
    if found is not None:
        check_public(training, found.tokenizer)
        return found
    source = public_source(training)
    origin = None if training.known is None else public_weights(training).origin
    seen = {} if training.known is None else training.known.seen()
    with tempfile.TemporaryDirectory(prefix="harness-tokenizer-") as folder:
        save_public_tokenizer(training, Path(folder))
        tokenizer = Path(folder) / "tokenizer.json"
        check_public(training, tokenizer)

        def save(draft: Path) -> None:
            shutil.copyfile(tokenizer, draft / "tokenizer.json")

        recorded = metadata_of(
            training, "pretrained", inputs.identity, {}, source=source.name, revision=source.revision, seen=seen,
            **({} if origin is None else {"origin": to_json(origin)}),
        )  # fmt: skip
        return training.keep(
            inputs.directory,
            {**recorded, "model": inputs.directory.name},
            save,
        )


def source_of(checkpoint: Checkpoint) -> CheckpointSource:
    """Return where the weights of a checkpoint are: a public one's stay where it is."""
    return CheckpointSource(str(checkpoint.metadata.source or checkpoint.directory), checkpoint.metadata.revision)


def encoder_of(checkpoint: Checkpoint) -> PreTrainedModel:
    """Return the encoder of a checkpoint of phase 1 or 2, whole and with its own tokenizer.

    Raises:
        CheckpointError: it is not.
    """
    source = source_of(checkpoint)
    return load_encoder(source.name, source.revision, tokenizer=checkpoint.tokenizer)
