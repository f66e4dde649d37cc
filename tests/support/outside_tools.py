"""Programs from outside of Python that some tests need: skipped without, and a failure where CI has to have them."""

import os
import shutil

import pytest


def need(program: str, package: str) -> str:
    """Return the path of a program.

    Args:
        program: its name.
        package: of Debian, that has it.
    """
    found = shutil.which(program)
    if found is not None:
        return found
    message = f"{program} is missing; install it with `apt-get install {package}`"
    if os.environ.get("HARNESS_REQUIRE_TOOLS") == "1":
        pytest.fail(message)
    pytest.skip(message)
