"""docs/architecture.md is followed as written, in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifacts.store import Artifact
from harness.benchmark import finetunes
from harness.core.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The package with the file and the line of "Add a task"."""
    shutil.copytree(ROOT / "harness", tmp_path / "tree/harness", ignore=shutil.ignore_patterns("__pycache__"))
    walk = PAGE[PAGE.index("### Add a task") : PAGE.index("### Other changes")]
    file, line = re.findall(r"```python\n(.*?)```", walk, re.DOTALL)
    (name,) = re.findall(r"Save it as `(harness/benchmark/tasks/\w+\.py)`", walk)
    (tmp_path / "tree" / name).write_text(file, encoding="utf-8")
    suites = tmp_path / "tree/harness/benchmark/suites.py"
    text = suites.read_text(encoding="utf-8")
    (before,) = re.findall(r' *"classification": \("xnli", "xcopa"\),\n', text)
    suites.write_text(text.replace(before, line), encoding="utf-8")
    return tmp_path / "tree"


def harness(tree: Path, home: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(tree), "HARNESS_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", "from harness.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_task_of_the_walk_is_listed_and_evaluated(
    tree: Path,
    tmp_path: Path,
    sample_data: Layout,
    graph_of: Callable[..., Artifact],
    tiny_graph: Callable[..., bytes],
) -> None:
    graph_of("mnli", hidden=8, graph=tiny_graph(finetunes.load("mnli").head.signature(8)))
    assert "xnli_hypothesis" in harness(tree, tmp_path, "tasks")
    assert "hypothesis twice, no premise" in harness(tree, tmp_path, "tasks", "xnli_hypothesis")
    data = str(sample_data.xtreme.parent)
    request = ("--tasks", "xnli_hypothesis", "--languages", "ru,zh", "--suite", "xtreme-r")
    found = harness(tree, tmp_path, "eval", "--model", "tiny", "--endpoint", "onnx", "--data", data, *request)
    assert "xnli_hypothesis: mean of accuracy, 2 languages" in found
    assert "xtreme-r classification: - (not complete: xnli, xcopa, xnli_hypothesis)" in found


def test_every_room_is_in_the_picture() -> None:
    picture = PAGE[PAGE.index("```\n") : PAGE.index("Rules:")]
    rooms = [path for path in (ROOT / "harness").iterdir() if (path / "__init__.py").is_file()]
    assert [path.name for path in rooms if f"harness/{path.name}/" not in picture] == []


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:harness|training|exporters)/[\w/]+\.(?:py|tsv))`", PAGE)))
)
def test_files_that_the_page_names_exist(name: str) -> None:
    made_by_the_reader = {
        "harness/benchmark/tasks/xnli_hypothesis.py",
        "harness/encoders/NAME.py",
        "training/encoders/NAME.py",
    }
    assert name in made_by_the_reader or (ROOT / name).is_file()
