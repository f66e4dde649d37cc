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
from exporters.gate import SMALL, Tolerance
from exporters.modules import decision_of
from exporters.samples import GateSample, probe_rows, read_samples, split_there
from exporters.servers import TooOld, check_container, find_container, needs
from exporters.variants import find_variant
from harness.artifacts.adapted import adapt_finetune
from harness.artifacts.gate import GATE, GateRecord, read_gate
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
    export = _Export(workspace, layout, wanted, progress, len(chosen))
    progress.say(f"{model}: {counted(len(chosen), 'graphs')}, each exported, compared with PyTorch and published")
    with progress.step(f"{model}: export", len(chosen), "graphs") as advance:
        for checkpoint, variant in chosen:
            export.run(checkpoint, variant)
            advance(1)
    export.run_small()
    controls = set(checkpoints[0].metadata.recipe.export.negative_controls)
    for error in export.refused:
        if error.at_chance and error.finetune in controls:
            progress.say(
                f"{model}-{error.finetune}-{error.variant}: refused, as the recipe expects of a negative control"
            )
    refused = [error for error in export.refused if not (error.at_chance and error.finetune in controls)]
    if refused:
        raise ArtifactError(summary(export.done, refused))
    return export.done


class _Export:
    """The graphs of one model, one after another."""

    def __init__(self, workspace: Workspace, layout: Layout, wanted: Wanted, progress: Progress, total: int) -> None:
        self.done: list[Published] = []
        self.refused: list[GateRefusal] = []
        self._small: list[tuple[Checkpoint, GateRefusal]] = []
        self._checks: tuple[str, _Checks] | None = None
        self._workspace, self._layout, self._wanted, self._progress = workspace, layout, wanted, progress
        self._total, self._finished, self._begin = total, 0, time.monotonic()

    def run(self, checkpoint: Checkpoint, variant: str) -> None:
        """Export and publish one graph, or note why not."""
        try:
            published = self._one(checkpoint, variant, ())
        except GateRefusal as error:
            if error.too_small:
                self._small.append((checkpoint, error))
            else:
                self.refused.append(error)
            state = "too few examples to judge by themselves" if error.too_small else "refused"
        else:
            self.done.append(published)
            state = published.state
        self._finished += 1
        line = _time_line(self._finished, self._total, time.monotonic() - self._begin)
        self._progress.say(f"{checkpoint.metadata.model}-{finetune_of(checkpoint)}-{variant}: {state} ({line})")

    def run_small(self) -> None:
        """Give graphs whose tasks are too small the verdict of the same model's larger ones in the same variant."""
        for checkpoint, error in self._small:
            model = checkpoint.metadata.model
            larger = _larger(self._workspace, checkpoint, error.variant)
            if not larger:
                self.refused.append(error)
                continue
            self.done.append(self._one(checkpoint, error.variant, larger))
            self._progress.say(
                f"{model}-{error.finetune}-{error.variant}: {self.done[-1].state}, with the verdict on "
                f"{', '.join(larger)}, as its own tasks have too few examples"
            )

    def _one(self, checkpoint: Checkpoint, variant: str, taken_over: Sequence[str]) -> Published:
        finetune = adapted(checkpoint)
        if self._checks is None or self._checks[0] != finetune.name:
            tokenizer = FastTokenizer(checkpoint.tokenizer)
            self._checks = finetune.name, _Checks(finetune, self._layout, tokenizer)
        return _one(
            checkpoint, finetune, variant, self._checks[1], self._workspace, self._wanted, taken_over, self._progress
        )


def _larger(workspace: Workspace, checkpoint: Checkpoint, variant: str) -> list[str]:
    """Return the model's other graphs in a variant that showed what they lose; none if one of them was refused.

    A model at chance neither shows nor refuses anything. Verdicts on other checkpoints do not count.
    """
    model = checkpoint.metadata.model
    digests = {finetune_of(other): other.digest for other in _checkpoints(model, workspace)}
    shown = []
    for finetune, digest in sorted(digests.items()):
        folder = workspace.artifacts.directory(model, finetune, variant)
        for place in (folder.with_name(f"{folder.name}.refused"), folder):
            record = read_gate(place / GATE, model)
            if record is None or record.checkpoint != digest or record.overall is None or record.taken_over:
                continue
            if record.passed:
                shown.append(finetune)
            elif record.trained is not None and record.trained.above_chance and not _is_small(record):
                return []
    return shown


def _is_small(record: GateRecord) -> bool:
    return sum(script.examples for script in record.scripts.values()) < SMALL


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
        self._decision = decision_of(finetune.head)
        self._samples: dict[bool, Sequence[GateSample]] = {}

    def samples(self, tolerance: Tolerance) -> Sequence[GateSample]:
        """Return the examples that a variant is judged on, read once for each kind of tolerance."""
        equal = tolerance.margins is None
        if equal not in self._samples:
            self._samples[equal] = self._read(tolerance.wanted(self._decision), each_task=equal)
        return self._samples[equal]


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
    taken_over: Sequence[str],
    progress: Progress,
) -> Published:
    model = checkpoint.metadata.model
    out = workspace.artifacts.directory(model, finetune.name, variant)
    artifact = export_artifact(
        checkpoint.directory,
        finetune,
        variant,
        out,
        checks.probes,
        checks.samples(find_variant(variant).tolerance),
        accept_drift=wanted.accept_drift,
        taken_over=taken_over,
        force=wanted.force,
        cache=workspace.answers,
        progress=progress,
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
