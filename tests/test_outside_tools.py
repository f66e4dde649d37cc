"""What tests need from outside is skipped without, and a failure where CI has to have it."""

import json

import pytest
from outside_tools import need, need_module


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_absent_tool_is_skipped_or_fails(monkeypatch: pytest.MonkeyPatch, required: str, outcome: type) -> None:
    monkeypatch.setenv("HARNESS_REQUIRE_TOOLS", required)
    with pytest.raises(outcome, match="no-such-program is missing; install it with `apt-get install a-package`"):
        need("no-such-program", "a-package")
    with pytest.raises(outcome, match=r"the module no_such_package\.part is missing"):
        need_module("no_such_package.part")


def test_present_tool_is_returned() -> None:
    assert need("sh", "dash").endswith("/sh")
    assert need_module("json") is json


def test_module_that_is_broken_is_an_error(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is there and lacks another one is not absent."""
    (tmp_path / "broken_package.py").write_text("import no_such_package\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        need_module("broken_package")
