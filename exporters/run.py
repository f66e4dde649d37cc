"""The body of `harness export`: every target checkpoint of a model to graphs that Triton serves."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from exporters.export import GateRefusal, export_artifact
from exporters.samples import GateSample, probe_rows, read_samples, split_there
from exporters.servers import TooOld, check_container, find_container, needs
from exporters.variants import find_variant
from harness.artifacts.adapted import adapt_finetune
from harness.artifacts.store import Artifact
from harness.artifacts.workspace import Workspace
from harness.benchmark import finetunes, tasks
from harness.core.errors import ArtifactError, CheckpointError, UsageError, nearest
from harness.core.heads import is_retrieval
from harness.core.layout import Layout
from harness.core.machine import cores
from harness.core.progress import Progress, counted
from harness.core.task import AnyFinetune
from harness.serving.repository.check import serves
from harness.serving.repository.config import Device, Serving
from harness.serving.repository.store import publish
from harness.serving.repository.text_model import text_model
from harness.tokenization.tokenizer import FastTokenizer
from training.checkpoint import Checkpoint, is_complete, read_checkpoint


@dataclass(frozen=True, slots=True)
class Published:
    """One graph in the model repository."""

    artifact: Artifact
    version: int
    #: Whether it was not there before.
    written: bool

    @property
    def state(self) -> str:
        """Return what became of it, in words."""
        return f"version {self.version}, {'written' if self.written else 'unchanged'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The options of `harness export`."""

    #: Names of variants; the recipe's where empty.
    variants: tuple[str, ...] = ()
    #: Names of graphs; every trained one where empty, of which some variants leave out retrieval.
    finetunes: tuple[str, ...] = ()
    #: Export again what is there.
    force: bool = False
    #: Why graphs that the gate refuses are published all the same.
    accept_drift: str | None = None
    #: Release of NVIDIA's container that will serve the graphs; not checked where None.
    container: str | None = None
    #: What Triton computes on, as the published configs say.
    device: Device = "cpu"

    def check(self) -> None:
        """Refuse what is wrong before anything is read.

        Raises:
            UsageError: no such variant, container or device, or a reason that is none.
        """
        for variant in self.variants:
            find_variant(variant)
        if self.device not in get_args(Device):
            message = f"no device {self.device!r}{nearest(self.device, get_args(Device))}; it is cpu or gpu"
            raise UsageError(message)
        if self.container is not None:
            find_container(self.container)
        if self.accept_drift is not None and not self.accept_drift.strip():
            message = "`--accept-drift` is blank; say why a graph that drifted is published, it is recorded"
            raise UsageError(message)


def export_model(
    model: str, wanted: Wanted, workspace: Workspace, *, data: Path | None, progress: Progress
) -> list[Published]:
    """Export and publish every target checkpoint of a model.

    Args:
        model: the recipe's name.
        wanted: variants, graphs, and what to do where the gate refuses.
        workspace: where checkpoints are and graphs go.
        data: where the sentences of the checks come from; the recipe's own data where None.
        progress: shows each graph as it is done, with the time that is left, and what was left out.

    Raises:
        UsageError: no such model, variant, graph or container.
        CheckpointError, ArtifactError: a checkpoint is damaged, or the gate refuses its graph; the graphs
            that it lets pass are published before.
    """
    wanted.check()
    checkpoints = _checkpoints(model, workspace)
    variants = list(wanted.variants) or checkpoints[0].metadata.variants
    chosen = [
        (checkpoint, variant) for checkpoint in _named(checkpoints, wanted.finetunes, model) for variant in variants
    ]
    left_out = [] if wanted.finetunes else [pair for pair in chosen if _is_left_out(*pair)]
    chosen = [pair for pair in chosen if pair not in left_out]
    for checkpoint, variant in left_out:
        name = finetune_of(checkpoint)
        progress.say(f"{model}: {name} stays fp32, as it is searched; `--finetune {name}` makes it in {variant} too")
    layout = workspace.layout(data, checkpoints[0].metadata.data)
    if not wanted.finetunes:
        chosen = list(_with_data(chosen, layout, progress))
    done: list[Published] = []
    refused: list[GateRefusal] = []
    checks: dict[str, _Checks] = {}
    begin = time.monotonic()
    progress.say(f"{model}: {counted(len(chosen), 'graphs')}, each exported, compared with PyTorch and published")
    with progress.step(f"{model}: export", len(chosen), "graphs") as advance:
        for number, (checkpoint, variant) in enumerate(chosen, start=1):
            finetune = adapted(checkpoint)
            if finetune.name not in checks:
                tokenizer = FastTokenizer(checkpoint.tokenizer)
                checks = {finetune.name: _Checks(finetune, layout, tokenizer)}
            name = f"{model}-{finetune.name}-{variant}"
            try:
                done.append(_one(checkpoint, finetune, variant, checks[finetune.name], workspace, wanted))
                state = done[-1].state
            except GateRefusal as error:
                refused.append(error)
                state = "refused"
            progress.say(f"{name}: {state} ({_time_line(number, len(chosen), time.monotonic() - begin)})")
            advance(1)
    if refused:
        raise ArtifactError(summary(done, refused))
    return done


