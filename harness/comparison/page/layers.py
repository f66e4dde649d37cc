"""Retrieval by layer: what `harness sweep-layers` found for the models of a page."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from harness.artifacts.run import TaskRecord
from harness.artifacts.workspace import Workspace
from harness.benchmark import tasks
from harness.comparison.page import charts
from harness.comparison.page.charts import Curve
from harness.comparison.runs import FinishedRun
from harness.comparison.sheets import plain
from harness.core.errors import UsageError
from harness.core.languages import scripts
from harness.core.layout import Split
from harness.core.progress import Progress
from harness.core.records import Record, read_record
from harness.core.tables import EMPTY

#: How a run's record says which hidden state its vectors are of: ``hidden state 1 of 4``.
_USED = re.compile(r"\bhidden state (\d+) of (\d+)\b")
MEAN = "mean"


class SweepRecord(Record, frozen=True, kw_only=True):
    """What `harness sweep-layers` writes: the scores of a retrieval task at each hidden state."""

    model: str
    task: str
    #: Digest of the checkpoint whose hidden states were compared.
    checkpoint: str
    #: The split that was scored.
    selected_on: str
    #: The embedding output first.
    hidden_states: list[TaskRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTask:
    """One task on one split."""

    name: str
    #: What is drawn, and its SVG: the mean, then each script.
    charts: Sequence[tuple[str, str]]
    columns: Sequence[str]
    #: One for each model and hidden state.
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What a page says of hidden states."""

    tasks: Sequence[LayerTask]
    #: One line for each sweep that is not shown, or shown with care.
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Swept:
    """A sweep of the very network that a run scored."""

    name: str
    #: Of the run on the page.
    number: int
    record: SweepRecord
    #: The hidden state that the run's vectors are of; None where its record names none.
    used: int | None


def layers(names: Sequence[str], runs: Sequence[FinishedRun], workspace: Workspace, progress: Progress) -> Layers:
    """Return the sweeps of the runs' models that lie in the workspace; one of another training is named, not drawn.

    Args:
        names: of the runs, as the page calls them.
        runs: in the same order; several of one model, as of its variants, share the sweep of its checkpoint.
        workspace: where `harness sweep-layers` wrote.
        progress: shows what is drawn.

    Raises:
        UsageError: a file is damaged, or holds another sweep than its name says; names file and key.
    """
    found: dict[tuple[str, str], list[_Swept]] = {}
    remarks = []
    drawn: set[Path] = set()
    for number, (name, run) in enumerate(zip(names, runs, strict=True)):
        for path, record in _sweeps(run.record.model, workspace):
            recorded = run.record.provenance.checkpoint_sha256.get(tasks.load(record.task).finetune.name)
            if recorded != record.checkpoint:
                remarks.append(plain(f"{name}: {_not_drawn(path, record, recorded)}"))
            elif path not in drawn:
                drawn.add(path)
                swept = _Swept(name=name, number=number, record=record, used=_used(run, record))
                found.setdefault((record.task, record.selected_on), []).append(swept)
    shown = []
    with progress.step("drawing layers", len(found), "sweeps") as advance:
        for at, ((task, split), sweeps) in enumerate(found.items()):
            shown.append(_task(f"layers-{at}", f"{task} ({split})", sweeps))
            if len({frozenset(sweep.record.hidden_states[0].languages) for sweep in sweeps}) > 1:
                remarks.append(f"{task}: the sweeps have different languages, so the models do not compare")
            advance(1)
    return Layers(tasks=shown, remarks=remarks)


def _sweeps(model: str, workspace: Workspace) -> Iterator[tuple[Path, SweepRecord]]:
    """Yield the sweeps of a model with their files."""
    for task in tasks.names():
        for split in get_args(Split):
            path = workspace.runs / f"sweep-{model}-{task}-{split}.json"
            if path.is_file():
                yield path, read_sweep(path, model, task, split)


