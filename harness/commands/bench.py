"""The body of `harness bench`: finds the benchmarks and hands one its options; each parses them itself.

A benchmark is a module anywhere below the package `benchmarks`, or a package there with a `__main__`, that has
a function `main(arguments)`. Nothing of it is imported before it is chosen.
"""

import ast
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import MissingExtra, UsageError, nearest

#: What the command calls a module whose own name says how it measures and not what.
NAMES = {"load": "latency"}
#: The project's own packages: one that cannot be imported is a bug, not an extra.
OWN = ("harness", "training", "exporters", "benchmarks")


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark: where it is, and what it says of itself."""

    module: str
    summary: str


def benches() -> Mapping[str, Bench]:
    """Return every benchmark by the name that the command calls it, in alphabetical order.

    Raises:
        UsageError: the package of the benchmarks is not there.
    """
    try:
        package = importlib.import_module("benchmarks")
    except ImportError as error:
        message = "the benchmarks are not installed; run `harness bench` in a checkout, installed by `make install`"
        raise UsageError(message) from error
    found = {name: bench for folder in package.__path__ for name, bench in _found(Path(folder))}
    return dict(sorted(found.items()))


def _found(folder: Path) -> Iterator[tuple[str, Bench]]:
    for path in sorted(folder.rglob("*.py")):
        # The other modules of a package that has a `__main__` are its parts.
        if path.name != "__main__.py" and path.with_name("__main__.py").is_file():
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        if not _has_main(tree):
            continue
        within = path.relative_to(folder).with_suffix("").parts
        docstring = ast.get_docstring(tree)
        own = within[-1]
        if own == "__main__":
            own = within[-2]
            docstring = (
                ast.get_docstring(ast.parse((path.parent / "__init__.py").read_text(encoding="utf-8"))) or docstring
            )
        name = NAMES.get(own, own)
        yield name, Bench(".".join(("benchmarks", *within)), (docstring or "").partition("\n")[0])


def _has_main(tree: ast.Module) -> bool:
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    taken = [
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    return "main" in (*defined, *taken)


def listing() -> Iterator[str]:
    """Yield a line for each benchmark, and how to run one."""
    found = benches()
    width = max(len(name) for name in found)
    for name, bench in found.items():
        yield f"{name:<{width}}  {bench.summary}"
    yield ""
    yield "`harness bench NAME --help` shows the options of one"


def run(name: str, arguments: Sequence[str]) -> None:
    """Run one benchmark with its own options.

    Args:
        name: as `listing` shows it.
        arguments: options of the benchmark, as the command line gave them.

    Raises:
        UsageError: there is no such benchmark.
        MissingExtra: it needs a package that is not installed.
        SystemExit: its options are wrong, its help was printed, or a promise does not hold.
    """
    found = benches()
    if name not in found:
        message = f"no benchmark {name!r}{nearest(name, found)}; `harness bench` lists them"
        raise UsageError(message)
    try:
        module = importlib.import_module(found[name].module)
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] in OWN:
            raise
        raise MissingExtra(error.name, "bench") from error
    module.main(list(arguments))
