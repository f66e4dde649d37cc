"""Finished runs of a workspace: found by folder, by name, as MODEL, or as MODEL@VARIANT."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.artifacts.run import SCORES, RunRecord, read_run
from harness.artifacts.workspace import Workspace
from harness.core.errors import HarnessError, UsageError, nearest
from harness.evaluation.request import JOURNAL

#: How `harness train --seed N` names a model beside the recipe's own.
_SEED = re.compile(r"\.seed\d+$")
#: Phases whose encoder a name may mean, as in ``mixed_ru@pretrained``.
PRETRAINED, INTERMEDIATE = "pretrained", "intermediate"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run with its record."""

    path: Path
    record: RunRecord

    @property
    def name(self) -> str:
        """Return the model with its variant: ``mixed_ru@fp32``."""
        return f"{self.record.model}@{self.record.variant}"

    @property
    def recipe(self) -> str:
        """Return the name without the seed: runs of one recipe have the same."""
        return f"{_SEED.sub('', self.record.model)}@{self.record.variant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The runs of a workspace."""

    #: Newest first.
    finished: Sequence[FinishedRun]
    #: Folders with answers and no scores: stopped, or still going.
    unfinished: Sequence[Path]
    #: What is wrong with the records that cannot be read.
    damaged: Sequence[str]


def all_runs(workspace: Workspace) -> Found:
    """Return the runs below `runs/` of a workspace, and what else lies there."""
    finished, unfinished, damaged = [], [], []
    folders = sorted({path.parent for name in (SCORES, JOURNAL) for path in _below(workspace.runs, name)})
    for folder in folders:
        if not (folder / SCORES).is_file():
            unfinished.append(folder)
            continue
        try:
            finished.append(FinishedRun(folder, read_run(folder)))
        except HarnessError as error:
            damaged.append(str(error))
    finished.sort(key=lambda run: (run.record.provenance.created, run.path.name), reverse=True)
    return Found(finished=finished, unfinished=unfinished, damaged=damaged)


def _below(folder: Path, name: str) -> Iterator[Path]:
    # `--output FOLDER` of several models makes a folder for each below it.
    yield from folder.glob(f"*/{name}")
    yield from folder.glob(f"*/*/{name}")


def newest(runs: Iterable[FinishedRun]) -> list[FinishedRun]:
    """Return the newest run of each model and variant, in the order given (newest first)."""
    found: dict[str, FinishedRun] = {}
    for run in runs:
        found.setdefault(run.name, run)
    return list(found.values())


def named(runs: Sequence[FinishedRun]) -> list[str]:
    """Return how the runs are called: with their folders where model and variant are the same."""
    names = [run.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.path.name})" for name, run in zip(names, runs, strict=True)
    ]


def find(names: Sequence[str], workspace: Workspace, *, seeds: bool = False) -> tuple[list[FinishedRun], list[str]]:
    """Return the runs that are named, and a line for each that was chosen by its model's name.

    Args:
        names: folders, names below `runs/`, models, or MODEL@VARIANT.
        workspace: where they are.
        seeds: a model stands for the newest run of each of its seeds.

    Raises:
        UsageError: there is no such run, it is not finished, or its record is damaged.
    """
    known: Found | None = None
    found: dict[Path, FinishedRun] = {}
    remarks: list[str] = []
    for name in names:
        given = Path(name).parent if Path(name).name == SCORES else Path(name)
        folder = next((path for path in (given, workspace.runs / given) if _holds_run(path)), None)
        if folder is not None:
            found.setdefault(folder.resolve(), FinishedRun(folder, read_run(_finished(folder))))
            continue
        known = known or all_runs(workspace)
        for run in _of_model(name, known, workspace, seeds=seeds):
            found.setdefault(run.path.resolve(), run)
            remarks.append(f"{name}: its newest finished run is {run.path}, of {run.record.provenance.created}")
    return list(found.values()), remarks


def _holds_run(folder: Path) -> bool:
    return (folder / SCORES).is_file() or (folder / JOURNAL).is_file()


def _finished(folder: Path) -> Path:
    if not (folder / SCORES).is_file():
        message = (
            f"run {folder} is not finished, it has answers and no scores; finish it with "
            f"`harness eval --output {folder} ...`, as it was started"
        )
        raise UsageError(message)
    return folder


def _phase_of(name: str, workspace: Workspace) -> tuple[str, str]:
    """Return model and variant that a name means; the variant may be a phase instead, whose encoder is meant.

    Raises:
        UsageError: the model has no phase 2.
    """
    model, _, variant = name.partition("@")
    if variant == PRETRAINED:
        seed = _SEED.search(model)
        end = seed[0] if seed else ""
        return f"{model.removesuffix(end)}.{PRETRAINED}{end}", ""
    if variant == INTERMEDIATE:
        if any(artifact.checkpoint.mix is None for artifact in workspace.artifacts.of(model)):
            message = (
                f"model {model!r} has no phase 2, so that there is no {name!r}; its encoder is that of phase 1, "
                f"`{model}@{PRETRAINED}`"
            )
            raise UsageError(message)
        # What it answers without training of phase 3 is answered by the encoder of phase 2.
        return model, ""
    return model, variant


def _of_model(name: str, known: Found, workspace: Workspace, *, seeds: bool) -> list[FinishedRun]:
    """Return the newest run of a model, or of each of its seeds."""
    model, variant = _phase_of(name, workspace)
    own = [
        run
        for run in known.finished
        if variant in ("", run.record.variant)
        and (run.record.model == model or (seeds and run.recipe == f"{model}@{run.record.variant}"))
    ]
    if seeds and own:
        # Seeds of several variants are several recipes; without a variant that of the newest run counts.
        own = [run for run in own if run.record.variant == own[0].record.variant]
    if own:
        return newest(own) if seeds else own[:1]
    stopped = [path for path in known.unfinished if path.name.startswith(f"{model}-")]
    if stopped:
        _finished(stopped[0])
    there = [*dict.fromkeys(run.name for run in known.finished), *(run.path.name for run in known.finished)]
    if name.endswith(f"@{PRETRAINED}"):
        message = (
            f"{name!r} is no finished run, here or under {workspace.runs}; "
            f"`harness train RECIPE --phase {PRETRAINED} --export`, with the recipe of {name.partition('@')[0]!r}, "
            f"makes the model {model}, and `harness eval --model {model} --tasks tatoeba,bucc2018` its run"
        )
        raise UsageError(message)
    message = (
        f"{name!r} is no finished run, here or under {workspace.runs}{nearest(name, there)}; "
        f"`harness leaderboard` lists the runs, `harness eval --model {model}` makes one"
    )
    if known.damaged:
        message += f" ({len(known.damaged)} records are damaged: {known.damaged[0]})"
    raise UsageError(message)
