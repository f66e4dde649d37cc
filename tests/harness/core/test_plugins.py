"""Tasks and training sets of other packages, found through their entry points; nothing is installed by pip."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from harness.benchmark import finetunes, tasks
from harness.commands.listing import explain, task_table
from harness.core import registry
from harness.core.errors import UsageError
from harness.evaluation.selection import choose_tasks
from training.recipe import Pretrained, Recipe

#: A task over a training set of its own: whether a sentence is a question.
TOY = """
from dataclasses import replace

from harness.benchmark.finetunes.mnli import FINETUNE as MNLI
from harness.benchmark.tasks.xnli import TASK as XNLI

FINETUNE = replace(MNLI, name="toy_pairs")
TASK = replace(XNLI, name="toy", languages={"own": ("ru", "sw")}, aliases=(), finetune=FINETUNE, official={}, hub=None)
SUITE = replace(TASK, languages={"xtreme": ("ru",)})
NUMBER = 1
"""
BOTH = "[harness.tasks]\ntoy = toy_tasks:TASK\n[harness.finetunes]\ntoy_pairs = toy_tasks:FINETUNE\n"


@pytest.fixture
def install(install_package: Callable[..., None]) -> Callable[..., None]:
    """Put the toy package on the path: ``install("[harness.tasks]\\ntoy = toy_tasks:TASK\\n")``."""
    return partial(install_package, code=TOY)


def test_without_plugins_there_is_no_code_of_theirs() -> None:
    assert registry.plugin_code() == ""
    assert tasks.plugins() == finetunes.plugins() == {}


def test_names_of_plugins_are_known_before_their_code_is_imported(install: Callable[..., None]) -> None:
    install(BOTH)
    assert "toy" in tasks.names()
    assert "toy_pairs" in finetunes.names()
    assert "toy_tasks" not in sys.modules


def test_task_of_a_plugin_is_loaded_by_its_name(install: Callable[..., None]) -> None:
    install(BOTH)
    assert tasks.load("toy").finetune is finetunes.load("toy_pairs")
    assert [task.name for task in tasks.answered_by("toy_pairs")] == ["toy"]


def test_entry_point_may_name_the_module_alone(install: Callable[..., None]) -> None:
    install(BOTH.replace(":TASK", "").replace(":FINETUNE", ""))
    assert tasks.load("toy").languages == {"own": ("ru", "sw")}


def test_task_of_a_plugin_is_listed_with_its_package(install: Callable[..., None]) -> None:
    install(BOTH)
    (row,) = [row for row in task_table().rows if row[0] == "toy"]
    assert row[1:3] == ["none (toy-tasks 1.0)", "2"]
    assert "declared by the package toy-tasks 1.0; no suite has it" in explain("toy")


def test_all_has_the_task_of_a_plugin_and_no_suite_has_it(install: Callable[..., None]) -> None:
    install(BOTH)
    assert "toy" in [task.name for task in choose_tasks(["all"], None)]
    assert "toy" not in [task.name for task in choose_tasks(["all"], "xtreme")]
    with pytest.raises(UsageError, match="task 'toy' is not part of xtreme; no suite has it"):
        choose_tasks(["toy"], "xtreme")


def test_recipe_trains_the_set_of_a_plugin_only_where_it_names_it(install: Callable[..., None]) -> None:
    install(BOTH)
    recipe = Recipe(name="any", pretrained=Pretrained(checkpoint="x"))
    assert "mnli" in recipe.target_finetunes()
    assert "toy_pairs" not in recipe.target_finetunes()


def test_code_of_a_plugin_is_part_of_what_results_depend_on(install: Callable[..., None], tmp_path: Path) -> None:
    install(BOTH)
    before = registry.plugin_code()
    registry._code.cache_clear()
    (tmp_path / "toy-tasks" / "toy_tasks.py").write_text(TOY + "\n# changed\n")
    assert before != ""
    assert registry.plugin_code() not in ("", before)


def load_everything() -> None:
    for known in (finetunes, tasks):
        for name in known.names():
            known.load(name)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("[harness.tasks]\nxnli = toy_tasks:TASK\n", "declares a task 'xnli', which the harness declares too; rename"),
        ("[harness.finetunes]\nmnli = toy_tasks:FINETUNE\n", "a finetune 'mnli', which the harness declares too"),
        ("[harness.tasks]\nmy-toy = toy_tasks:TASK\n", "a task 'my-toy', and a name has small letters"),
        ("[harness.tasks]\nToy = toy_tasks:TASK\n", "a task 'Toy', and a name has small letters"),
        ("[harness.tasks]\ntoy = toy_tasks:NUMBER\n", "is a int, a Task is expected at 'toy_tasks:NUMBER'"),
        ("[harness.tasks]\ntoy = toy_tasks:TOSK\n", "cannot be loaded from 'toy_tasks:TOSK'"),
        ("[harness.tasks]\ntoy = toy_nothing:TASK\n", "No module named 'toy_nothing'"),
        ("[harness.tasks]\ntoys = toy_tasks:TASK\n", "'toys' of the package 'toy-tasks 1.0' calls itself 'toy'"),
        ("[harness.tasks]\ntoy = toy_tasks:TASK\n", "has the training set 'toy_pairs', which is not declared"),
        (BOTH.replace(":TASK", ":SUITE"), "has languages of xtreme, whose tasks are fixed"),
    ],
    ids=lambda text: text.replace("\n", " ").strip()[:40],
)
def test_plugin_that_does_not_fit_is_refused(install: Callable[..., None], entries: str, said: str) -> None:
    install(entries)
    with pytest.raises(UsageError) as error:
        load_everything()
    assert said in str(error.value)
    assert "toy-tasks 1.0" in str(error.value)


def test_two_plugins_with_one_name_are_refused(install: Callable[..., None]) -> None:
    install(BOTH)
    install("[harness.tasks]\ntoy = other_tasks:TASK\n", package="other-tasks")
    with pytest.raises(UsageError, match=r"declares a task 'toy', which (toy|other)-tasks 1.0 declares too"):
        tasks.names()
