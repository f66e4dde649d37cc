"""Units of the experiment: one arm with one seed is trained, exported, evaluated and recorded, then its files go.

A unit is a series of ordinary commands in a workspace of its own: `harness train`, `harness export`, `harness eval`.
Stopped in between it goes on where it stopped; a record that is there is never made again.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from benchmarks.answer import records
from benchmarks.answer.data import ACCOUNT
from benchmarks.answer.declaration import ARMS, SAMPLE_SEED, TARGETS, ScoredTask, digest, units
from benchmarks.core.report import machine_line
from harness.artifacts.checkpoint import Checkpoint, read_metadata
from harness.artifacts.run import read_run
from harness.artifacts.workspace import Workspace
from harness.core.errors import HarnessError, UsageError
from harness.core.files import write_json
from harness.evaluation.provenance import commit

RECIPES = Path(__file__).parents[2] / "recipes" / "answer"
RECORDS = Path(__file__).with_name("records")
#: The graphs that answer the targets.
FINETUNES = ("mnli", "squad", "udpos", "copa", "encoder")


class UnitError(HarnessError):
    """A command of a unit failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a unit."""

    arguments: tuple[str, ...]
    log: str


def declared() -> str:
    """Return the SHA-256 of what was declared, recipes included."""
    return digest({name: (RECIPES / f"{name}.toml").read_text(encoding="utf-8") for name in ARMS})


def pending(folder: Path, *, arms: Sequence[str] = ()) -> list[tuple[str, int]]:
    """Return the units without a record, in their order.

    Args:
        folder: of the records.
        arms: only these; all where empty.
    """
    done = {(record.file.arm, record.file.seed) for record in records.read_records(folder, declared())}
    return [(arm, seed) for arm, seed in units() if (arm, seed) not in done and (not arms or arm in arms)]


def run(arm: str, seed: int, data: Path, workspace: Path, folder: Path, *, keep: bool = False) -> Path:
    """Run one unit, and return its record's file.

    Args:
        arm: as declared.
        seed: as declared.
        data: what `prepare` wrote.
        workspace: where checkpoints, graphs and runs are while the unit runs; the public encoder stays there.
        folder: of the records.
        keep: leave checkpoints, graphs and runs.

    Raises:
        UsageError: the data folder was not prepared for this seed.
        UnitError: a command of the unit failed; its log says why.
    """
    prepared = data / f"seed-{seed}"
    if not (prepared / ACCOUNT).is_file():
        message = (
            f"{prepared} has no {ACCOUNT}; make it with `harness bench answer prepare --data DEST --output {data}`"
        )
        raise UsageError(message)
    workspace.mkdir(parents=True, exist_ok=True)
    model = f"answer_{arm}.seed{seed}"
    outputs = {target.task: workspace / "runs" / f"{model}-{target.task}" for target in TARGETS}
    for step in _steps(arm, seed, model, prepared, outputs):
        _call(step, workspace, model)
    seconds = _seconds(workspace, model)
    record = _record(arm, seed, model, prepared, workspace, outputs, seconds)
    path = records.write_record(folder, record)
    if not keep:
        for part in ("checkpoints", "artifacts"):
            shutil.rmtree(workspace / part / model, ignore_errors=True)
        for output in outputs.values():
            shutil.rmtree(output, ignore_errors=True)
        for published in (workspace / "model_repository").glob(f"{model}-*"):
            shutil.rmtree(published)
    return path


def _steps(arm: str, seed: int, model: str, prepared: Path, outputs: Mapping[str, Path]) -> list[Step]:
    recipe = RECIPES / f"{arm}.toml"
    steps = [
        Step(("train", str(recipe), "--seed", str(seed), "--data", str(prepared)), "train"),
        Step(("export", "--model", model, "--data", str(prepared)), "export"),
    ]
    return steps + [
        Step(_evaluation(target, model, prepared, outputs[target.task]), f"eval-{target.task}") for target in TARGETS
    ]


def _evaluation(target: ScoredTask, model: str, prepared: Path, output: Path) -> tuple[str, ...]:
    sampled: tuple[str, ...] = (
        () if target.sample is None else ("--sample", str(target.sample), "--sample-seed", str(SAMPLE_SEED))
    )
    sampled += ("--protocol", f"{target.task}={target.protocol}") if target.protocol else ()
    where = ("--data", str(prepared), "--endpoint", "onnx", "--no-tuning", "--output", str(output))
    what = ("--tasks", target.task, "--languages", ",".join(target.languages), "--split", target.split)
    return ("eval", "--model", model, *what, *sampled, *where)


def _call(step: Step, workspace: Path, model: str) -> None:
    logs = workspace / "logs"
    logs.mkdir(exist_ok=True)
    path = logs / f"{model}-{step.log}.log"
    command = [sys.executable, "-m", "harness", *step.arguments]
    begin = time.perf_counter()
    with path.open("a", encoding="utf-8") as log:
        ended = subprocess.run(command, cwd=workspace, stdout=log, stderr=log, check=False, env=dict(os.environ))
    # A step that was stopped and goes on takes both times.
    known = _seconds(workspace, model)
    known[step.log] = known.get(step.log, 0.0) + time.perf_counter() - begin
    write_json(logs / f"{model}-seconds.json", known)
    if ended.returncode:
        last = path.read_text(encoding="utf-8").strip().rpartition("\n")[2]
        message = (
            f"{' '.join(step.arguments[:3])} failed: {last}; {path} has the whole output, and the same command goes on"
        )
        raise UnitError(message)


def _seconds(workspace: Path, model: str) -> dict[str, float]:
    """Return the seconds that each step of a unit has taken so far."""
    path = workspace / "logs" / f"{model}-seconds.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _record(
    arm: str,
    seed: int,
    model: str,
    prepared: Path,
    workspace: Path,
    outputs: Mapping[str, Path],
    seconds: Mapping[str, float],
) -> records.UnitFile:
    place = Workspace(workspace)
    runs = {task: read_run(output) for task, output in outputs.items()}
    trained = {
        path.parent.name: read_metadata(path.parent)
        for path in sorted((workspace / "checkpoints" / model).rglob("phase.json"))
    }
    made = json.loads((prepared / ACCOUNT).read_text(encoding="utf-8"))
    rows = made["arms"].get(arm, {})
    return records.UnitFile(
        arm=arm,
        seed=seed,
        declaration=declared(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        training={name: _cost(each) for name, each in trained.items() if "losses" in each.document},
        rows={name: {key: part[key] for key in ("rows", "tokens")} for name, part in rows.items()},
        evaluated=round(sum(each.padding["useful_tokens"] for each in runs.values())),
        seconds={name: round(value, 1) for name, value in seconds.items()},
        machine=machine_line(),
        versions=next(iter(trained.values())).metadata.packages,
        commit=str(commit()["commit"]),
        protocols={task: each.tasks[task].protocol for task, each in runs.items()},
        rows_sha256=sha256((prepared / ACCOUNT).read_bytes()).hexdigest(),
        warnings=[warning.text for each in runs.values() for warning in each.warnings],
        tasks=records.packed([cell for output in outputs.values() for cell in records.cells_of(output, place)]),
    )


def _cost(checkpoint: Checkpoint) -> records.PhaseCost:
    """Return what a phase computed, as its `phase.json` says."""
    document = checkpoint.document
    losses = [each["loss"] for each in document["losses"]]
    computed, rates = document["computed"], document["recipe"]
    rate = document.get("hyperparameters", rates["intermediate"] or {}).get("learning_rate", 0.0)
    last = losses[-max(1, len(losses) // 10) :]
    return records.PhaseCost(
        steps=document["steps"],
        learning_rate=float(rate),
        precision=computed["precision"],
        padding=max(computed["padding"].values(), default=1.0),
        loss=round(sum(last) / len(last), 4),
    )
