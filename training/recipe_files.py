"""Recipes as files: found by path or by a shipped name, read, and checked whole before anything starts."""

import tomllib
from pathlib import Path

from harness.core.errors import RecipeError, nearest
from harness.core.toml import build
from training.recipe import Recipe
from training.recipe_checks import problems

#: Where the shipped recipes lie: one folder for each size.
SHIPPED = Path(__file__).resolve().parents[1] / "recipes"


def find_recipe(name: str) -> Path:
    """Return the file of a recipe from its path, or from the name of a shipped one such as ``sample/english``.

    Raises:
        RecipeError: there is no such recipe, or the name stands for several.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
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
        message = f"no recipe {path}; give a TOML file, or the name of a shipped one such as sample/english"
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
    for problem in problems(recipe):
        message = f"{path}: {problem}"
        raise RecipeError(message)
    return recipe
