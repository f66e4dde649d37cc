"""The import contracts of pyproject.toml fail where they should: each is broken once in a copy of the tree."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("harness", "training", "exporters", "benchmarks")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.tsv"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tree)})


def test_contracts_hold_in_the_copy(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("harness/core/machine.py", "import harness.evaluation.journal", "rooms are layers"),
        ("harness/text/fields.py", "import harness.acquire.check", "rooms are layers"),
        ("training/sampling.py", "import exporters.parity", "rooms are layers"),
        ("harness/evaluation/journal.py", "import harness.evaluation.record", "no cycle in any room"),
        ("harness/inference/planner.py", "import torch", "what serves and what scores does not import torch"),
        ("harness/benchmark/tasks/xnli.py", "import harness.benchmark.tasks.xquad", "tasks do not know each other"),
    ],
)
def test_forbidden_import_breaks_its_contract(tree: Path, module: str, line: str, broken: str) -> None:
    path = tree / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    done = lint(tree)
    assert done.returncode != 0
    assert f"{broken} BROKEN" in done.stdout


def test_every_room_has_its_layer() -> None:
    (layers,) = [contract["layers"] for contract in SETTINGS["contracts"] if contract["type"] == "layers"]
    named = {name.strip() for line in layers for name in line.split("|")}
    rooms = {f"harness.{path.name.removesuffix('.py')}" for path in (ROOT / "harness").iterdir() if is_room(path)}
    assert rooms | set(PACKAGES[1:]) == named


def is_room(path: Path) -> bool:
    return path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").is_file())


def test_at_most_four_modules_lie_loose() -> None:
    assert len([path for path in (ROOT / "harness").glob("*.py") if path.name != "__init__.py"]) <= 4


@pytest.mark.parametrize(
    "path", sorted((ROOT / "harness/serving/backends").glob("*/*.py")), ids=lambda path: path.parent.name
)
def test_backends_import_only_rooms_below_serving(path: Path) -> None:
    """Triton loads them as files, so their folders are no packages and import-linter does not see them."""
    layers = SETTINGS["contracts"][0]["layers"]
    below = {name for layer in layers[layers.index("harness.serving") :] for name in layer.split(" | ")}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    own = {".".join(name.split(".")[:2]) for name in imported if name.startswith("harness.")}
    assert own
    assert own <= below
