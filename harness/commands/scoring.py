"""The body of `harness score`: prediction files against label files, as the official scorer counts them.

Both folders have one file for each task and language, ``<task>/test-<language>.<suffix>``; no model,
graph or tokenizer is needed (google-research/xtreme@838c13b evaluate.py).
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from harness.artifacts.run import WarningRecord
from harness.benchmark import tasks
from harness.benchmark.metrics.chunks import ChunkF1, Variant
from harness.benchmark.submissions.answers import Answers
from harness.benchmark.suites import SUITES, Suite, TaskMeans, group_means, overall
from harness.core.errors import DataError, UsageError, nearest
from harness.core.examples import scored
from harness.core.files import write_json
from harness.core.gold import GoldErrors
from harness.core.records import to_json
from harness.core.task import AnyTask, SuiteName, Tally
from harness.evaluation.plausibility.answers import plausibility
from harness.evaluation.report import (
    input_lines,
    language_table,
    script_table,
    second_lines,
    suite_lines,
    warning_lines,
)
from harness.evaluation.results import LanguageScore, TaskScore
from harness.evaluation.selection import check_suite, choose_tasks
from harness.evaluation.warning_rules import warnings

#: Languages that a line of the report names; the output file has them all.
SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """What is scored, and how."""

    predictions: Path
    labels: Path
    suite: str
    #: None: every task of the suite that has a folder of predictions.
    tasks: tuple[str, ...] | None = None
    #: The variant of the chunk metric, for the tasks that have it.
    seqeval: str = "legacy"
    #: Count missing and extra predictions as the official scorer does, instead of refusing them.
    official_missing: bool = False
    #: Count gold answers that contradict their text, instead of refusing them.
    allow_gold_errors: bool = False
    output: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The two files of one task and language."""

    language: str
    labels: Path
    predictions: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a folder of predictions scores."""

    suite: Suite
    seqeval: Variant
    tasks: Sequence[TaskScore]
    #: Whether missing and extra predictions were counted, instead of refused.
    official_missing: bool
    #: Task -> language -> what was missing or extra, where anything was.
    tallies: Mapping[str, Mapping[str, Tally]]
    #: Tasks of the suite without predictions.
    absent: tuple[str, ...]
    #: Folders of predictions that are no task of the suite.
    unknown: tuple[str, ...]
    #: Gold answers that contradict their text, where they were allowed; None where they are refused.
    gold_errors: GoldErrors | None = None
    #: What makes the scores doubtful.
    warnings: Sequence[WarningRecord] = ()

    @property
    def complete(self) -> dict[str, TaskMeans]:
        """Return the means of the tasks that are complete in all languages."""
        return {task.task.name: task.means() for task in self.tasks if task.complete}

    def groups(self) -> dict[str, float]:
        """Return the mean of each group whose tasks are complete."""
        return group_means(self.suite, {name: means.score for name, means in self.complete.items()})

    def to_json(self) -> dict[str, Any]:
        """Return the form of the output file."""
        return {
            "suite": self.suite.name,
            "seqeval": self.seqeval,
            "tasks": {
                task.task.name: {
                    "score": task.score,
                    "languages": {row.language: dict(row.scores) for row in task.languages},
                    "scripts": task.by_script(),
                }
                for task in self.tasks
            },
            "groups": self.groups(),
            "overall": overall(self.suite, self.complete),
            "complete": list(self.complete),
            "not_scored": list(self.absent),
            "examples": {
                task.task.name: {
                    row.language: {"scored": row.examples, "official": task.task.official_count(row.language)}
                    for row in task.languages
                }
                for task in self.tasks
            },
            "official_missing": self.official_missing,
            "gold_errors": self._gold_errors(),
            "missing": {
                task: {code: {"missing": tally.missing, "extra": tally.extra} for code, tally in languages.items()}
                for task, languages in self.tallies.items()
            },
            "plausibility": {
                task.task.name: {row.language: to_json(row.plausibility) for row in task.languages}
                for task in self.tasks
            },
            "warnings": to_json(list(self.warnings)),
        }

    def _gold_errors(self) -> list[dict[str, str]] | None:
        if self.gold_errors is None:
            return None
        return [
            {
                "task": error.file.parent.name,
                "language": error.file.stem.removeprefix("test-"),
                "file": str(error.file),
                "id": error.id,
                "problem": error.problem,
            }
            for error in self.gold_errors
        ]


def run(request: ScoringRequest) -> Scores:
    """Score the folders, and write the output file; `report` gives the lines.

    Raises:
        UsageError: an unknown suite, task or variant, or an output that cannot be a file.
        DataError: a folder or file is missing or malformed, or files do not fit each other.
    """
    if request.output.is_dir():
        message = f"{request.output} is a folder; `--output` must name a file, such as {request.output / 'scores.json'}"
        raise UsageError(message)
    with _no_collection():
        scores = score(request)
    write_json(request.output, scores.to_json())
    return scores


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out: it took 1.6 of 7 s to walk through XTREME's examples, which have no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def score(request: ScoringRequest) -> Scores:
    """Return the scores of the folders.

    Raises:
        UsageError: an unknown suite, task or variant.
        DataError: a folder or file is missing or malformed, or files do not fit each other.
    """
    suite = SUITES[cast(SuiteName, check_suite(request.suite))]
    variant = _check_variant(request.seqeval)
    for folder, option in ((request.predictions, "predictions"), (request.labels, "labels")):
        if not folder.is_dir():
            message = f"folder {folder} does not exist; `--{option}` must name one that holds xnli/, udpos/, ..."
            raise DataError(message)
    folders = sorted(path.name for path in request.predictions.iterdir() if path.is_dir())
    errors = GoldErrors() if request.allow_gold_errors else None
    chosen = [allowing(with_variant(task, variant), errors) for task in _choose(request, suite, folders)]
    files = {task.name: _files(request, task, suite) for task in chosen}
    _check_files(chosen, files)
    found = []
    tallies: dict[str, dict[str, Tally]] = {}
    for task in chosen:
        counted = {one.language: Tally() for one in files[task.name]} if request.official_missing else {}
        rows = [_language(task, one, counted.get(one.language), errors) for one in files[task.name]]
        found.append(TaskScore(task=task, languages=rows, expected=task.languages[suite.name]))
        tallies_of_task = {code: tally for code, tally in counted.items() if tally != Tally()}
        if tallies_of_task:
            tallies[task.name] = tallies_of_task
    return Scores(
        suite=suite,
        seqeval=variant,
        tasks=found,
        official_missing=request.official_missing,
        tallies=tallies,
        absent=tuple(name for name in suite.tasks if name not in files),
        unknown=tuple(name for name in folders if name not in suite.tasks),
        gold_errors=errors,
        warnings=warnings(found, official=True),
    )


def with_variant(task: AnyTask, variant: Variant) -> AnyTask:
    """Return the task with the variant of seqeval, if chunk F1 is what it is scored by."""
    return replace(task, metric=replace(task.metric, variant=variant)) if isinstance(task.metric, ChunkF1) else task


def allowing(task: AnyTask, errors: GoldErrors | None) -> AnyTask:
    """Return the task with its gold errors counted, if its labels are answers that can contradict a text."""
    return (
        replace(task, submission=replace(task.submission, allowed=errors))
        if isinstance(task.submission, Answers)
        else task
    )


def _check_variant(name: str) -> Variant:
    known = get_args(Variant)
    if name not in known:
        message = f"no variant {name!r} of seqeval{nearest(name, known)}; `--seqeval` is one of {', '.join(known)}"
        raise UsageError(message)
    return cast(Variant, name)


def _choose(request: ScoringRequest, suite: Suite, folders: Sequence[str]) -> list[AnyTask]:
    """Return the tasks to score, in the suite's order."""
    if request.tasks is None:
        names = [name for name in suite.tasks if name in folders]
        if not names:
            message = (
                f"{request.predictions} has no folder of a task of {suite.name}; "
                f"`--predictions` must name one that holds some of {', '.join(suite.tasks)}"
            )
            raise DataError(message)
        return [tasks.load(name) for name in names]
    chosen = choose_tasks(request.tasks, suite.name)
    absent = [task.name for task in chosen if task.name not in folders]
    if absent:
        message = f"{request.predictions} has no folder {absent[0]!r}; leave the task out of `--tasks`, or put it there"
        raise DataError(message)
    return sorted(chosen, key=lambda task: suite.tasks.index(task.name))


