"""Runs without a graph: journals of given predictions, with the records that an evaluation would write."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from xnli_labels import LABELS

from harness.artifacts.run import RunRecord
from harness.artifacts.workspace import Workspace
from harness.benchmark import tasks
from harness.core.examples import first, scored
from harness.core.layout import Layout
from harness.core.records import to_json
from harness.core.task import AnyTask
from harness.evaluation.journal import Journal
from harness.evaluation.provenance import data_sha256
from harness.evaluation.results import LanguageScore, TaskScore
from harness.evaluation.workload import Job

#: Task -> language -> the prediction of each example.
Answers = Mapping[str, Mapping[str, Sequence[Any]]]


#: A word in the script of a language: a file without a letter of it is refused.
WORDS = {
    "ar": "كلمة", "bg": "дума", "el": "λέξη", "hi": "शब्द", "ru": "слово", "th": "คำ", "ur": "لفظ", "zh": "词",
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def make_run(tmp_path: Path, layout: Layout) -> Callable[..., Path]:
    """Write a finished run: ``make_run("english", {"xnli": {"ru": ["neutral", ...]}})``."""

    def make(
        model: str,
        answers: Answers,
        *,
        variant: str = "fp32",
        data: Layout = layout,
        limit: int | None = None,
        protocols: Sequence[str] = (),
        name: str = "",
        exposure: str = "unseen",
        representation: str = "",
        tokenizer: str = "a" * 64,
        created: str = "2026-01-01T00:00:00+00:00",
        **changed: Any,
    ) -> Path:
        folder = tmp_path / "runs" / (name or f"{model.replace('/', '_')}-{variant}")
        found, jobs = [], []
        with Journal(folder / "journal.sqlite") as journal:
            for task_name, by_language in answers.items():
                task = tasks.load(task_name)
                for entry in protocols:
                    task = task.choose(entry.partition("=")[2])
                rows = []
                for code in (code for code in task.all_languages(None) if code in by_language):
                    job = Job(task, code, "test", limit)
                    jobs.append(job)
                    rows.append(_scored(job, data, by_language[code], journal, exposure))
                expected = task.all_languages(None)
                found.append(TaskScore(task=task, languages=rows, expected=expected, representation=representation))
        request = {"models": [model], "tasks": list(answers), "data": str(data.root or data.xtreme)}
        document = {
            "format": RunRecord.newest,
            "model": model,
            "variant": variant,
            "endpoint": "function",
            "request": {**request, "limit": limit, "protocols": list(protocols), "variant": variant},
            "tasks": {each.task.name: each.to_json() for each in found},
            "provenance": {
                "data_sha256": data_sha256(jobs, data),
                "graph_sha256": {"mnli": "9" * 64},
                "tokenizer_sha256": tokenizer,
                "checkpoint_sha256": {"mnli": "c" * 64},
                "packages": {"xtreme-harness": "0.1.0"},
                "created": created,
                "data": str(data.xtreme),
            },
            **changed,
        }
        (folder / "scores.json").write_text(json.dumps(to_json(document)), encoding="utf-8")
        return folder

    return make


def _scored(job: Job, data: Layout, predictions: Sequence[Any], journal: Journal, exposure: str) -> LanguageScore:
    task: AnyTask = job.task
    examples = task.source.read(data, job.language, job.split)
    examples = examples if job.limit is None else first(examples, job.limit)
    counts = task.metric.counts(examples, predictions, job.language)
    journal.write_predictions(task.name, job.language, [each.id for each in examples], predictions, counts)
    return LanguageScore(
        language=job.language,
        split=job.split,
        examples=len(scored(examples)),
        scores=task.metric.scores(counts.sum(axis=0)),
        official=False,
        exposure=exposure,  # type: ignore[arg-type]
    )


@pytest.fixture
def xnli(write: Callable[..., Path]) -> Callable[..., list[str]]:
    """Write XNLI with three hypotheses for each premise and return its labels: ``xnli("ru", premises=20)``."""

    def make(language: str, *, premises: int = 20) -> list[str]:
        gold = [LABELS[(number * 7 + number // 3) % 3] for number in range(3 * premises)]
        word = WORDS.get(language, "word")
        lines = [f"{language} premise {row // 3} {word}\thypothesis {row}\t{label}\n" for row, label in enumerate(gold)]
        write(f"xnli/test-{language}.tsv", "".join(lines))
        return gold

    return make