def _time_line(number: int, total: int, seconds: float) -> str:
    """Return how far an export is, and about how long the rest takes if it is like what was done."""
    left = f", about {seconds / number * (total - number):.0f} s left" if number < total else ""
    return f"{number} of {total}, {seconds:.0f} s{left}"


def summary(done: Sequence[Published], refused: Sequence[GateRefusal]) -> str:
    """Return what an export with refusals came to: ``5 int8 graphs published, 1 refused: pawsx (why); advice``."""
    counts = Counter(each.artifact.variant for each in done)
    published = " and ".join(f"{count} {variant}" for variant, count in counts.items())
    several = len({error.variant for error in refused} | counts.keys()) > 1
    reasons = ", ".join(
        f"{error.finetune}{f' in {error.variant}' if several else ''} ({error.reason})" for error in refused
    )
    advice = refused[0].advice if len(refused) == 1 else f"for {refused[0].finetune}: {refused[0].advice}"
    graphs = "graph" if len(done) == 1 else "graphs"
    return f"{published or 'no'} {graphs} published, {len(refused)} refused: {reasons}; {advice}"


def _with_data(
    chosen: Sequence[tuple[Checkpoint, str]], layout: Layout, progress: Progress
) -> Iterator[tuple[Checkpoint, str]]:
    """Yield what there is data to check with; of a model that was added, the encoder answers tasks that nobody named.

    Where there is data for none of them, all are left, so that the export says what is missing.
    """
    there = {
        finetune_of(checkpoint): checkpoint.metadata.origin is None
        or checkpoint.metadata.steps is not None
        or any(
            split_there(task, layout, code)
            for task in tasks.answered_by(finetune_of(checkpoint))
            for code in task.all_languages(None)
        )
        for checkpoint, _ in chosen
    }
    for checkpoint, variant in chosen:
        name = finetune_of(checkpoint)
        if there[name] or not any(there.values()):
            yield checkpoint, variant
        else:
            progress.say(
                f"{checkpoint.metadata.model}: {name} is not exported in {variant}, as {layout.xtreme} has no file of "
                f"its tasks; `harness export --model {checkpoint.metadata.model} --data DIR` makes it with a folder "
                f"that has them"
            )


class _Checks:
    """The sentences that the graphs of one finetune are checked on."""

    def __init__(self, finetune: AnyFinetune, layout: Layout, tokenizer: FastTokenizer) -> None:
        self.probes: Sequence[NDArray[np.int64]] = probe_rows(finetune, layout, tokenizer)
        self._read = partial(read_samples, finetune, layout, tokenizer)
        self._samples: dict[int, Sequence[GateSample]] = {}

    def samples(self, count: int) -> Sequence[GateSample]:
        """Return so many examples of each task and script, read once."""
        if count not in self._samples:
            self._samples[count] = self._read(count)
        return self._samples[count]


