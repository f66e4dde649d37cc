"""The keys of a recipe as a page: made from the types that read it, so that it cannot be out of date.

`python -m training.reference > docs/recipes.md` writes it.
"""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType

from training import recipe

HEAD = """# Recipes

A recipe is one TOML file that is read alone. Every key is checked before anything starts, and a wrong one is answered
with the nearest right one. This page is made from the types by `python -m training.reference`.

`harness train sample/english` finds a shipped recipe by its name, `harness train my.toml` a file. `--dry-run` prints
steps, examples, tokens and estimated time. The smallest recipe:

```toml
name = "mine"

[pretrained]
checkpoint = "path/to/an/encoder"     # or a hub id with its `revision`
```
"""
#: Table of the file -> the class that reads it, in the order of a recipe.
TABLES = {
    "(top)": recipe.Recipe,
    "[pretrained]": recipe.Pretrained,
    "[pretrained.scratch]": recipe.Scratch,
    "[intermediate]": recipe.Intermediate,
    "[[intermediate.tasks]]": recipe.Mixed,
    "switch of a task": recipe.CodeSwitch,
    "[intermediate.text]": recipe.ContinuedText,
    "[target]": recipe.Target,
    "[target.overrides.NAME]": recipe.Override,
    "[export]": recipe.Export,
    "[compute]": recipe.Compute,
}


def comments(module: ModuleType) -> dict[tuple[str, str], str]:
    """Return what stands above each field of the classes of a module: (class, field) -> text."""
    source = inspect.getsource(module)
    lines = source.split("\n")
    found = {}
    for node in (each for each in ast.parse(source).body if isinstance(each, ast.ClassDef)):
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                above: list[str] = []
                number = field.lineno - 2
                while lines[number].strip().startswith("#:"):
                    above.insert(0, lines[number].strip().removeprefix("#:").strip())
                    number -= 1
                found[node.name, field.target.id] = " ".join(above)
    return found


def page() -> str:
    """Return docs/recipes.md."""
    texts = comments(recipe)
    return "\n".join([HEAD, *(line for name, kind in TABLES.items() for line in _table(name, kind, texts))])


def _table(name: str, kind: type, texts: dict[tuple[str, str], str]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{(kind.__doc__ or '').partition(chr(10))[0]}\n"
    yield "| key | type | default | |"
    yield "|---|---|---|---|"
    for field in dataclasses.fields(kind):
        owner = next(base.__name__ for base in kind.__mro__ if (base.__name__, field.name) in texts)
        kind_name = str(field.type).replace("typing.", "").replace("|", "\\|").replace("<class '", "").replace("'>", "")
        kind_name = kind_name.replace("training.recipe.", "").replace("collections.abc.", "")
        text = texts[owner, field.name].replace("|", "\\|")
        yield f"| `{field.name}` | {kind_name} | {_default(field)} | {text} |"
    yield ""


def _default(field: "dataclasses.Field[object]") -> str:
    if field.default is not dataclasses.MISSING:
        return "" if field.default is None else f"`{field.default!r}`"
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return "the defaults of its table" if dataclasses.is_dataclass(made) else f"`{made!r}`"
    return "required"


if __name__ == "__main__":
    sys.stdout.write(page())
