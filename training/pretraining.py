"""Phase 1: a public checkpoint by name, or an encoder of our own from scratch."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import transformers
from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

from harness.core.errors import CheckpointError
from harness.core.files import file_sha256
from harness.core.layout import check_files
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import Checkpoint
from training.experiment import Inputs, Training, digests_of, identity_of, metadata_of
from training.modules import MaskedLanguageModel, load_encoder
from training.recipe import Scratch, TextMix
from training.text import MASK, Corpus, TextBatches, read_corpus, train_tokenizer
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
            training.place(identity, "pretrained"),
            f"{training.recipe.name}: phase 1, {' and '.join(cut.objectives)}",
            training.progress,
        )

        def save(folder: Path) -> None:
            model.model.config.hidden_dropout_prob = cut.dropout
            model.model.config.attention_probs_dropout_prob = cut.dropout
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
    return Inputs(identity, training.workspace.checkpoints / f"pretrained-{identity[:12]}", data)


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
    model = MaskedLanguageModel(XLMRobertaForMaskedLM(scratch_config(cut, mask_id + 1)))
    model.model.roberta.embeddings.position_embeddings.requires_grad_(cut.learn_positions)
    return model


def mask_of(tokenizer: Path) -> int:
    """Return the id of the mask.

    Raises:
        CheckpointError: the tokenizer has none.
    """
    vocabulary = json.loads(tokenizer.read_text(encoding="utf-8"))
    marks = [entry["id"] for entry in vocabulary["added_tokens"] if entry["content"] == MASK]
    if not marks:
        message = f"{tokenizer} has no {MASK!r} among its added tokens; masked LM needs an XLM-R tokenizer"
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


def text_model_of(checkpoint: Checkpoint) -> XLMRobertaForMaskedLM:
    """Return phase 1's model with its prediction of masked pieces, for continued masked language modelling.

    Raises:
        CheckpointError: there is none, or it has no such head.
    """
    source = checkpoint.metadata.source or checkpoint.directory
    try:
        model, info = XLMRobertaForMaskedLM.from_pretrained(
            str(source), revision=checkpoint.metadata.revision or "main", output_loading_info=True
        )
    except (OSError, ValueError) as error:
        message = f"no masked language model can be loaded from {str(source)!r}: {error}"
        raise CheckpointError(message) from error
    absent = sorted(name for name in info["missing_keys"] if name.startswith("lm_head") and "decoder" not in name)
    if absent:
        message = f"{str(source)!r} has no head of masked language modelling ({', '.join(absent)} are missing)"
        raise CheckpointError(message)
    return model


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


def scratch_config(scratch: Scratch, vocabulary: int) -> XLMRobertaConfig:
    """Return the shape of an encoder from scratch; dropout is that of phase 1, none."""
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


def public_inputs(training: Training) -> Inputs:
    """Return what a phase 1 that names a public checkpoint is made from.

    Raises:
        CheckpointError: the name is no folder, and no commit of a hub id is given.
    """
    source, revision = training.recipe.pretrained.checkpoint, training.recipe.pretrained.revision
    if source is None or (revision is None and not Path(source).is_dir()):
        message = f"[pretrained] checkpoint {source!r} is no folder here, and a hub id needs its `revision`, a commit"
        raise CheckpointError(message)
    identity = identity_of(
        "public",
        source,
        revision,
        {path.name: file_sha256(path) for path in sorted(Path(source).glob("*")) if path.is_file()},
    )
    return Inputs(identity, training.workspace.checkpoints / f"pretrained-{identity[:12]}", {})


def save_public_tokenizer(training: Training, folder: Path) -> None:
    """Write the tokenizer.json of the public checkpoint that the recipe names.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    source, revision = training.recipe.pretrained.checkpoint, training.recipe.pretrained.revision
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision or "main")
    except (OSError, ValueError) as error:
        message = f"no tokenizer can be loaded from {source!r}: {error}"
        raise CheckpointError(message) from error
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def public_config(training: Training) -> XLMRobertaConfig:
    """Return the shape of the public checkpoint that the recipe names.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    source, revision = training.recipe.pretrained.checkpoint, training.recipe.pretrained.revision
    try:
        return XLMRobertaConfig.from_pretrained(str(source), revision=revision or "main")
    except (OSError, ValueError) as error:
        message = f"no XLM-R checkpoint can be loaded from {source!r}: {error}"
        raise CheckpointError(message) from error


def _public(training: Training) -> Checkpoint:
    """Return a phase 1 that names a public checkpoint and keeps no weights of its own."""
    inputs = public_inputs(training)
    found = inputs.checkpoint()
    if found is not None:
        return found
    start = training.recipe.pretrained
    metadata = metadata_of(
        training, "pretrained", inputs.identity, {}, source=start.checkpoint, revision=start.revision, seen={}
    )
    return training.keep(
        inputs.directory,
        {**metadata, "model": inputs.directory.name},
        lambda folder: save_public_tokenizer(training, folder),
    )


def encoder_of(checkpoint: Checkpoint) -> XLMRobertaModel:
    """Return the encoder of a checkpoint of phase 1 or 2; a public one is loaded from where it lies."""
    source = checkpoint.metadata.source
    return load_encoder(source or checkpoint.directory, checkpoint.metadata.revision)
