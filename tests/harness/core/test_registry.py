import sys

import pytest

from harness.benchmark import finetunes, tasks
from harness.core.errors import UsageError
from harness.core.registry import Registry


def test_names_are_the_modules_in_alphabetical_order() -> None:
    assert tasks.names() == tuple(sorted(tasks.names()))


@pytest.mark.parametrize(
    ("registry", "wrong", "right"),
    [(tasks, "xnl", "xnli"), (tasks, "xqad", "xquad"), (finetunes, "squat", "squad")],
    ids=["xnl", "xqad", "squat"],
)
def test_wrong_name_is_answered_with_the_nearest(registry, wrong: str, right: str) -> None:
    with pytest.raises(UsageError, match=f"named {wrong!r}, did you mean {right!r}; `harness tasks` lists "):
        registry.load(wrong)


def test_name_like_no_other_is_answered_with_the_list() -> None:
    with pytest.raises(UsageError) as error:
        tasks.load("qqqqqqqq")
    assert "did you mean" not in str(error.value)
    assert str(error.value).endswith(", ".join(tasks.names()))


@pytest.mark.parametrize("name", ["", ".", "..languages", "__init__", "xnli.TASK"])
def test_name_that_is_no_module_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        tasks.load(name)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Registry[int]:
    package = tmp_path / "toys"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "ball.py").write_text("TOY = 1\n")
    (package / "broken.py").write_text("raise RuntimeError\n")
    (package / "_private.py").write_text("TOY = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "toys"]:
        monkeypatch.delitem(sys.modules, name)
    return Registry("toys", "TOY", "toy", "ls")


def test_names_import_no_module(folder: Registry[int]) -> None:
    assert folder.names() == ("ball", "broken")


def test_value_is_the_modules_constant(folder: Registry[int]) -> None:
    assert folder.load("ball") == 1


def test_private_module_is_no_name(folder: Registry[int]) -> None:
    with pytest.raises(UsageError, match="no toy named '_private'"):
        folder.load("_private")