def read_sweep(path: Path, model: str, task: str, split: str) -> SweepRecord:
    """Return a sweep.

    Args:
        path: of the file.
        model: that its name says.
        task: the same.
        split: the same.

    Raises:
        UsageError: it is damaged, of another sweep, or its hidden states have not the same languages.
        FileNotFoundError: there is no such file.
    """
    fix = f"write it again with `harness sweep-layers --model {model} --task {task} --split {split}`, or delete it"
    record = read_record(path, SweepRecord, UsageError, fix)
    wrong = _problem(record, (model, task, split))
    if wrong:
        message = plain(f"{path} {wrong}; {fix}")
        raise UsageError(message)
    return record


def _problem(record: SweepRecord, expected: tuple[str, str, str]) -> str:
    """Return what is wrong with a sweep; empty where nothing is."""
    own = record.model, record.task, record.selected_on
    if own != expected:
        return f"holds the sweep of {' '.join(own)}, {' '.join(expected)} is expected"
    if not record.hidden_states:
        return "is damaged (hidden_states is empty, one score for each is expected)"
    languages = list(record.hidden_states[0].languages)
    for layer, each in enumerate(record.hidden_states):
        key = f"hidden_states[{layer}]"
        if not each.languages or list(each.languages) != languages:
            return f"is damaged ({key}.languages are {', '.join(each.languages) or 'none'}, those of all are expected)"
        if unknown := [name for name in each.scripts if name not in scripts()]:
            return f"is damaged ({key}.scripts has {unknown[0]!r}, scripts of ISO 15924 are expected)"
        if each.scripts.keys() != record.hidden_states[0].scripts.keys():
            return f"is damaged ({key}.scripts are not those of the other hidden states)"
        for name, value in ((MEAN, each.score), *each.scripts.items()):
            if not 0 <= value <= 100:
                return f"is damaged ({key}: {name} is {value:g}, percent is expected)"
    return ""


def _not_drawn(path: Path, record: SweepRecord, recorded: str | None) -> str:
    again = f"`harness sweep-layers --model {record.model} --task {record.task} --split {record.selected_on}`"
    if recorded is None:
        return (
            f"{path} is not shown, the run scored no task of the graph that was swept, so nothing says that it is "
            f"the same network; evaluate {record.task} too"
        )
    return f"{path} is not shown, it is of another checkpoint than the run; {again} writes it again"


def _used(run: FinishedRun, record: SweepRecord) -> int | None:
    """Return the hidden state that a run compared in tasks of the graph that was swept."""
    graph = tasks.load(record.task).finetune.name
    for name, task in run.record.tasks.items():
        match = _USED.search(task.representation)
        if match is not None and name in tasks.names() and tasks.load(name).finetune.name == graph:
            return int(match[1])
    return None


def _task(ident: str, title: str, sweeps: Sequence[_Swept]) -> LayerTask:
    own = {script for sweep in sweeps for script in sweep.record.hidden_states[0].scripts}
    groups = [MEAN, *(script for script in scripts() if script in own)]
    drawn = []
    for at, group in enumerate(groups):
        curves = [
            Curve(name=sweep.name, number=sweep.number, points=points, ringed=sweep.used)
            for sweep in sweeps
            if (points := _points(sweep.record, group))
        ]
        drawn.append((group, charts.lines(f"{ident}-{at}", curves, "hidden state", "percent")))
    rows = [
        [
            sweep.name,
            f"{layer} of {len(sweep.record.hidden_states) - 1}{' (used)' if layer == sweep.used else ''}",
            f"{sum(row.examples for row in score.rows.values()):,}",
            f"{score.score:.1f}",
            *(f"{score.scripts[group]:.1f}" if group in score.scripts else EMPTY for group in groups[1:]),
        ]
        for sweep in sweeps
        for layer, score in enumerate(sweep.record.hidden_states)
    ]
    return LayerTask(name=title, charts=drawn, columns=["model", "hidden state", "n", *groups], rows=rows)


def _points(record: SweepRecord, group: str) -> list[tuple[float, float]]:
    values = [score.score if group == MEAN else score.scripts.get(group) for score in record.hidden_states]
    return [(layer, value) for layer, value in enumerate(values) if value is not None]
