import os
from pathlib import Path

import pytest

from harness.artifacts.workspace import Workspace
from harness.commands import cache
from harness.core.errors import UsageError
from harness.core.progress import Silent
from harness.evaluation.answers import AnswerOrigin, AnswerStore


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def keep(workspace: Workspace, graph: str, used: float, size: int = 10_000) -> Path:
    origin = AnswerOrigin(graph=graph * 64, numerics="onnxruntime 1.31.1 cpu")
    path = workspace.answers / origin.file
    with AnswerStore(path, origin) as store:
        store.add([graph.encode() * 16], [1], [b"x" * size], 1)
    os.utime(path, (used, used))
    return path


def test_least_recently_used_goes_first(workspace: Workspace) -> None:
    new, old, middle = keep(workspace, "a", 3e9), keep(workspace, "b", 1e9), keep(workspace, "c", 2e9)
    size = cache.kept(workspace)[0].size
    removed = cache.prune(workspace, 2 * size)
    assert [each.path for each in removed] == [old]
    assert [each.path for each in cache.prune(workspace, 0, since=2.5e9)] == [middle]
    assert new.exists()


def test_answers_that_a_run_has_open_stay(workspace: Workspace) -> None:
    path = keep(workspace, "a", 1e9)
    with AnswerStore(path, AnswerOrigin(graph="a" * 64, numerics="onnxruntime 1.31.1 cpu")):
        assert cache.prune(workspace, 0) == []
    assert [each.path for each in cache.prune(workspace, 0)] == [path]
    assert not path.exists()


def test_table_names_graph_engine_and_count(workspace: Workspace) -> None:
    keep(workspace, "a", 1e9)
    (row,) = cache.table(workspace).rows
    assert row[:3] == ["aaaaaaaaaaaa, which no exported model has", "onnxruntime 1.31.1 cpu", "1"]


def test_verify_names_what_was_damaged(workspace: Workspace) -> None:
    sound, path = keep(workspace, "a", 1e9), keep(workspace, "b", 1e9)
    content = bytearray(path.read_bytes())
    content[content.index(b"x" * 100)] ^= 1
    path.write_bytes(content)
    (line,) = cache.verify(workspace, Silent())
    assert line.startswith(f"{path} had 1 damaged answers")
    assert cache.verify(workspace, Silent()) == []
    assert sound.exists()


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("1.5 kb", 1_500), ("20GB", 20 * 10**9), ("7", 7)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert cache.bytes_of(text) == size


@pytest.mark.parametrize("text", ["2XB", "-1GB", "", "nan", "inf GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no size; write a number with KB, MB, GB or TB, such as 20GB"):
        cache.bytes_of(text)
