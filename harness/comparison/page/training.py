"""How the models of a page were trained: loss and English dev scores over the steps, from their checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.artifacts.checkpoint import PHASE_FILE, read_metadata
from harness.artifacts.workspace import Workspace
from harness.comparison.page import charts
from harness.comparison.page.charts import Curve
from harness.comparison.runs import FinishedRun
from harness.comparison.sheets import plain
from harness.core.errors import CheckpointError
from harness.core.progress import Progress
from harness.core.records import problem
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

    steps: int | None = None
    losses: list[_Loss] = []
    #: On the English dev set, the mean of the headline scores in percent.
    evaluations: list[_Score] | None = None
    chosen_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingChart:
    """The curves of one training set."""

    #: Its name, or what phase 2 is called.
    name: str
    loss: str
    #: English dev scores, the step that was kept ringed; empty where nothing was evaluated while it trained.
    score: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a page says of training."""

    charts: Sequence[TrainingChart]
    rows: Sequence[Sequence[str]]
    #: One line for each run and reason: which curves are not here, why, and where they were looked for.
    absent: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of the checkpoints that one run names."""

    #: Phase 2 first.
    trained: list[tuple[str, _Trained]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def training(names: Sequence[str], runs: Sequence[FinishedRun], workspace: Workspace, progress: Progress) -> Training:
    """Return the curves of the checkpoints that the runs name; those that are gone or were trained again are named.

    Args:
        names: of the runs, as the page calls them.
        runs: in the same order.
        workspace: where checkpoints are.
        progress: shows what is drawn.
    """
    losses: dict[str, list[Curve]] = {}
    scores: dict[str, list[Curve]] = {}
    rows, absent = [], []
    for number, (name, run) in enumerate(zip(names, runs, strict=True)):
        read = _read_all(run, workspace)
        absent += [plain(f"{name}: {line}") for line in read.absent]
        for what, found in read.trained:
            points = [(each.step, each.loss) for each in found.losses]
            evaluated = [(each.step, each.score) for each in found.evaluations or []]
            losses.setdefault(what, []).append(Curve(name=name, number=number, points=points))
            if evaluated:
                curve = Curve(name=name, number=number, points=evaluated, ringed=found.chosen_step)
                scores.setdefault(what, []).append(curve)
            rows.append(
                [
                    what,
                    name,
                    EMPTY if found.steps is None else f"{found.steps:,}",
                    f"{points[0][1]:.3f}",
                    f"{points[-1][1]:.3f}",
                    f"{max(score for _, score in evaluated):.1f}" if evaluated else EMPTY,
                    EMPTY if found.chosen_step is None else f"{found.chosen_step:,}",
                ]
            )
    order = sorted(losses, key=lambda what: what != PHASE_2)
    rows.sort(key=lambda row: order.index(row[0]))
    drawn = []
    with progress.step("drawing training curves", len(order), "training sets") as advance:
        for at, what in enumerate(order):
            loss = charts.lines(f"loss-{at}", losses[what], "steps", "loss")
            score = charts.lines(f"score-{at}", scores[what], "steps", "English dev score") if what in scores else ""
            drawn.append(TrainingChart(name=what, loss=loss, score=score))
            advance(1)
    return Training(charts=drawn, rows=rows, absent=absent)


def _read_all(run: FinishedRun, workspace: Workspace) -> _Found:
    """Read phase 2 and each training set of a run's model, as far as its checkpoints are those of the run."""
    folder = workspace.checkpoints / run.record.model
    found = _Found()
    if not run.record.provenance.checkpoint_sha256:
        found.absent.append("no training curves: its record names no checkpoint")
        return found
    gone: dict[Path, list[str]] = {}
    other: dict[Path, list[str]] = {}
    # Phase 2 is known by the checkpoints that started from it.
    parents: dict[str, None] = {}
    targets = []
    for finetune, digest in run.record.provenance.checkpoint_sha256.items():
        read = _read(folder / "target" / finetune, digest, found, gone, other)
        if read is not None:
            targets.append((finetune, read[0]))
            parents.update({parent: None for parent in (read[1],) if parent})
    for digest in parents:
        read = _read(folder / INTERMEDIATE, digest, found, gone, other)
        if read is not None:
            found.trained.append((PHASE_2, read[0]))
    found.trained.extend(targets)
    # A graph that is the encoder itself was not trained.
    found.trained[:] = [(name, each) for name, each in found.trained if each.losses]
    for path, names in gone.items():
        found.absent.append(f"no training curves of {', '.join(names)}: {path} has no such checkpoint")
    for path, names in other.items():
        found.absent.append(
            f"no training curves of {', '.join(names)}: what {path} has was trained again after this run"
        )
    return found


def _read(
    folder: Path, digest: str, found: _Found, gone: dict[Path, list[str]], other: dict[Path, list[str]]
) -> tuple[_Trained, str] | None:
    """Return what a checkpoint was trained by, and the digest of phase 2; None where it is another one, or gone.

    Args:
        folder: of the checkpoint.
        digest: of the one that the run used.
        found: gets a line where the file is damaged.
        gone: folder -> what it should have and has not; a run outlives them, by `harness gc` or elsewhere.
        other: the same of checkpoints with another digest.
    """
    name, place = (PHASE_2, folder) if folder.name == INTERMEDIATE else (folder.name, folder.parent)
    if not (folder / PHASE_FILE).is_file():
        gone.setdefault(place, []).append(name)
        return None
    try:
        checkpoint = read_metadata(folder)
    except CheckpointError as error:
        found.absent.append(f"no training curves of {name}: {error}")
        return None
    if checkpoint.digest != digest:
        other.setdefault(place, []).append(name)
        return None
    try:
        trained = msgspec.convert(dict(checkpoint.document), _Trained)
    except msgspec.ValidationError as error:
        found.absent.append(f"no training curves of {name}: {folder / PHASE_FILE} is damaged ({problem(error)})")
        return None
    return trained, checkpoint.metadata.parents.get(INTERMEDIATE, "")
