"""Recipes: one TOML file is one experiment, from the starting checkpoint to the exported graphs.

A recipe is read alone: no inheritance, no interpolation. Every key is checked before anything
starts; the resolved recipe goes into each checkpoint.
"""

import dataclasses
import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from harness import finetunes
from harness.errors import RecipeError, nearest
from harness.languages import table

#: Objectives of phase 1 from scratch, and the key of the text each learns from.
OBJECTIVES = {"mlm": "texts", "tlm": "parallel", "alignment": "parallel"}
#: Tokens of a row that an XLM-R shape has positions for.
POSITIONS = 512
#: Names of models and recipes: they become folders and Triton model names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """Phase 1 from nothing: an XLM-R-shaped encoder trained on plain and parallel text."""

    layers: int
    width: int
    heads: int
    #: Entries of a tokenizer trained on the texts; leave it out where `tokenizer` names one.
    vocabulary: int | None = None
    #: A tokenizer.json in the data folder, for example "tokenizers/xlm-roberta/tokenizer.json".
    tokenizer: str | None = None
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
    steps: int
    #: Padded tokens of a step.
    batch_tokens: int = 4096
    learning_rate: float = 1e-3
    #: Of the piece embeddings; `learning_rate` where left out. A small model learns words of 13
    #: languages many times sooner with 1e-2 here than with one rate for all.
    embedding_learning_rate: float | None = None
    #: Share of the pieces that are masked.
    masking: float = 0.15
    #: Of phases 2 and 3. Phase 1 trains without: it sees each line too rarely to overfit, and
    #: drawing the masks takes 40 % of its time on a CPU.
    dropout: float = 0.1
    #: Learn position embeddings in phase 1; false keeps them small and random, so that order weighs
    #: little beside words, which helps transfer to other word orders (Liu et al. 2020, arXiv 2001.11164).
    learn_positions: bool = True
    max_tokens: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """Phase 1: a public checkpoint, or one from scratch."""

    #: Hub id or directory.
    checkpoint: str | None = None
    #: Commit; required for a hub id.
    revision: str | None = None
    scratch: Scratch | None = None
    #: Hidden state that retrieval pools, for depths without an official value.
    retrieval_layer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """One task of the intermediate mix."""

    name: str
    #: Drawn with equal weights.
    languages: tuple[str, ...] = ("en",)
    #: Weight of the task; its number of examples where left out.
    weight: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intermediate:
    """Phase 2: one or more tasks in one or more languages; each step draws one task and one batch."""

    steps: int
    batch_rows: int = 32
    learning_rate: float = 1e-5
    warmup: float = 0.1
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

    #: All declared ones where left out.
    finetunes: tuple[str, ...] = ()
    #: The embeddings and so many layers stay as they were.
    frozen_layers: int | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Which graphs are written."""

    variants: tuple[str, ...] = ("fp32",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One experiment; its name is the model that `--model` takes."""

    name: str
    description: str
    #: "sample", a folder, or nothing: then `--data` or HARNESS_DATA says where the data is.
    data: str | None = None
    seed: int = 1
    pretrained: Pretrained
    intermediate: Intermediate | None = None
    target: Target = field(default_factory=Target)
    export: Export = field(default_factory=Export)

    def resolved(self) -> dict[str, Any]:
        """Return the whole recipe with every default filled in, as JSON values."""
        return dataclasses.asdict(self)

    def target_finetunes(self) -> tuple[str, ...]:
        """Return the finetunes of phase 3."""
        return self.target.finetunes or finetunes.names()


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
    recipe = _build(Recipe, values, path, "")
    _check(recipe, path)
    return recipe


T = TypeVar("T")


def _build(kind: type[T], values: Mapping[str, Any], path: Path, table_name: str) -> T:
    """Return a dataclass from a TOML table, every key checked."""
    where = f"{path}: [{table_name}]" if table_name else f"{path}:"
    hints = get_type_hints(kind)
    for key in values:
        if key not in hints:
            message = f"{where} has no key {key!r}{nearest(key, hints)}; its keys are {', '.join(hints)}"
            raise RecipeError(message)
    for item in dataclasses.fields(kind):  # type: ignore[arg-type]
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and item.name not in values:
            message = f"{where} lacks the key {item.name!r}"
            raise RecipeError(message)
    prefix = f"{table_name}." if table_name else ""
    built = {key: _convert(hints[key], value, path, f"{prefix}{key}") for key, value in values.items()}
    return kind(**built)


