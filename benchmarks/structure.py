"""The structure of the source tree: rooms, floors, imports, cycles, names; reads with `ast`, imports nothing of it.

A room is a folder that holds Python modules, or a module that lies loose in `harness/`. An import counts between two
rooms if a module of one imports a module of the other; imports under `if TYPE_CHECKING` do not count. Floors are the
longest chain of rooms, rooms that import each other in a circle being on one floor. Several `--root` are put side by
side, so that a change can be shown.
"""

import argparse
import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("harness", "training", "exporters", "benchmarks")
#: Words that readers of this field do not expect.
DIALECT = re.compile(r"\b(told|tells|owed|owes|thereof|whereby|stranger|mood)\b", re.IGNORECASE)
#: Lines from which a file is long.
LONG = 400


@dataclass(frozen=True)
class Tree:
    """The modules below one folder."""

    root: Path
    packages: tuple[str, ...] = PACKAGES

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Return the files by dotted name, packages under their own."""
        found = {}
        for package in self.packages:
            for path in sorted((self.root / package).rglob("*.py")):
                parts = path.relative_to(self.root).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    @cached_property
    def sources(self) -> dict[str, str]:
        """Return the text of each module."""
        return {name: path.read_text(encoding="utf-8") for name, path in self.modules.items()}

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """Return each module as parsed."""
        return {name: ast.parse(text) for name, text in self.sources.items()}

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """Return the modules of the tree that each module imports."""
        return {name: set(self._imported(name)) for name in self.modules}

    def _imported(self, name: str) -> Iterator[str]:
        for node in _running(self.trees[name]):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.modules and alias.name != name)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    chosen = inner if inner in self.modules else node.module
                    if chosen in self.modules and chosen != name:
                        yield chosen

    def room(self, module: str) -> str:
        """Return the room of a module: its folder, or itself where it lies loose in `harness/`."""
        parent = self.modules[module].parent.relative_to(self.root).as_posix()
        return module if parent == "harness" and module != "harness" else parent

    @cached_property
    def rooms(self) -> dict[str, set[str]]:
        """Return the rooms with the rooms that each imports."""
        found: dict[str, set[str]] = {self.room(name): set() for name in self.modules}
        for name, imported in self.imports.items():
            found[self.room(name)] |= {self.room(other) for other in imported} - {self.room(name)}
        return found

    @property
    def loose(self) -> list[str]:
        """Return the modules that lie loose in `harness/`."""
        return sorted(path.name for path in (self.root / "harness").glob("*.py") if path.name != "__init__.py")

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """Return class names that several modules define, private ones left out."""
        found = defaultdict(list)
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(module)
        return {name: modules for name, modules in sorted(found.items()) if len(modules) > 1}

    @property
    def keyed_reads(self) -> int:
        """Return how often a manifest or an account is read by a string."""
        return sum(
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
            and (getattr(node.value, "attr", None) or getattr(node.value, "id", "")) in ("manifest", "account")
            for tree in self.trees.values()
            for node in ast.walk(tree)
        )

    @property
    def dialect(self) -> int:
        """Return how many words of the project's own dialect stand in sources and documents."""
        documents = [*self.root.glob("*.md"), *self.root.glob("docs/*.md"), *self.root.glob("benchmarks/*.md")]
        texts = [*self.sources.values(), *(path.read_text(encoding="utf-8") for path in documents)]
        return sum(len(DIALECT.findall(text)) for text in texts)

    def figures(self) -> dict[str, int | str]:
        """Return every figure by its name."""
        lines = {name: text.count("\n") for name, text in self.sources.items()}
        longest = max(lines, key=lambda name: lines[name])
        edges = {(name, other) for name, imported in self.imports.items() for other in imported}
        between = [(a, b) for a, b in edges if self.room(a) != self.room(b)]
        return {
            "modules": len(self.modules),
            "lines": sum(lines.values()),
            "rooms": len(self.rooms),
            "loose modules in harness/": len(self.loose),
            "floors of rooms": len(floors(self.rooms)),
            "imports between rooms (modules)": len(between),
            "imports between rooms (pairs of rooms)": sum(len(others) for others in self.rooms.values()),
            "circles of rooms": len(circles(self.rooms)),
            "circles of modules": len(circles(self.imports)),
            "class names used twice or more": len(self.classes),
            "manifest[...] and account[...] by string": self.keyed_reads,
            f"files over {LONG} lines": sum(count > LONG for count in lines.values()),
            "longest file": f"{longest} ({lines[longest]})",
            "words of the dialect": self.dialect,
        }


def _running(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of a module that run, those under `if TYPE_CHECKING` left out."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def components(graph: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Return the strongly connected components of a graph, each after those that it leads to (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            member = stack[stack.index(node) :]
            del stack[-len(member) :]
            found.append(set(member))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def circles(graph: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Return the groups that import each other in a circle."""
    return [members for members in components(graph) if len(members) > 1]


def floors(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the nodes floor by floor: each stands above all that it leads to."""
    height: dict[str, int] = {}
    for members in components(graph):
        below = [height[other] for node in members for other in graph[node] if other not in members]
        height |= dict.fromkeys(members, 1 + max(below, default=0))
    return [sorted(node for node in height if height[node] == level) for level in range(1, max(height.values()) + 1)]


def table(roots: Sequence[Path]) -> str:
    """Return the figures of some trees side by side, as Markdown."""
    columns = [Tree(root).figures() for root in roots]
    lines = ["| | " + " | ".join(root.name for root in roots) + " |", "|---|" + "--:|" * len(roots)]
    lines += [f"| {name} | " + " | ".join(f"{column[name]}" for column in columns) + " |" for name in columns[0]]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, and with one tree the circles and the names that are used twice."""
    parser = argparse.ArgumentParser(prog="harness bench structure", description=(__doc__ or "").partition("\n")[0])
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("--root", type=Path, action="append", help="a checkout; this one, given twice: side by side")
    parser.add_argument("--json", action="store_true", help="print JSON, with circles and names")
    options = parser.parse_args(arguments)
    roots = options.root or [here]
    if options.json:
        trees = [Tree(root) for root in roots]
        documents = [
            {**tree.figures(), "classes": tree.classes, "circles": [sorted(each) for each in circles(tree.imports)]}
            for tree in trees
        ]
        print(json.dumps(documents, indent=1))
        return
    print(table(roots))
    if len(roots) == 1:
        tree = Tree(roots[0])
        for name, modules in tree.classes.items():
            print(f"class {name}: {', '.join(modules)}")
        for members in circles(tree.imports):
            print(f"circle: {', '.join(sorted(members))}")


if __name__ == "__main__":
    main()
