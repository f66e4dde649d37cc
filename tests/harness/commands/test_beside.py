"""The fairer number beside the official one and what is counted, from files to scores.json and the printed lines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from callable_endpoint import CallableEndpoint
from tokenizers import Tokenizer

from harness.artifacts.run import read_run
from harness.artifacts.store import ArtifactStore
from harness.benchmark import tasks
from harness.commands import evaluate
from harness.commands.listing import explain
from harness.core.files import file_sha256
from harness.core.layout import Layout
from harness.core.progress import Silent
from harness.core.tensors import Tensors
from harness.evaluation.beside import SPECIAL
from harness.evaluation.connection import Connection
from harness.evaluation.plan import plan
from harness.evaluation.report import protocol_lines, second_lines
from harness.evaluation.request import Evaluation
from harness.evaluation.results import RunResult, TaskScore
from harness.evaluation.stages import Stages
from harness.evaluation.workload import Job, group


@pytest.fixture
def run(graph_of, layout: Layout, tmp_path: Path) -> Callable[..., RunResult]:
    """Evaluate one task in one language: ``run("udpos", "en", graph)``."""

    def start(name: str, language: str, graph: Callable[[Tensors], Tensors], special: bool = False) -> RunResult:
        task = tasks.load(name)
        artifact = graph_of(task.finetune.name)
        if special:
            own = Tokenizer.from_file(str(artifact.tokenizer))
            own.add_special_tokens(["<pad>", "</s>"])
            own.save(str(artifact.tokenizer))
            path = artifact.directory / "manifest.json"
            manifest = json.loads(path.read_text(encoding="utf-8"))
            manifest["tokenizer_sha256"] = file_sha256(artifact.tokenizer)
            path.write_text(json.dumps(manifest), encoding="utf-8")
        evaluation = Evaluation(
            model="tiny",
            variant="fp32",
            workloads=group([Job(task, language, "test")], ArtifactStore(tmp_path / "artifacts"), "tiny", "fp32"),
            layout=layout,
            suite=None,
            output=tmp_path / "run",
            request={"models": ["tiny"], "tasks": [name], "data": "data", "limit": None, "protocols": []},
        )
        connection = Connection("function", lambda found: CallableEndpoint(found.signature, graph), False)
        return evaluate.run(plan(evaluation), connection, Stages(), Silent())

    return start


def read_document(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "run/scores.json").read_text(encoding="utf-8"))


def language_of(tmp_path: Path, task: str, code: str) -> dict[str, Any]:
    return read_document(tmp_path)["tasks"][task]["languages"][code]


def counted_of(tmp_path: Path, task: str, code: str) -> dict[str, int]:
    return read_document(tmp_path)["tasks"][task]["counted"][code]


def zeros(size: int) -> Callable[[Tensors], Tensors]:
    return lambda inputs: {"logits": np.zeros((*inputs["input_ids"].shape, size), dtype=np.float32)}


def test_scores_hold_the_fairer_number_which_is_part_of_no_mean(run, write, tmp_path: Path) -> None:
    context = "die stadt, das haus"
    answers = [{"text": "die stadt", "answer_start": 0}]
    questions = [{"id": "1", "question": "was", "answers": answers}]
    paragraphs = [{"context": context, "qas": questions}]
    write("xquad/xquad.de.json", json.dumps({"data": [{"paragraphs": paragraphs}]}))

    def answered(inputs: Tensors) -> Tensors:
        # "stadt": the context begins after `<s> was </s> </s>`, white space has no subwords
        starts, ends = (np.zeros(inputs["input_ids"].shape, dtype=np.float32) for _ in range(2))
        starts[:, 6 + 3], ends[:, 6 + 7] = 5, 5
        return {"start_logits": starts, "end_logits": ends}

    result = run("xquad", "de", answered)
    found = language_of(tmp_path, "xquad", "de")
    assert [found[name] for name in ("exact_match", "f1")] == pytest.approx([0, 200 / 3])
    assert [found[name] for name in ("fair_exact_match", "fair_f1")] == [100, 100]
    (task,) = result.tasks
    assert task.score == pytest.approx(100 / 3)
    assert "counted" not in read_document(tmp_path)["tasks"]["xquad"]
    (line,) = second_lines([task])
    assert line.startswith("xquad beside it, fair_exact_match/fair_f1: de 100.0/100.0 (answers in NFC")


def test_identical_choices_and_ties_are_counted_and_worth_chance(run, write, tmp_path: Path) -> None:
    rows = [("ab " * 70 + "x", "ab " * 70 + "y", 1), ("a", "b", 1), ("a", "b", 0)]
    lines = [
        json.dumps({"premise": "p", "choice1": one, "choice2": other, "question": "cause", "label": label, "idx": 0})
        for one, other, label in rows
    ]
    write("xcopa/et/test.et.jsonl", "\n".join(lines) + "\n")

    def counted(inputs: Tensors) -> Tensors:
        return {"logits": (inputs["input_ids"] * inputs["attention_mask"]).sum(-1).astype(np.float32).reshape(-1, 1)}

    (task,) = run("xcopa", "et", counted).tasks
    found = language_of(tmp_path, "xcopa", "et")
    assert counted_of(tmp_path, "xcopa", "et") == {"examples with identical choices": 1}
    # Choice 0 wins the tie, and b is a larger number than a.
    assert found["accuracy"] == pytest.approx(100 / 3)
    assert found["tied_accuracy"] == pytest.approx(100 * 1.5 / 3)
    assert "1 examples with identical choices" in protocol_lines([task])[0]


def test_words_without_subwords_are_counted(run, write, tmp_path: Path) -> None:
    write("udpos/test-en.tsv", "a\tNOUN\n\u200b\tNOUN\nb\tNOUN\n\n")
    (task,) = run("udpos", "en", zeros(17)).tasks
    record = read_run(tmp_path / "run").tasks["udpos"]
    assert record.counted == {"en": {"words without subwords": 1}}
    again = TaskScore.from_record(tasks.load("udpos"), ("en",), record)
    assert [row.counted for row in again.languages] == [row.counted for row in task.languages]
    assert "1 words without subwords" in protocol_lines([task])[0]
    assert next(iter(second_lines([task]))).startswith("udpos beside it, accuracy: en 0.0 (the share of words")


def test_faults_control_evaluation_reads_special_tokens_as_the_official_scripts_and_counts_them(
    run, write, tmp_path: Path
) -> None:
    write("xnli/test-ru.tsv", "a <pad> b\tx\tneutral\nc\tx </s>\tneutral\nc\td\tneutral\n")
    seen: list[np.ndarray] = []

    def remembered(inputs: Tensors) -> Tensors:
        seen.append(inputs["input_ids"])
        return {"logits": np.zeros((len(inputs["input_ids"]), 3), dtype=np.float32)}

    (task,) = run("xnli", "ru", remembered, special=True).tasks
    assert counted_of(tmp_path, "xnli", "ru") == {SPECIAL: 2}
    assert f"2 {SPECIAL}" in protocol_lines([task])[0]
    rows = [row.tolist() for block in seen for row in block]
    assert any(row[1:4] == [4, 1, 5] for row in rows)


def test_runs_from_before_have_no_second_scores_and_are_shown_without(run, write, tmp_path: Path) -> None:
    write("udpos/test-en.tsv", "a\tNOUN\n\n")
    run("udpos", "en", zeros(17))
    record = read_run(tmp_path / "run").tasks["udpos"]
    for fields in record.languages.values():
        fields.pop("accuracy")
    task = TaskScore.from_record(tasks.load("udpos"), ("en",), record)
    assert list(second_lines([task])) == []


@pytest.mark.parametrize("name", [name for name in tasks.names() if tasks.load(name).second])
def test_tasks_name_their_second_number_and_how_texts_are_read(name: str) -> None:
    text = explain(name)
    second = tasks.load(name).second
    assert f"  beside it, part of no mean: {' and '.join(second.names)}: {second.rule}\n" in text
    assert "  text: a special token such as </s> in it is read as one" in text