def _files(request: ScoringRequest, task: AnyTask, suite: Suite) -> list[Files]:
    names = {code: f"{task.name}/test-{code}.{task.submission.suffix}" for code in task.languages[suite.name]}
    return [
        Files(language=code, labels=request.labels / name, predictions=request.predictions / name)
        for code, name in names.items()
    ]


def _check_files(chosen: Sequence[AnyTask], files: Mapping[str, Sequence[Files]]) -> None:
    """Refuse folders that lack files, by task and language: no language of a suite is left out."""
    missing: dict[str, list[str]] = {}
    for task in chosen:
        for folder, paths in (
            ("predictions", {one.language: one.predictions for one in files[task.name]}),
            ("labels", {one.language: one.labels for one in files[task.name]}),
        ):
            codes = [code for code, path in paths.items() if not path.is_file()]
            if codes:
                example = paths[codes[0]]
                count = f"{len(codes)} of {len(paths)} languages"
                missing.setdefault(folder, []).append(f"{task.name}: {count} ({' '.join(codes)}), such as {example}")
    if missing:
        listed = "; ".join(f"{folder} lack {', '.join(entries)}" for folder, entries in missing.items())
        fix = (
            "write the labels with `harness data labels`"
            if set(missing) == {"labels"}
            else "put what is missing there, or score other tasks with `--tasks`"
        )
        message = f"{listed}; {fix}"
        raise DataError(message)


