"""What `harness train --dry-run` prints: what each phase would train on and how long it would take; trains nothing."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from torch import nn
from torch.utils.data import Dataset
from transformers import PretrainedConfig

from harness.artifacts.checkpoint import Checkpoint
from harness.core.machine import cores
from harness.core.tables import EMPTY, Table
from harness.core.task import AnyFinetune
from harness.tokenization.tokenizer import FastTokenizer
from training.batches import TrainingSet
from training.checkpoint import Phase
from training.encoders.loading import CheckpointSource, read_config
from training.encoders.networks import networks_of
from training.experiment import Inputs, Training
from training.intermediate import bound_tasks, intermediate_inputs, mixed_batches, mixed_schedule, mixed_sets
from training.measure import Speed, measure, spread, useful_tokens
from training.modules import MultiTask, build, freeze
from training.phases import chosen_finetunes, with_bodies
from training.pretraining import (
    check_public,
    cut_of,
    mask_of,
    masked_model,
    public_config,
    public_inputs,
    save_public_tokenizer,
    scratch_config,
    scratch_inputs,
    scratch_schedule,
    set_dropout,
    text_batches,
    tokenizer_file,
)
from training.rates import rates_of
from training.recipe import Intermediate, Scratch, TextMix
from training.sets import RowsOnDemand
from training.states import last_state, step_of
from training.target import rates, scored_tokens, target_batches, target_inputs, target_schedule, target_set
from training.text import Corpus, read_corpus
from training.trainer import Schedule

#: Seconds that all measurements of one command may take, roughly.
SECONDS = 60.0
#: Examples of each file from which its tokens are estimated; a smaller file is counted.
EXAMPLES = 100
#: Steps of text from which its tokens are estimated.
TEXT_STEPS = 20
#: A token of training costs a forward pass and a backward one, which computes twice as much; scoring only the first.
PASSES = 3
#: Lines of all languages from which a tokenizer is made that no checkpoint holds yet, and which are measured.
LINES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SetEstimate:
    """One task in one language, or text, among what a phase trains on."""

    name: str
    #: Examples there are; None for text.
    examples: int | None
    #: Examples that the steps would draw.
    drawn: int | None
    tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What there is to measure: made only where it is, as a model may be large."""

    model: Callable[[], nn.Module]
    batches: Dataset[Any]
    schedule: Schedule
    #: Equal ones take equally long for a token.
    key: str
    #: What costs about as much for a token, whatever the head.
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One phase or training set of a recipe."""

    name: str
    #: "done", "to do", "from step N", or why it costs nothing here.
    state: str
    steps: int
    #: Part of the steps that is left.
    left: float
    parts: Sequence[SetEstimate] = ()
    work: Work | None = None
    #: Tokens of the dev set, as often as it is scored.
    scored: int = 0
    #: Learning rates that are tried first, and the share of the steps of each.
    rates: int = 1
    sweep: float = 0.0

    @property
    def tokens(self) -> int:
        """Return the tokens that are left to train on."""
        return round(self.left * sum(part.tokens or 0 for part in self.parts))


@dataclass(slots=True)
class Estimator:
    """Measures what differs, as long as there is time; shared by the recipes of one command."""

    seconds: float = SECONDS
    #: Recipes that are still to come, this one included.
    recipes: int = 1
    #: Identity of a phase 1 -> the recipe that would train it.
    starts: dict[str, str] = field(default_factory=dict)
    #: Processes that wanted the machine's cores in the minute before.
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    _by_key: dict[str, tuple[Speed, str]] = field(default_factory=dict)
    _by_shape: dict[str, tuple[Speed, str]] = field(default_factory=dict)

    def speeds(self, planned: Sequence[Planned]) -> dict[str, tuple[Speed, str]]:
        """Return how fast each training of a recipe goes, and on which it was measured; what is done is left out.

        Of those with one key the one with most tokens is measured, as most of the time depends on it.
        """
        share = self.seconds / self.recipes
        pending = sorted((item for item in planned if item.work and item.left), key=lambda item: -item.tokens)
        fresh = dict.fromkeys(item.work.key for item in pending if item.work and item.work.key not in self._by_key)
        found = {}
        for item in pending:
            work = item.work
            if work is None:
                continue
            if work.key not in self._by_key and (share > 0 or work.shape not in self._by_shape):
                begin = time.perf_counter()
                speed = measure(work.model(), work.batches, work.schedule, max(share, 0.0) / len(fresh))
                self._by_key[work.key] = self._by_shape[work.shape] = speed, item.name
                spent = time.perf_counter() - begin
                share -= spent
                self.seconds -= spent
                del fresh[work.key]
            found[item.name] = self._by_key.get(work.key) or self._by_shape[work.shape]
        self.recipes -= 1
        return found


@dataclass(frozen=True, slots=True)
class _Start:
    """The encoder that phases 2 and 3 begin with, as far as it is known."""

    #: None where phase 1 is still to be done.
    checkpoint: Checkpoint | None
    config: PretrainedConfig
    tokenizer: Path
    #: Where the tokenizer comes from.
    origin: str


def lines(training: Training, targets: Sequence[str], last: Phase, estimator: Estimator) -> Iterator[str]:
    """Yield what a recipe would train, and how long that takes on this machine.

    Args:
        training: the recipe and where it works.
        targets: finetunes of phase 3; the recipe's where empty.
        last: the phase to stop after.
        estimator: measures.

    Raises:
        DataError: a data file is missing or malformed.
        CheckpointError: a checkpoint on disk is damaged.
    """
    chosen = chosen_finetunes(training, targets)
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    with _start(training, estimator) as (first, start):
        planned = [first]
        parent = start.checkpoint
        if last != "pretrained" and training.recipe.intermediate is not None:
            second, parent = _intermediate(training, training.recipe.intermediate, start)
            planned.append(second)
        if last == "target":
            planned += _targets(training, with_bodies(chosen), start, parent)
        with training.progress.step(f"{training.recipe.name}: measuring", 1, "machines") as advance:
            speeds = estimator.speeds(planned)
            advance(1)
        yield _table(training, planned, speeds).text()
        yield from _remarks(planned, speeds, start.origin, estimator.load)
    transformers.utils.logging.set_verbosity(verbosity)


def _state(training: Training, inputs: Inputs | None, steps: int) -> tuple[str, float]:
    """Return the state of a training whose checkpoint is not there, and the part of its steps that is left."""
    state = last_state(training.folders(inputs.identity, "").states) if inputs and training.resume else None
    if state is None:
        return "to do", 1.0
    done = step_of(state)
    return f"from step {done:,}", 1 - done / steps


def _done(name: str, checkpoint: Checkpoint) -> Planned:
    metadata = checkpoint.metadata
    given = metadata.source_examples
    parts = [
        SetEstimate(name=f"  {task} {language}", examples=given.get(task, {}).get(language), drawn=drawn, tokens=None)
        for task, languages in metadata.drawn.items()
        for language, drawn in languages.items()
    ]
    return Planned(name=name, state="done", steps=metadata.steps or 0, left=0.0, parts=parts)


@contextmanager
def _start(training: Training, estimator: Estimator) -> Iterator[tuple[Planned, _Start]]:
    """Give phase 1, and the encoder that it leaves or would leave."""
    scratch = training.recipe.pretrained.scratch
    if scratch is None:
        with _public(training) as found:
            yield found
        return
    corpus = read_corpus(scratch, training.layout)
    inputs = scratch_inputs(training, scratch, corpus)
    checkpoint = inputs.checkpoint()
    name = f"phase 1: {' and '.join(scratch.objectives)}"
    if checkpoint is not None:
        _, config = read_config(CheckpointSource(str(checkpoint.directory)))
        yield _done(name, checkpoint), _Start(checkpoint, config, checkpoint.tokenizer, "the one of phase 1")
        return
    cut, few = cut_of(training, scratch), _thinned(corpus, LINES)
    with ExitStack() as stack:
        with training.progress.step(f"{training.recipe.name}: making a tokenizer", 1, "tokenizers") as advance:
            path = stack.enter_context(tokenizer_file(training, cut, few))
            advance(1)
        mask = mask_of(path)
        config = scratch_config(cut, mask + 1)
        set_dropout(config, cut.dropout)
        origin = scratch.tokenizer or f"made from {_count(few):,} of the {_count(corpus):,} lines of text"
        start = _Start(None, config, path, origin)
        other = estimator.starts.setdefault(inputs.identity, training.recipe.name)
        if other != training.recipe.name:
            yield Planned(name=name, state=f"the one of {other}", steps=cut.steps, left=0.0), start
        else:
            yield _scratch(training, cut, inputs, few, start, name), start


def _scratch(training: Training, cut: Scratch, inputs: Inputs, corpus: Corpus, start: _Start, name: str) -> Planned:
    """Return a phase 1 from scratch that is still to be done."""
    state, left = _state(training, inputs, cut.steps)
    batches = text_batches(training, corpus, cut, start.tokenizer, cut.steps)
    return Planned(
        name=name,
        state=state,
        steps=cut.steps,
        left=left,
        parts=[_text(batches, cut.steps)],
        work=Work(
            model=lambda: masked_model(cut, mask_of(start.tokenizer)),
            batches=batches,
            schedule=scratch_schedule(training, cut),
            key=f"text {cut} {training.recipe.compute}",
            shape=_shape(training, start.config),
        ),
    )


@contextmanager
def _public(training: Training) -> Iterator[tuple[Planned, _Start]]:
    """Give a public checkpoint: its shape and its tokenizer, after its weights were compared."""
    inputs, config = public_inputs(training), public_config(training)
    checkpoint = inputs.checkpoint()
    name = f"phase 1: {training.recipe.pretrained.checkpoint or training.recipe.pretrained.encoder}"
    with tempfile.TemporaryDirectory(prefix="harness-tokenizer-") as folder:
        if checkpoint is None:
            save_public_tokenizer(training, Path(folder))
        path = Path(folder) / "tokenizer.json" if checkpoint is None else checkpoint.tokenizer
        check_public(training, path)
        planned = Planned(name=name, state="done" if checkpoint else "public", steps=0, left=0.0)
        yield planned, _Start(checkpoint, config, path, "the public checkpoint's")


def _intermediate(training: Training, mix: Intermediate, start: _Start) -> tuple[Planned, Checkpoint | None]:
    """Return phase 2, and its checkpoint if that is there."""
    name = "phase 2"
    corpus = None if mix.text is None else read_corpus(mix.text, training.layout)
    inputs = intermediate_inputs(training, mix, start.checkpoint, corpus) if start.checkpoint else None
    found = inputs.checkpoint() if inputs else None
    if found is not None:
        return _done(name, found), found
    steps = training.steps(mix.steps)
    state, left = _state(training, inputs, steps)
    sets = mixed_sets(training, mix, FastTokenizer(start.tokenizer), RowsOnDemand)
    few = None if corpus is None else _thinned(corpus, LINES)
    batches = mixed_batches(training, mix, sets, few, start.tokenizer)
    drawn = batches.drawn()
    parts = [_part(item, drawn[item.task][item.language]) for item in sets]
    if mix.text is not None and few is not None:
        parts.append(
            _text(text_batches(training, few, mix.text, start.tokenizer, steps), batches.text_steps(), mix.text)
        )
    heads = {task.name: finetune.head for task, finetune in bound_tasks(training, mix)}

    def model() -> nn.Module:
        networks = networks_of(start.config.model_type)
        text = None if mix.text is None else networks.masked(start.config)
        made = MultiTask(heads, networks.encoder(start.config), text)
        freeze(made.encoder, mix.frozen_layers)
        return made

    work = Work(
        model=model,
        batches=batches,
        schedule=mixed_schedule(training, mix),
        key=f"{mix} {_shape(training, start.config)}",
        shape=_shape(training, start.config),
    )
    return Planned(
        name=name,
        state=state,
        steps=steps,
        left=left,
        parts=parts,
        work=work,
        rates=len(rates_of(mix.learning_rate)),
        sweep=mix.sweep,
    ), None


def _targets(
    training: Training, chosen: Sequence[AnyFinetune], start: _Start, parent: Checkpoint | None
) -> Iterator[Planned]:
    """Yield phase 3, each training set after the one that it starts from."""
    known: dict[str, Checkpoint | None] = {}
    for finetune in chosen:
        before = parent if finetune.body is None else known[finetune.body]
        inputs = target_inputs(training, finetune, before) if before else None
        found = known[finetune.name] = inputs.checkpoint() if inputs else None
        name = f"phase 3: {finetune.name}"
        if found is not None:
            yield replace(_done(name, found), parts=())
        elif finetune.train is None:
            yield Planned(name=name, state="not trained", steps=0, left=0.0)
        else:
            yield _target(training, finetune, inputs, start, name)


def _target(training: Training, finetune: AnyFinetune, inputs: Inputs | None, start: _Start, name: str) -> Planned:
    """Return a training set of phase 3 that is still to be trained on."""
    tokenizer = FastTokenizer(start.tokenizer)
    train_set = target_set(training, finetune, tokenizer, RowsOnDemand)
    batches = target_batches(training, finetune, train_set, tokenizer.pad_id)
    steps = len(batches)
    state, left = _state(training, inputs, steps)
    schedule = target_schedule(training, finetune, steps)
    frozen = training.recipe.target.frozen_layers

    def model() -> nn.Module:
        made: nn.Module = build(finetune.head, networks_of(start.config.model_type).encoder(start.config))
        freeze(made.base_model, frozen)
        return made

    return Planned(
        name=name,
        state=state,
        steps=steps,
        left=left,
        parts=[replace(_part(train_set, steps * batches.rows), name="")],
        scored=scored_tokens(training, finetune, tokenizer),
        rates=len(rates(training, finetune)),
        sweep=training.recipe.target.sweep,
        work=Work(
            model=model,
            batches=batches,
            schedule=schedule,
            key=f"{name} {frozen} {_shape(training, start.config)}",
            shape=_shape(training, start.config),
        ),
    )


def _shape(training: Training, config: PretrainedConfig) -> str:
    return f"{training.recipe.compute} {config.to_json_string()}"


def _part(item: TrainingSet, drawn: int) -> SetEstimate:
    """Return a training set with its tokens, estimated from a few examples spread over it."""
    places = spread(len(item.examples), EXAMPLES)
    mean = np.mean([sum(len(row.input_ids) for row in item.examples[place]) for place in places])
    return SetEstimate(
        name=f"  {item.task} {item.language}", examples=len(item.examples), drawn=drawn, tokens=round(mean * drawn)
    )


def _text(batches: Dataset[Any], steps: int, mix: TextMix | None = None) -> SetEstimate:
    """Return the text of so many steps with its tokens, estimated from a few of them."""
    places = spread(len(batches), TEXT_STEPS)  # type: ignore[arg-type]
    mean = np.mean([useful_tokens(batches[place]) for place in places])
    name = "" if mix is None else f"  text, {' and '.join(mix.objectives)}: {steps:,} steps"
    return SetEstimate(name=name, examples=None, drawn=None, tokens=round(mean * steps))


def _thinned(corpus: Corpus, limit: int) -> Corpus:
    """Return a corpus of so many lines at most, evenly spread; parallel lines stay parallel."""

    def thin(texts: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        total = sum(map(len, texts.values()))
        return {code: found[:: max(1, -(-total // limit))] for code, found in texts.items()}

    return replace(corpus, plain=thin(corpus.plain), parallel=thin(corpus.parallel))


def _count(corpus: Corpus) -> int:
    return sum(1 for _ in corpus.lines())


def _table(training: Training, planned: Sequence[Planned], speeds: Mapping[str, tuple[Speed, str]]) -> Table:
    """Return one row for each training and for each part of a mixture, and the totals."""
    rows = []
    for item in planned:
        whole = item.parts[0] if len(item.parts) == 1 and not item.parts[0].name else None
        cells = [EMPTY if whole is None else _number(value) for value in _examples(whole)]
        rows.append(
            [
                item.name,
                _shown(item),
                f"{item.steps:,}",
                *cells,
                f"{item.tokens:,}",
                *_time(item, speeds.get(item.name)),
            ]
        )
        rows += [
            [part.name, "", "", *map(_number, _examples(part)), _number(part.tokens), "", ""]
            for part in item.parts
            if part is not whole
        ]
    steps = sum(round(item.left * item.steps) for item in planned)
    rows.append(["left to do", "", f"{steps:,}", "", "", f"{sum(item.tokens for item in planned):,}",
                 duration(_total(planned, speeds)), ""])  # fmt: skip
    return Table(
        f"{training.recipe.name}: seed {training.recipe.seed}, data {training.layout.root or training.layout.xtreme}",
        ["training", "state", "steps", "examples", "drawn", "tokens", "time", "measured"],
        rows,
    )


def _shown(item: Planned) -> str:
    """Return the state of a training, and what is tried before its steps."""
    return item.state if item.rates == 1 else f"{item.state}, after {item.rates} learning rates"


def _examples(part: SetEstimate | None) -> tuple[int | None, int | None]:
    return (None, None) if part is None else (part.examples, part.drawn)


def _number(value: int | None) -> str:
    return EMPTY if value is None else f"{value:,}"


def _time(item: Planned, measured: tuple[Speed, str] | None) -> tuple[str, str]:
    """Return the time of a training, and how it is shown."""
    if measured is None:
        return duration(0.0), EMPTY
    speed, name = measured
    shown = f"{speed.steps} step{'s' if speed.steps > 1 else ''}" + (f" / {speed.parts}" if speed.parts > 1 else "")
    return duration(_seconds(item, speed)), shown if name == item.name else f"as {name}"


def _seconds(item: Planned, speed: Speed) -> float:
    scoring = item.left * item.scored / PASSES * speed.seconds_per_token
    tried = item.rates * item.sweep if item.rates > 1 else 0.0
    return (speed.seconds(item.left * item.steps, item.tokens) + scoring) * (1 + tried)


def _total(planned: Sequence[Planned], speeds: Mapping[str, tuple[Speed, str]]) -> float:
    return sum(_seconds(item, speeds[item.name][0]) for item in planned if item.name in speeds)


def duration(seconds: float) -> str:
    """Return a length of time as people say it."""
    minutes = seconds / 60
    return (
        f"{seconds:,.0f} s" if seconds < 120 else f"{minutes:,.0f} min" if minutes < 120 else f"{minutes / 60:,.1f} h"
    )


def _remarks(
    planned: Sequence[Planned], speeds: Mapping[str, tuple[Speed, str]], origin: str, load: float
) -> Iterator[str]:
    """Yield what the numbers of the table rest on."""
    if any(item.left for item in planned):
        yield (
            f"  tokens: without padding, estimated from {EXAMPLES} examples of each file and {TEXT_STEPS} steps of "
            f"text; tokenizer: {origin}"
        )
    if speeds:
        steps = sorted({speed.steps for speed, _ in speeds.values()})
        shown = " to ".join(str(count) for count in dict.fromkeys((steps[0], steps[-1])))
        yield (
            f"  time: an estimate from {shown} optimiser steps of a kind, timed on this machine ({cores()} cores) and "
            f"carried over by the token; reading files and export come on top, and patience may "
            f"end a training sooner"
        )
        if load > cores() / 2:
            yield f"  the machine was busy with other work (load {load:.1f}); alone it trains faster than this"
        if any(speed.parts > 1 for speed, _ in speeds.values()):
            yield "  N steps / P: of those steps one of P parts of the rows was timed, the rest is extrapolated"
    if any(item.left for item in planned):
        yield "  evaluation sentences among the training files are looked for when training starts"
