"""Retrieval by hidden state, as `harness sweep-layers` wrote it for the models of a page."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.artifacts.run import TaskRecord
from harness.artifacts.workspace import Workspace
from harness.comparison.page import charts
from harness.comparison.page.charts import Curve
from harness.comparison.runs import FinishedRun
from harness.core.errors import UsageError
from harness.core.tables import EMPTY

#: How a score names the layer that its vectors come from; see `harness.evaluation.scoring.representation`.
_LAYER = re.compile(r"hidden state (\d+) of \d+")


class _Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of ``runs/sweep-MODEL-TASK-SPLIT.json``."""

    model: str
    task: str
    #: Digest of the checkpoint.
    checkpoint: str
    selected_on: str
    #: From the embedding to the last layer.
    hidden_states: list[TaskRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What a page says of layers."""

    #: One for each task and split: its name, and the accuracy of all models at each hidden state.
    charts: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]


def layers(names: Sequence[str], runs: Sequence[FinishedRun], workspace: Workspace) -> Layers:
    """Return accuracy by hidden state of the checkpoints that the runs name; one that was not swept has none.

    Args:
        names: of the runs, as the page calls them.
        runs: in the same order.
        workspace: whose `runs/` has the sweeps.

    Raises:
        UsageError: a sweep is damaged; names the file.
    """
    curves: dict[str, list[Curve]] = {}
    rows = []
    for number, (name, run) in enumerate(zip(names, runs, strict=True)):
        for sweep in _of(run, workspace):
            what = f"{sweep.task}, {sweep.selected_on}"
            points = [(layer, found.score) for layer, found in enumerate(sweep.hidden_states)]
            curves.setdefault(what, []).append(Curve(name=name, number=number, points=points))
            best = max(range(len(points)), key=lambda layer: (points[layer][1], -layer))
            used = _used(run, sweep.task)
            scripts = sweep.hidden_states[best].scripts
            rows.append(
                [
                    what,
                    name,
                    f"{best} of {len(points) - 1}: {points[best][1]:.1f}",
                    EMPTY if used is None or used >= len(points) else f"{used}: {points[used][1]:.1f}",
                    ", ".join(f"{script} {score:.1f}" for script, score in scripts.items()),
                ]
            )
    drawn = [
        (what, charts.lines(f"layers-{at}", found, "hidden state", "accuracy"))
        for at, (what, found) in enumerate(curves.items())
    ]
    return Layers(charts=drawn, rows=rows)


def _of(run: FinishedRun, workspace: Workspace) -> Iterator[_Sweep]:
    digests = set(run.record.provenance.checkpoint_sha256.values())
    for path in sorted(workspace.runs.glob(f"sweep-{run.record.model}-*.json")):
        sweep = _read(path)
        # Of another model whose name begins alike, or of a checkpoint that was trained again since.
        if sweep.model == run.record.model and sweep.checkpoint in digests and sweep.hidden_states:
            yield sweep


def _read(path: Path) -> _Sweep:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Sweep)
    except msgspec.MsgspecError as error:
        message = f"{path} is damaged ({error}); remove it, or write it again with `harness sweep-layers`"
        raise UsageError(message) from error


def _used(run: FinishedRun, task: str) -> int | None:
    record = run.record.tasks.get(task)
    found = None if record is None else _LAYER.search(record.representation)
    return None if found is None else int(found[1])