def _named(checkpoints: Sequence[Checkpoint], names: Sequence[str], model: str) -> list[Checkpoint]:
    there = {finetune_of(checkpoint): checkpoint for checkpoint in checkpoints}
    for name in names:
        if name not in there:
            message = f"model {model!r} has no graph {name!r}{nearest(name, there)}; it has {', '.join(there)}"
            raise UsageError(message)
    return [there[name] for name in names] or list(checkpoints)


def finetune_of(checkpoint: Checkpoint) -> str:
    """Return the training set of a target checkpoint.

    Raises:
        CheckpointError: it has none, so it is no checkpoint of phase 3.
    """
    name = checkpoint.metadata.finetune
    if name is None:
        message = f"{checkpoint.directory} names no training set; delete it and run `harness train` again"
        raise CheckpointError(message)
    return name


def adapted(checkpoint: Checkpoint) -> AnyFinetune:
    """Return the training set of a target checkpoint as the checkpoint answers it."""
    recorded = checkpoint.metadata
    return adapt_finetune(finetunes.load(finetune_of(checkpoint)), recorded.head, recorded)


def _is_left_out(checkpoint: Checkpoint, variant: str) -> bool:
    retrieval = is_retrieval(finetunes.load(finetune_of(checkpoint)).head)
    return retrieval and not find_variant(variant).retrieval


def _checkpoints(model: str, workspace: Workspace) -> list[Checkpoint]:
    """Return the target checkpoints of a model, all of one ancestry."""
    folder = workspace.checkpoints / model / "target"
    complete = [path for path in sorted(folder.glob("*")) if is_complete(path)] if "/" not in model else []
    # A checkpoint that answers no task is a stage on the way to one that does.
    complete = [path for path in complete if tasks.answered_by(path.name)]
    if not complete:
        trained = sorted({path.parent.name for path in workspace.checkpoints.glob("*/target")})
        if model in trained:
            message = (
                f"model {model!r} has no finished checkpoint under {folder} that answers a task; "
                f"finish its phase 3 with `harness train RECIPE`"
            )
            raise UsageError(message)
        message = (
            f"no trained model {model!r} under {workspace.checkpoints}{nearest(model, trained)}; "
            f"make one with `harness train RECIPE`"
        )
        raise UsageError(message)
    checkpoints = [read_checkpoint(path) for path in complete]
    if len({tuple(sorted(checkpoint.metadata.parents.items())) for checkpoint in checkpoints}) > 1:
        message = (
            f"the targets of {model!r} come from different parents; bring them up to date with `harness train RECIPE`"
        )
        raise CheckpointError(message)
    return checkpoints


def _one(
    checkpoint: Checkpoint,
    finetune: AnyFinetune,
    variant: str,
    checks: _Checks,
    workspace: Workspace,
    wanted: Wanted,
) -> Published:
    model = checkpoint.metadata.model
    out = workspace.artifacts.directory(model, finetune.name, variant)
    artifact = export_artifact(
        checkpoint.directory,
        finetune,
        variant,
        out,
        checks.probes,
        checks.samples(find_variant(variant).examples),
        accept_drift=wanted.accept_drift,
        force=wanted.force,
    )
    if wanted.container is not None:
        try:
            check_container(needs(artifact.graph), wanted.container)
        except TooOld as error:
            advice = "choose another variant or a newer container"
            raise GateRefusal(finetune.name, variant, str(error), advice) from error
    served = serves(artifact, workspace.model_repository)
    version = publish(
        artifact,
        workspace.model_repository,
        Serving(threads=cores(), device=wanted.device),
        probe_ids=artifact.manifest.probe,
        text=text_model,
    )
    return Published(artifact, version, not served)
