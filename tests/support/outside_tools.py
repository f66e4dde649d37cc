"""Programs from outside of Python that some tests need: skipped without, and a failure where CI has to have them."""

import importlib
import os
import shutil
from typing import Any, NoReturn

import pytest


def need(program: str, package: str) -> str:
    """Return the path of a program.

    Args:
        program: its name.
        package: of Debian, that has it.
    """
    found = shutil.which(program)
    if found is None:
        _refuse(f"{program} is missing; install it with `apt-get install {package}`")
    return found


def need_module(name: str, package: str) -> Any:
    """Return a module.

    Args:
        name: as it is imported.
        package: of PyPI, that has it.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        _refuse(f"the module {name} is missing; install it with `pip install {package}`", whole=True)


def _refuse(message: str, *, whole: bool = False) -> NoReturn:
    if os.environ.get("HARNESS_REQUIRE_TOOLS") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message, allow_module_level=whole)
