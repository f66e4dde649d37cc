"""The body of `harness export`: every target checkpoint of a model to graphs that Triton serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters.export import export_artifact
from exporters.variants import find_variant
from harness import finetunes, tasks
from harness.artifacts import Artifact
from harness.data import Layout
from harness.errors import CheckpointError, UsageError, nearest
from harness.machine import cores
from harness.progress import Progress
from harness.serving.config import Serving
from harness.serving.repository import publish, serves
from harness.task import AnyFinetune, Split
from harness.tokenizer import FastTokenizer
from harness.workspace import Workspace
from training.checkpoint import Checkpoint, is_complete, read_checkpoint

#: Rows that parity compares; two of each language and task, up to this many.
PROBES = 24


@dataclass(frozen=True, slots=True)
class Published:
    """One graph in the model repository."""

    artifact: Artifact
    version: int
    #: Whether it was not there before.
    written: bool


def export_model(
    model: str,
    variants: Sequence[str],
    workspace: Workspace,
    *,
    data: Path | None,
    force: bool,
    progress: Progress,
) -> list[Published]:
    """Export and publish every target checkpoint of a model.

    Args:
        model: the recipe's name.
        variants: names of variants; the recipe's where empty.
        workspace: where checkpoints are and graphs go.
        data: where the sentences of the parity check come from; the recipe's own data where None.
        force: export again what is there.
        progress: told of each graph.

    Raises:
        UsageError: no such model or variant.
        CheckpointError, ArtifactError: a checkpoint is damaged, or its graph differs from PyTorch.
    """
    checkpoints = _checkpoints(model, workspace)
    chosen = list(variants) or list(checkpoints[0].account["recipe"]["export"]["variants"])
    for variant in chosen:
        find_variant(variant)
    layout = workspace.layout(data, checkpoints[0].account["recipe"].get("data"))
    done = []
    with progress.step(f"{model}: export", len(checkpoints) * len(chosen), "graphs") as advance:
        for checkpoint in checkpoints:
            finetune = finetunes.load(checkpoint.account["finetune"])
            probes = probe_rows(finetune, layout, FastTokenizer(checkpoint.tokenizer))
            for variant in chosen:
                done.append(_one(checkpoint, finetune, variant, probes, workspace, force=force))
                advance(1)
    return done


def _checkpoints(model: str, workspace: Workspace) -> list[Checkpoint]:
    """Return the target checkpoints of a model, all of one ancestry."""
    folder = workspace.checkpoints / model / "target"
    complete = [path for path in sorted(folder.glob("*")) if is_complete(path)] if "/" not in model else []
    # A checkpoint that answers no task is a stage on the way to one that does.
    complete = [path for path in complete if tasks.answered_by(path.name)]
    if not complete:
        trained = sorted({path.parent.name for path in workspace.checkpoints.glob("*/target")})
        message = (
            f"no trained model {model!r} under {workspace.checkpoints}{nearest(model, trained)}; "
            f"make one with `harness train RECIPE`"
        )
        raise UsageError(message)
    checkpoints = [read_checkpoint(path) for path in complete]
    if len({tuple(sorted(checkpoint.account["parents"].items())) for checkpoint in checkpoints}) > 1:
        message = (
            f"the targets of {model!r} come from different parents; bring them up to date with `harness train RECIPE`"
        )
        raise CheckpointError(message)
    return checkpoints


def _one(
    checkpoint: Checkpoint,
    finetune: AnyFinetune,
    variant: str,
    probes: Sequence[NDArray[np.int64]],
    workspace: Workspace,
    *,
    force: bool,
) -> Published:
    model = checkpoint.account["model"]
    out = workspace.artifacts.directory(model, finetune.name, variant)
    artifact = export_artifact(checkpoint.directory, finetune, variant, out, probes, force=force)
    served = serves(artifact, workspace.model_repository)
    version = publish(
        artifact, workspace.model_repository, Serving(threads=cores()), probe_ids=artifact.manifest["probe"]
    )
    return Published(artifact, version, not served)


def probe_rows(finetune: AnyFinetune, layout: Layout, tokenizer: FastTokenizer) -> list[NDArray[np.int64]]:
    """Return token ids of real sentences: of every task and language the graph will answer, several lengths.

    Only inputs are read, labels play no part. From each file the shortest and the longest row of
    the first examples are taken, spread over the languages where there are too many.
    """
    rows: list[NDArray[np.int64]] = []
    for task in tasks.answered_by(finetune.name):
        for language in task.all_languages(None):
            split = _split_there(task.source, layout, language)
            if split is not None:
                examples = task.source.read(layout, language, split)[:16]
                if task.pool is not None:
                    examples += islice(task.pool.source.read(layout, split), 16)
                features = finetune.featurizer(examples, tokenizer)
                ordered = sorted((feature.input_ids for feature in features), key=len)
                rows += [ordered[0], ordered[-1]]
    if len({row.tobytes() for row in rows}) < 2:
        message = (
            f"{layout.xtreme} has no file of a task that {finetune.name!r} answers, and an export is checked on "
            f"real sentences; name a data folder with `--data`"
        )
        raise UsageError(message)
    spread = np.linspace(0, len(rows) - 1, min(PROBES, len(rows))).astype(int)
    return [rows[place] for place in spread]


def _split_there(source: object, layout: Layout, language: str) -> Split | None:
    for split in source.splits:  # type: ignore[attr-defined]
        if split != "train" and all(path.is_file() for path in source.paths(layout, language, split)):  # type: ignore[attr-defined]
            return split  # type: ignore[no-any-return]
    return None
