"""The structure of a small tree, counted by hand."""

from pathlib import Path

import pytest

from benchmarks.structure import Tree, circles, floors, main, table

FILES = {
    "harness/__init__.py": "",
    "harness/loose.py": "from harness.core.errors import Wrong\n\n\nclass Twice:\n    pass\n",
    "harness/core/__init__.py": "",
    "harness/core/errors.py": "class Wrong(Exception):\n    pass\n\n\nclass Twice:\n    pass\n",
    "harness/core/a.py": "import harness.core.b\n\nvalue = manifest['x']\n",
    "harness/core/b.py": "import harness.core.a\n# what it tells\n",
    "harness/core/c.py": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from harness.loose import Twice\nelse:\n    pass\n"
    ),
    "training/__init__.py": "",
    "training/run.py": "from harness import loose\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Tree(tmp_path)


def test_rooms_are_folders_and_loose_modules(tree: Tree) -> None:
    assert set(tree.rooms) == {"harness", "harness.loose", "harness/core", "training"}
    assert tree.loose == ["loose.py"]


def test_rooms_import_what_their_modules_import(tree: Tree) -> None:
    assert tree.rooms["harness.loose"] == {"harness/core"}
    assert tree.rooms["training"] == {"harness.loose"}
    assert tree.rooms["harness/core"] == set()  # an import for types alone does not count


def test_floors_stand_on_each_other(tree: Tree) -> None:
    assert floors(tree.rooms) == [["harness", "harness/core"], ["harness.loose"], ["training"]]


def test_circles_names_and_reads_are_found(tree: Tree) -> None:
    assert circles(tree.imports) == [{"harness.core.a", "harness.core.b"}]
    assert tree.classes == {"Twice": ["harness.core.errors", "harness.loose"]}
    assert (tree.keyed_reads, tree.dialect) == (1, 1)


def test_table_puts_trees_side_by_side(tree: Tree) -> None:
    lines = table([tree.root, tree.root]).splitlines()
    assert lines[0].count(tree.root.name) == 2
    assert "| circles of modules | 1 | 1 |" in lines


def test_this_tree_has_no_circle(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "| circles of rooms | 0 |" in capsys.readouterr().out
