"""A task that another package declares is listed and evaluated like the harness's own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.benchmark import finetunes

#: Answered by the graph of MNLI, over a file of its own.
TOY = """
from dataclasses import replace

from harness.benchmark.sources.rows import Tsv
from harness.benchmark.tasks.xnli import TASK as XNLI, example
from harness.core.layout import DataFile

TASK = replace(
    XNLI,
    name="toy",
    languages={"own": ("ru", "sw")},
    aliases=(),
    source=Tsv(file=DataFile("xtreme", "toy/{split}-{language}.tsv"), columns=3, parse=example),
    official={"ru": 2},
    hub=None,
)
"""


@pytest.fixture
def home(
    tmp_path: Path,
    write: Callable,
    graph_of: Callable,
    tiny_graph: Callable,
    install_package: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    graph_of("mnli", hidden=8, graph=tiny_graph(finetunes.load("mnli").head.signature(8)))
    write("toy/test-ru.tsv", "n a\tx\tneutral\ne b\tx\tentailment\n")
    write("xnli/test-ru.tsv", "n a\tx\tneutral\n")
    install_package("[harness.tasks]\ntoy = toy_tasks:TASK\n", TOY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    return tmp_path


def test_task_of_a_plugin_is_listed(home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("tasks") == 0
    assert "none (toy-tasks 1.0)" in capsys.readouterr().out


def test_task_of_a_plugin_is_evaluated_with_all_others(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated = ("eval", "--model", "tiny", "--endpoint", "onnx", "--tasks", "all", "--available", "--output", "out")
    assert call(*evaluated) == 0
    assert "not scored, the data folder has no file: toy sw" in capsys.readouterr().out
    scored = json.loads((home / "out/scores.json").read_text())["tasks"]
    # In the order of the names, as no suite gives another one.
    assert list(scored) == ["toy", "xnli"]
    assert scored["toy"]["languages"]["ru"]["examples"] == 2
    assert scored["toy"]["label"] == "partial: 1/2 languages, test"


def test_changed_code_of_a_plugin_makes_another_evaluation(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.core import registry

    evaluated = (
        "eval",
        "--model",
        "tiny",
        "--endpoint",
        "onnx",
        "--tasks",
        "toy",
        "--languages",
        "ru",
        "--output",
        "o",
    )
    assert call(*evaluated) == 0
    assert "finished before" not in capsys.readouterr().out
    assert call(*evaluated) == 0
    assert "finished before" in capsys.readouterr().out
    with (home / "toy-tasks/toy_tasks.py").open("a") as code:
        code.write("\n# changed\n")
    registry._code.cache_clear()  # as a new process would
    assert call(*evaluated) == 0
    assert "finished before" not in capsys.readouterr().out


def test_suite_does_not_take_the_task_of_a_plugin(
    home: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("eval", "--model", "tiny", "--suite", "xtreme", "--tasks", "toy", "--languages", "ru") == 2
    assert "task 'toy' is not part of xtreme; no suite has it, leave `--suite` out" in capsys.readouterr().err
