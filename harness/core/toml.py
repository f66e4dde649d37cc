"""From TOML tables to dataclasses: every key and every type is checked, and errors name the place."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.core.errors import RecipeError, nearest

T = TypeVar("T")

_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def build(kind: type[T], values: Mapping[str, Any], path: Path, table: str = "") -> T:
    """Return a dataclass from a TOML table.

    Args:
        kind: the dataclass; its fields are the keys, its annotations the types.
        values: the table as `tomllib` gives it.
        path: the file, for messages.
        table: the table's name, empty for the file's own.

    Raises:
        RecipeError: a key is unknown or missing, or a value has another type.
    """
    where = f"{path}: [{table}]" if table else f"{path}:"
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
    prefix = f"{table}." if table else ""
    built = {key: _convert(hints[key], value, path, f"{prefix}{key}") for key, value in values.items()}
    return kind(**built)


def _convert(hint: Any, value: Any, path: Path, key: str) -> Any:
    """Return a TOML value as the type a field declares."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # A value of several types is taken as the first that fits; TOML has no null.
        inner = [argument for argument in arguments if argument is not type(None)]
        fitting = [argument for argument in inner if type(value) is argument]
        fitting += [argument for argument in inner if isinstance(value, list) and get_origin(argument) is tuple]
        return _convert((fitting or inner)[0], value, path, key)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(hint, value, path, key)  # type: ignore[arg-type]
    if origin in _CONTAINERS:
        return _CONTAINERS[origin](arguments, value, path, key)
    if hint is float and type(value) in (int, float):
        return float(value)
    if type(value) is hint:
        return value
    raise _mistyped(path, key, value, _NAMES.get(hint, "a table"))


def _list(arguments: tuple[Any, ...], value: Any, path: Path, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _mistyped(path, key, value, "a list")
    return tuple(_convert(arguments[0], item, path, key) for item in value)


def _table(arguments: tuple[Any, ...], value: Any, path: Path, key: str) -> dict[str, Any]:
    if isinstance(value, list) and arguments[1] is float:
        # Names without numbers share equally.
        return {name: 1.0 for name in _list((str,), value, path, key)}
    if not isinstance(value, dict):
        raise _mistyped(path, key, value, "a table")
    return {name: _convert(arguments[1], item, path, f"{key}.{name}") for name, item in value.items()}


def _choice(arguments: tuple[Any, ...], value: Any, path: Path, key: str) -> Any:
    if value not in arguments:
        message = f"{path}: {key} is {value!r}{nearest(str(value), arguments)}; it is one of {', '.join(arguments)}"
        raise RecipeError(message)
    return value


_CONTAINERS: Mapping[Any, Callable[[tuple[Any, ...], Any, Path, str], Any]] = {
    tuple: _list,
    Mapping: _table,
    Literal: _choice,
}


def _mistyped(path: Path, key: str, value: Any, expected: str) -> RecipeError:
    return RecipeError(f"{path}: {key} is {value!r}, {expected} is expected")
