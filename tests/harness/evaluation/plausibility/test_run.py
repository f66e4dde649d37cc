"""Warnings from files to scores.json and exit codes, with a function where the graph would be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from callable_endpoint import CallableEndpoint

import harness
from harness.artifacts.run import read_run
from harness.artifacts.store import Artifact, ArtifactStore
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes, tasks
from harness.commands import evaluate
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.core.tensors import Tensors
from harness.evaluation.connection import Connection
from harness.evaluation.plan import plan
from harness.evaluation.report import result_lines
from harness.evaluation.request import Evaluation
from harness.evaluation.results import RunResult
from harness.evaluation.stages import Stages
from harness.evaluation.workload import Job, group

LABELS = ("contradiction", "entailment", "neutral")
#: Ids of c, e and n in the toy tokenizer -> index of the label that begins so.
LETTERS = {6: 0, 8: 1, 17: 2}
EXAMPLES = 120


def first_letter(inputs: Tensors) -> Tensors:
    """Answer by the premise's first letter."""
    logits = np.zeros((len(inputs["input_ids"]), 3), dtype=np.float32)
    for row, ids in zip(logits, inputs["input_ids"], strict=True):
        row[LETTERS[int(ids[1])]] = 1
    return {"logits": logits}


def rows(language: str, *, rotated: bool) -> str:
    """Return a file whose labels begin as their premises do, or the gold of it rotated by one label; 85 % of them."""
    lines = []
    for number in range(EXAMPLES):
        true = number % 3
        shown = (true + 1) % 3 if rotated and number % 20 >= 3 else true
        lines.append(f"{LABELS[true][0]}{language}{chr(97 + number % 26)}{number}\tx\t{LABELS[shown]}\n")
    return "".join(lines)


@pytest.fixture
def run(write, graph_of, layout: Layout, tmp_path: Path) -> Callable[..., tuple[Evaluation, RunResult]]:
    def start(**rotated: bool) -> tuple[Evaluation, RunResult]:
        for code, wrong in rotated.items():
            write(f"xnli/test-{code}.tsv", rows(code, rotated=wrong))
        graph_of("mnli")
        jobs = [Job(tasks.load("xnli"), code, "test") for code in rotated]
        evaluation = Evaluation(
            model="tiny",
            variant="fp32",
            workloads=group(jobs, ArtifactStore(tmp_path / "artifacts"), "tiny", "fp32"),
            layout=layout,
            suite="xtreme",
            output=tmp_path / "run",
            request={"models": ["tiny"], "tasks": ["xnli"], "data": "data", "limit": None, "protocols": []},
        )

        def connect(artifact: Artifact) -> CallableEndpoint:
            return CallableEndpoint(artifact.signature, first_letter)

        return evaluation, evaluate.run(plan(evaluation), Connection("function", connect, False), Stages(), Silent())

    return start


def test_gold_rotated_by_one_label_in_one_language_warns(run, tmp_path: Path) -> None:
    evaluation, result = run(en=False, de=False, ru=True)
    assert result.tasks[0].headline(next(row for row in result.tasks[0].languages if row.language == "ru")) == 15.0
    (found,) = read_run(tmp_path / "run").warnings
    assert (found.kind, found.task, found.languages) == ("below chance", "xnli", ["ru"])
    assert list(result_lines(evaluation, result, False))[-1] == (
        "warning: xnli ru: accuracy 15.0 is significantly below chance, chance is 33.3 (p 1e-05); "
        "are the labels permuted, in the data or in the graph?"
    )


def test_the_same_evaluation_again_has_the_same_warnings(run) -> None:
    evaluation, result = run(en=False, ru=True)
    again = plan(evaluation).finished
    assert again is not None
    assert [warning.text for warning in again.warnings] == [warning.text for warning in result.warnings]
    assert again.tasks[0].languages[0].plausibility == result.tasks[0].languages[0].plausibility


def test_right_labels_have_no_warning(run, tmp_path: Path) -> None:
    evaluation, result = run(en=False, ru=False)
    assert list(result.warnings) == []
    assert not any("warning" in line for line in result_lines(evaluation, result, False))


def test_scores_file_has_what_was_counted(run, tmp_path: Path) -> None:
    run(ru=False)
    found = read_run(tmp_path / "run").plausibility["xnli"]["ru"]
    assert (found.rows, found.unknown_share, found.truncated_rows, found.equal_rows) == (EXAMPLES, 0.0, 0, 0)
    assert (found.chance, found.independent) == (pytest.approx(100 / 3), EXAMPLES)
    assert (found.without_gold, found.unanswered, found.same_answer) == (0, 0, False)


