"""How the models of a page were trained: loss and English dev scores over the steps, from their checkpoints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.artifacts.checkpoint import read_metadata
from harness.artifacts.workspace import Workspace
from harness.comparison.page import charts
from harness.comparison.page.charts import Curve
from harness.comparison.runs import FinishedRun
from harness.core.errors import CheckpointError
from harness.core.tables import EMPTY

#: The folder of phase 2, and what a page calls it.
INTERMEDIATE, PHASE_2 = "intermediate", "phase 2"


class _Loss(msgspec.Struct, frozen=True):
    step: int
    loss: float


class _Score(msgspec.Struct, frozen=True):
    step: int
    score: float


class _Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a checkpoint's long parts."""

    steps: int = 0
    losses: list[_Loss] = []
    evaluations: list[_Score] = []
    chosen_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a page says of training."""

    #: One for each training set: its name, the losses of all models, and their English dev scores; empty without any.
    charts: Sequence[tuple[str, str, str]]
    rows: Sequence[Sequence[str]]
    #: Models whose checkpoints are not here any more, in words.
    absent: Sequence[str]


def training(names: Sequence[str], runs: Sequence[FinishedRun], workspace: Workspace) -> Training:
    """Return the curves of the checkpoints that the runs name; one that is gone or was trained again has none.

    Args:
        names: of the runs, as the page calls them.
        runs: in the same order.
        workspace: where checkpoints are.
    """
    curves: dict[str, list[Curve]] = {}
    dev: dict[str, list[Curve]] = {}
    rows, absent = [], []
    for number, (name, run) in enumerate(zip(names, runs, strict=True)):
        of_run = list(_trained(run, workspace))
        if not of_run:
            absent.append(f"{name}: no checkpoint of this run under {workspace.checkpoints / run.record.model}")
        for what, found in of_run:
            points = [(each.step, each.loss) for each in found.losses]
            if points:
                curves.setdefault(what, []).append(Curve(name=name, number=number, points=points))
            scores = [each.score for each in found.evaluations]
            if scores:
                steps = [(each.step, each.score) for each in found.evaluations]
                dev.setdefault(what, []).append(Curve(name=name, number=number, points=steps))
            rows.append(
                [
                    what,
                    name,
                    f"{found.steps:,}",
                    f"{points[0][1]:.3f}" if points else EMPTY,
                    f"{points[-1][1]:.3f}" if points else EMPTY,
                    f"{max(scores):.1f}" if scores else EMPTY,
                    EMPTY if found.chosen_step is None else f"{found.chosen_step:,}",
                ]
            )
    order = list(curves)
    rows.sort(key=lambda row: (order.index(row[0]) if row[0] in order else len(order), row[0]))
    drawn = [
        (
            what,
            charts.lines(f"curve-{at}", curves[what], "steps", "loss"),
            charts.lines(f"dev-{at}", dev[what], "steps", "English dev score") if what in dev else "",
        )
        for at, what in enumerate(order)
    ]
    return Training(charts=drawn, rows=rows, absent=absent)


def _trained(run: FinishedRun, workspace: Workspace) -> Iterator[tuple[str, _Trained]]:
    """Yield phase 2 and each training set of a run's model, as far as its checkpoints are those of the run."""
    folder = workspace.checkpoints / run.record.model
    parents = set()
    targets = []
    for finetune, digest in run.record.provenance.checkpoint_sha256.items():
        found = _read(folder / "target" / finetune, digest)
        if found is not None:
            parents.add(found[1])
            targets.append((finetune, found[0]))
    for digest in parents:
        phase_2 = _read(folder / INTERMEDIATE, digest)
        if phase_2 is not None:
            yield PHASE_2, phase_2[0]
    yield from ((name, each) for name, each in targets if each.losses)


def _read(folder: Path, digest: str) -> tuple[_Trained, str] | None:
    """Return what a checkpoint was trained by, and the digest of phase 2; None where it is another one, or gone."""
    try:
        checkpoint = read_metadata(folder)
    except CheckpointError:
        # A run outlives its checkpoints: `harness gc` and other machines.
        return None
    if checkpoint.digest != digest:
        return None
    return msgspec.convert(dict(checkpoint.document), _Trained), checkpoint.metadata.parents.get(INTERMEDIATE, "")
