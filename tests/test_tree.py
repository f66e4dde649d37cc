"""Claims about the source tree itself, read with `ast`: only the names of tasks and families are imported."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.benchmark import tasks
from harness.encoders.families import families, module_of
from training.encoders.networks import networks_of

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("harness", "training", "exporters")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
#: Third-party package -> the only files of harness/ that may import it.
DOORS = {
    "onnxruntime": ("harness/inference/endpoints/onnx.py", "harness/serving/backends/"),
    "tritonclient": (
        "harness/inference/endpoints/triton.py",
        "harness/inference/endpoints/model_config.py",
        "harness/text/client.py",
    ),
    "faiss": ("harness/benchmark/postprocessors/neighbours.py",),
    "datasets": ("harness/acquire/client.py",),
    "pyarrow": ("harness/tokenization/cache.py", "harness/comparison/exported.py"),
    "huggingface_hub": ("harness/acquire/client.py", "training/encoders/hub.py"),
    "jinja2": ("harness/comparison/page/writing.py",),
    "matplotlib": ("harness/comparison/page/charts.py",),
    "scipy": ("harness/statistics/distributions.py", "harness/comparison/alignment.py"),
    "torch": (),
    "transformers": (),
    "optimum": (),
}
#: ONNX Runtime calls its fusion of all such encoders so.
OTHERS_NAMES = {("exporters/steps.py", "bert")}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), named(path))


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield public functions and classes, and those inside public classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def strings(node: ast.expr) -> Iterator[str]:
    """Yield the literal strings of one side of a comparison, those of a tuple or set included."""
    for inner in [node, *getattr(node, "elts", [])]:
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(parse(path))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_public_names_have_docstrings(path: Path) -> None:
    assert [name for name, node in public(parse(path).body) if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_family_of_encoders_is_named_in_its_own_files_only(path: Path) -> None:
    """Elsewhere nothing imports a family's classes or compares its `model_type`."""
    tree = parse(path)
    known = {family.model_type: (module_of(family), networks_of(family.model_type)) for family in families().values()}
    found = []
    for name, (module, networks) in known.items():
        if path.parent.name == "encoders" and path.stem == module:
            continue
        prefix = networks.config.__name__.removesuffix("Config")
        for node in ast.walk(tree):
            names = [node.id] if isinstance(node, ast.Name) else [node.attr] if isinstance(node, ast.Attribute) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            found += [each for each in names if re.match(rf"{prefix}(?![a-z])", each)]
            if isinstance(node, ast.Constant) and node.value == name and (named(path), name) not in OTHERS_NAMES:
                found.append(f"line {node.lineno}: {name!r}")
    assert found == []


@pytest.mark.parametrize("package", DOORS)
def test_harness_imports_it_at_its_door_only(package: str) -> None:
    inside = [path for path in MODULES if named(path).startswith("harness/")]
    importing = [named(path) for path in inside if package in imported(parse(path))]
    assert [name for name in importing if not name.startswith(DOORS[package])] == []


@pytest.mark.parametrize("path", [path for path in MODULES if "harness/benchmark/tasks/" not in named(path)], ids=named)
def test_nothing_branches_on_a_tasks_name(path: Path) -> None:
    names = set(tasks.names())
    sides = [
        side
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Compare | ast.MatchValue)
        for side in ([node.value] if isinstance(node, ast.MatchValue) else [node.left, *node.comparators])
    ]
    assert [f"line {side.lineno}: {text!r}" for side in sides for text in strings(side) if text in names] == []