def test_table_ends_with_the_level_of_chance(run) -> None:
    evaluation, result = run(ru=False, en=False)
    lines = "\n".join(result_lines(evaluation, result, False)).splitlines()
    assert lines[: lines[1:].index("") + 1][-1].split() == ["chance", "33.3"]


# Exit codes


@pytest.fixture
def home(write, graph_of, tiny_graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A model with a real graph; Russian XNLI, of which its tokenizer knows no letter."""
    graph_of("mnli", hidden=8, graph=tiny_graph(finetunes.load("mnli").head.signature(8)))
    write("xnli/test-ru.tsv", "".join(f"дом {number}\tкот\t{LABELS[number % 3]}\n" for number in range(9)))
    write("xnli/test-en.tsv", "".join(f"a house {number}\ta cat\t{LABELS[number % 3]}\n" for number in range(9)))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    return Workspace(tmp_path)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `harness ARGUMENTS` in this process; return its exit code."""
    import signal
    import sys

    from harness import cli

    def start(*arguments: str) -> int:
        handler = signal.getsignal(signal.SIGINT)
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            signal.signal(signal.SIGINT, handler)
        return int(ended.value.code or 0)

    return start


def command(home: Workspace, language: str, *more: str) -> list[str]:
    return [
        *("eval", "--model", "tiny", "--tasks", "xnli", "--languages", language, "--data", str(home.root / "data")),
        *("--endpoint", "onnx", "--output", str(home.root / "run"), "--quiet", *more),
    ]


def test_strict_ends_with_3_after_the_scores_are_written(home: Workspace, call, capsys) -> None:
    assert call(*command(home, "ru", "--strict")) == 3
    lines = capsys.readouterr().out.splitlines()
    (warning,) = [number for number, line in enumerate(lines) if line.startswith("warning: xnli ru: more than 5 %")]
    assert max(number for number, line in enumerate(lines) if "percent" in line) < warning
    assert [found.kind for found in read_run(home.root / "run").warnings] == ["unknown subwords"]


def test_strict_ends_with_3_where_the_run_was_finished_before(home: Workspace, call) -> None:
    assert call(*command(home, "ru")) == 0
    assert call(*command(home, "ru", "--strict")) == 3
    assert call("rescore", str(home.root / "run"), "--quiet", "--strict") == 3
    assert call("rescore", str(home.root / "run"), "--quiet") == 0


def test_strict_ends_with_0_without_a_warning(home: Workspace, call) -> None:
    assert call(*command(home, "en", "--strict")) == 0


def test_strict_dry_run_ends_with_0(home: Workspace, call) -> None:
    assert call(*command(home, "ru", "--strict", "--dry-run")) == 0


def test_warnings_are_values_of_the_api(home: Workspace) -> None:
    found = harness.evaluate(
        "tiny", ["xnli"], languages=["ru"], data=home.root / "data", endpoint="onnx", home=home.root
    )
    assert [(warning.kind, warning.languages) for warning in found.warnings] == [("unknown subwords", ["ru"])]
    assert found.scores["xnli"].languages[0].plausibility.unknown_share > 80


@pytest.mark.parametrize(("shift", "code"), [(1, 3), (0, 0)], ids=["rotated", "right"])
def test_a_folder_of_predictions_is_scored_strictly(shift: int, code: int, tmp_path: Path, call) -> None:
    for language in tasks.load("xnli").languages["xtreme"]:
        own = shift if language == "ru" else 0
        for role, by in (("labels", 0), ("predictions", own)):
            path = tmp_path / role / "xnli" / f"test-{language}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{LABELS[(number + by) % 3]}\n" for number in range(60)), encoding="utf-8")
    output = tmp_path / "scores.json"
    folders = ("--predictions", str(tmp_path / "predictions"), "--labels", str(tmp_path / "labels"))
    assert call("score", *folders, "--suite", "xtreme", "--output", str(output), "--strict") == code
    document: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    assert {(found["kind"], *found["languages"]) for found in document["warnings"]} >= (
        {("below chance", "ru")} if code else set()
    )
    assert document["plausibility"]["xnli"]["ru"]["rows"] is None
    assert bool(document["warnings"]) is bool(code)