def _convert(hint: Any, value: Any, path: Path, key: str) -> Any:
    """Return a TOML value as the type a field declares."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _convert(inner, value, path, key)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, path, key)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, path, key) for item in value)
    if origin is Mapping or (origin is not None and issubclass(origin, Mapping)):
        if isinstance(value, dict):
            return {name: _convert(arguments[1], item, path, f"{key}.{name}") for name, item in value.items()}
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint in (int, str, bool) and type(value) is hint:
        return value
    expected = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}.get(hint, "a table")
    if origin is tuple:
        expected = "a list"
    message = f"{path}: {key} is {value!r}, {expected} is expected"
    raise RecipeError(message)


def _check(recipe: Recipe, path: Path) -> None:
    """Refuse values that no type rules out, before anything starts."""
    problems = [*_start_problems(recipe), *_mix_problems(recipe.intermediate), *_name_problems(recipe)]
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
    if (recipe.pretrained.checkpoint is None) == (scratch is None):
        yield "[pretrained] needs either 'checkpoint' or a table 'scratch'"
    if scratch is not None:
        for problem in _scratch_problems(scratch, recipe.pretrained.retrieval_layer):
            yield f"[pretrained.scratch] {problem}"


def _scratch_problems(scratch: Scratch, layer: int | None) -> Iterator[str]:
    if (scratch.vocabulary is None) == (scratch.tokenizer is None):
        yield "needs either 'vocabulary' or 'tokenizer'"
    for key in ("layers", "width", "heads", "steps", "batch_tokens", "max_tokens"):
        if getattr(scratch, key) < 1:
            yield f"{key} is {getattr(scratch, key)}, at least 1 is expected"
    if scratch.heads > 0 and scratch.width % scratch.heads:
        yield f"width {scratch.width} is not a multiple of heads {scratch.heads}"
    if scratch.max_tokens > POSITIONS:
        yield f"max_tokens is {scratch.max_tokens}, an XLM-R shape has {POSITIONS} positions"
    if layer is not None and not 0 <= layer <= scratch.layers:
        yield f"has hidden states 0 to {scratch.layers}, retrieval_layer is {layer}"
    yield from _objective_problems(scratch)


def _objective_problems(scratch: Scratch) -> Iterator[str]:
    for name in scratch.objectives:
        if name not in OBJECTIVES:
            yield f"has no objective {name!r}{nearest(name, OBJECTIVES)}; they are {', '.join(OBJECTIVES)}"
        elif not getattr(scratch, OBJECTIVES[name]):
            yield f"objective {name!r} needs {OBJECTIVES[name]!r} to learn from"
    if sum(scratch.objectives.values()) <= 0 or min(scratch.objectives.values()) < 0:
        yield f"objectives are {dict(scratch.objectives)}, shares above 0 are expected"


def _mix_problems(mix: Intermediate | None) -> Iterator[str]:
    """Yield what is wrong with phase 2."""
    if mix is None:
        return
    names = [task.name for task in mix.tasks]
    if not names or len(set(names)) < len(names):
        yield f"[intermediate] tasks are {names}; at least one is needed, each once"
    for key in ("steps", "batch_rows"):
        if getattr(mix, key) < 1:
            yield f"[intermediate] {key} is {getattr(mix, key)}, at least 1 is expected"
    for task in mix.tasks:
        if not task.languages:
            yield f"[intermediate] task {task.name!r} has no languages; name at least one"
        if task.weight is not None and task.weight <= 0:
            yield f"[intermediate] task {task.name!r} has weight {task.weight}, above 0 is expected"
        for code in task.languages:
            if code not in table():
                yield f"[intermediate] task {task.name!r}: no language {code!r}{nearest(code, table())}"


def _name_problems(recipe: Recipe) -> Iterator[str]:
    """Yield the training sets that nobody declared."""
    known = finetunes.names()
    mixed = [task.name for task in recipe.intermediate.tasks] if recipe.intermediate else []
    for name in [*recipe.target.finetunes, *recipe.target.overrides, *mixed]:
        if name not in known:
            yield f"no training set {name!r}{nearest(name, known)}; they are {', '.join(known)}"
