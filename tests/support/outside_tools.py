"""Programs and packages that some tests need: skipped without, and a failure where CI has to have them."""

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
        _lacks(f"{program} is missing; install it with `apt-get install {package}`")
    return found


def need_module(name: str) -> Any:
    """Return a module of a package that only tests need.

    Args:
        name: as `import` takes it: ``selenium.webdriver``. A module that is there but cannot be imported is an error.
    """
    try:
        found = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # One of a submodule that a broken installation lacks is no reason to skip.
        if error.name is None or error.name != name.partition(".")[0]:
            raise
        _lacks(f"the module {name} is missing; install it with `pip install --editable '.[dev]'`")
    return found


def _lacks(message: str) -> NoReturn:
    if os.environ.get("HARNESS_REQUIRE_TOOLS") == "1":
        pytest.fail(message)
    pytest.skip(message, allow_module_level=True)