def _language(task: AnyTask, files: Files, tally: Tally | None, errors: GoldErrors | None) -> LanguageScore:
    examples, predictions = task.submission.read(files.labels, files.predictions, tally)
    counts = task.metric.counts(examples, predictions, files.language)
    totals = counts.sum(axis=0)
    second = task.second if task.second is not None and task.second.of_predictions else None
    beside = {}
    if second is not None and second.metric is not None:
        beside = second.metric.scores(second.metric.counts(examples, predictions, files.language).sum(axis=0))
    size = task.size(len(scored(examples)), totals)
    return LanguageScore(
        language=files.language,
        examples=size,
        scores={**task.metric.scores(totals), **beside},
        # Where the official number is not known, no folder can be said to be partial.
        official=task.official_count(files.language) in (None, size),
        gold_errors=None if errors is None else len(errors.of(files.labels)),
        plausibility=plausibility(task, examples, predictions, counts, files.language),
    )


def report(scores: Scores) -> Iterator[str]:
    """Yield tables per language and per script, what the numbers rest on, group and overall means."""
    suite = scores.suite
    yield language_table(scores.tasks, f"{suite.name} per language, percent").text()
    yield ""
    yield script_table(scores.tasks, f"{suite.name} per script, percent").text()
    yield ""
    for task in scores.tasks:
        yield _task_line(task, scores.tallies.get(task.task.name, {}))
    yield from input_lines(scores.tasks)
    yield from second_lines(scores.tasks)
    if scores.absent:
        yield f"not scored: {', '.join(scores.absent)}"
    if scores.unknown:
        yield f"not looked at, since {suite.name} has no such task: {', '.join(scores.unknown)}"
    yield from suite_lines(suite, scores.tasks)
    yield from warning_lines(scores.warnings)


def _task_line(score: TaskScore, tallies: Mapping[str, Tally]) -> str:
    """Return what a task's number rests on."""
    task = score.task
    official = {row.language: task.official_count(row.language) for row in score.languages}
    partial = [
        f"{row.language} {row.examples:,} of {official[row.language]:,}" for row in score.languages if not row.official
    ]
    unknown = [f"{row.language} {row.examples:,}" for row in score.languages if official[row.language] is None]
    counted = [f"{code} {tally.missing:,} missing and {tally.extra:,} extra" for code, tally in tallies.items()]
    parts = [f"{task.name}: mean of {' and '.join(task.headline)}, {len(score.languages)} languages"]
    if isinstance(task.metric, ChunkF1):
        parts.append(f"seqeval {task.metric.variant}")
    if score.gold_errors is not None:
        parts.append(f"gold errors allowed: {score.gold_errors:,}")
    if partial:
        parts.append(f"partial, examples are not the official ones: {_shortened(partial)}")
    if unknown:
        parts.append(f"official number of examples not known: {_shortened(unknown)}")
    if counted:
        parts.append(f"counted as the official scorer does: {_shortened(counted)}")
    return "; ".join(parts)


def _shortened(items: Sequence[str]) -> str:
    """Return the first few items."""
    shown = ", ".join(items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown}, and {len(items) - SHOWN} more languages"
