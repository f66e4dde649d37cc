import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.speed import startup
from benchmarks.speed.startup import (
    Process,
    StartupSetting,
    again_rows,
    batches,
    check,
    command_rows,
    evaluation_rows,
    parts,
)
from harness.core.errors import HarnessError, UsageError
from harness.core.progress import Silent

#: Stands for the command: its cache is a file in the workspace, its journal one row a batch that was asked.
FAKE = """
import json, os, sqlite3, sys
from pathlib import Path
arguments, home = sys.argv[1:], Path(os.environ["HARNESS_HOME"])
with (home / "calls.txt").open("a") as calls:
    calls.write(" ".join(arguments) + "\\n")
if "broken" in arguments:
    print("tokenizing\\nharness: no task 'broken';\\n  there are others", file=sys.stderr)
    sys.exit(2)
if "crash" in arguments:
    raise ValueError("a bug")
if arguments[0] == "eval":
    output = Path(arguments[arguments.index("--output") + 1])
    output.mkdir(exist_ok=True)
    warm = (home / "cache").exists() and not FORGETS
    (home / "cache").touch()
    with sqlite3.connect(output / "journal.sqlite") as journal:
        journal.execute("CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY)")
        (known,) = journal.execute("SELECT count(*) FROM batch").fetchone()
        for _ in range(FORGETS if known else 4):
            journal.execute("INSERT INTO batch DEFAULT VALUES")
    stages = {"imports": 0.5, "opening": 0.25, "first_batch": 0.125, "total": 1.5}
    tokens = {"tokenized_rows": 0 if warm else 10, "cached_rows": 10 if warm else 0}
    (output / "scores.json").write_text(json.dumps({"stages": stages, "tokens": tokens}))
"""


@pytest.fixture
def setting() -> Callable[..., StartupSetting]:
    def make(*, forgets: int = 0, **changes: Any) -> StartupSetting:
        command = (sys.executable, "-S", "-c", FAKE.replace("FORGETS", str(forgets)))
        return StartupSetting(
            **{"model": "a", "repeats": 2, "endpoints": ("in process",), "command": command, **changes}
        )

    return make


def calls(home: Path) -> list[str]:
    return (home / "calls.txt").read_text().splitlines()


def test_commands_run_once_more_than_they_are_timed(setting, tmp_path: Path) -> None:
    rows = command_rows(Process(setting().command, tmp_path), 2, Silent())
    assert calls(tmp_path) == ["--help"] * 3 + ["tasks"] * 3
    assert [(row.work, row.baseline, row.repeats) for row in rows] == [
        ("harness --help", "at most 0.3 seconds", 2),
        ("harness tasks", "at most 1 seconds", 2),
    ]


def test_second_model_reads_what_the_first_one_left(setting, tmp_path: Path) -> None:
    rows = evaluation_rows(setting(second="b"), tmp_path, Silent())
    assert [line.split("--model ")[1].split()[0] for line in calls(tmp_path)] == ["a", "b", "b", "b"]
    share, first, kept, again = rows
    assert (share.ours, share.details["tokenized_rows"], share.reached) == (100.0, 0, True)
    assert (first.ours, first.ratio, first.reached) == (0.125, 16.0, True)
    assert (kept.ours, kept.details["new_batches"], kept.reached) == (100.0, 0, True)
    assert (again.baseline, again.repeats) == ("at most 3 seconds", 2)


def test_what_is_done_twice_misses_the_target(setting, tmp_path: Path) -> None:
    share, _, kept, _ = evaluation_rows(setting(forgets=1), tmp_path, Silent())
    assert (share.ours, share.details["tokenized_rows"], share.reached) == (0.0, 10, False)
    assert (kept.details["new_batches"], kept.reached) == (2, False)


def test_each_endpoint_has_a_run_of_its_own(setting, tmp_path: Path) -> None:
    evaluation_rows(setting(endpoints=("in process", "local Triton"), repeats=1), tmp_path, Silent())
    reported = [("--endpoint onnx" in line, line.split("--output ")[1].split()[0]) for line in calls(tmp_path)]
    first, second, third = (str(tmp_path / name) for name in ("first", "second-0", "second-1"))
    assert reported == [(True, first), (True, second), (True, second), (False, third), (False, third)]


def test_the_data_and_the_limit_are_handed_on(setting, tmp_path: Path) -> None:
    startup.evaluate(
        Process(setting().command, tmp_path), setting(data=tmp_path, limit=7), "a", "in process", tmp_path / "run"
    )
    (line,) = calls(tmp_path)
    assert f"--data {tmp_path} --limit 7" in line


def test_a_command_that_fails_is_reported_with_its_error(setting, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"was refused: no task 'broken'; there are others$"):
        evaluation_rows(setting(tasks="broken"), tmp_path, Silent())


def test_the_command_is_the_harness(tmp_path: Path) -> None:
    process = Process(startup.COMMAND, tmp_path)
    assert process.run("--help") > 0
    with pytest.raises(HarnessError, match="`harness tasks nosuch` was refused: no task named 'nosuch'"):
        process.run("tasks", "nosuch")


def test_a_command_that_crashes_keeps_its_traceback(setting, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with exit code 1:\n(.|\n)*ValueError: a bug"):
        evaluation_rows(setting(tasks="crash"), tmp_path, Silent())


def test_the_three_parts_are_reported(setting, tmp_path: Path) -> None:
    first = evaluation_rows(setting(), tmp_path, Silent())[1]
    reported = "imports 0.50 s, opening the graph 0.25 s, the rest up to the first batch 0.12 s; all stages took 1.50 s"
    assert f": {reported}, the process {first.details['process_seconds']:.2f} s" in parts(first)


def test_a_rerun_is_the_very_command_again(setting, tmp_path: Path) -> None:
    process = Process(setting().command, tmp_path)
    startup.evaluate(process, setting(), "a", "in process", tmp_path / "run")
    again_rows(process, setting(), "in process", tmp_path / "run", "a")
    assert len(set(calls(tmp_path))) == 1


def test_batches_are_counted_without_writing(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite") as journal:
        journal.execute("CREATE TABLE batch (id INTEGER PRIMARY KEY)")
        journal.execute("INSERT INTO batch DEFAULT VALUES")
    journal.close()
    assert batches(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["journal.sqlite"]


def test_only_graphs_are_linked(tmp_path: Path) -> None:
    root, home = tmp_path / "root", tmp_path / "home"
    for name in ("artifacts", "model_repository", "cache", "runs"):
        (root / name).mkdir(parents=True)
    home.mkdir()
    startup.link(startup.Workspace(root), home)
    assert sorted(path.name for path in home.iterdir()) == ["artifacts", "model_repository"]


class Store:
    """Exported models, by name, with the digests of their tokenizers."""

    def __init__(self, **models: str) -> None:
        self.models = models

    def check_names(self, model: str, variant: str) -> None:
        if model not in self.models:
            message = f"no exported model {model!r}"
            raise UsageError(message)

    def of(self, model: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(tokenizer_sha256=self.models[model])]


@pytest.mark.parametrize(("second", "said"), [("c", "have 2 tokenizers"), ("nosuch", "no exported model 'nosuch'")])
def test_a_second_model_that_cannot_share_is_refused(setting, second: str, said: str) -> None:
    workspace: Any = SimpleNamespace(artifacts=Store(a="1", b="1", c="2"))
    check(setting(second="b"), workspace)
    with pytest.raises(UsageError, match=said):
        check(setting(second=second), workspace)
