"""`harness add`: an encoder or fine-tuned networks that were trained elsewhere, as checkpoints of a model.

Everything is checked before anything is written: weights tensor by tensor, tokenizers, label names. What is
written is then exported, evaluated, served and verified as a trained model is.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from harness.artifacts.checkpoint import PHASE_FILE, OriginRecord, read_metadata
from harness.artifacts.workspace import Workspace
from harness.core.errors import CheckpointError, UsageError
from harness.core.files import link_or_copy
from harness.core.progress import Progress
from harness.core.records import to_json
from harness.core.version import packages
from harness.evaluation.provenance import commit
from training.adding_networks import Target, check_tokenizers, encoder_targets, fetch, head_target, with_exposure
from training.adding_request import AddRequest, check_request, read_exposure, read_heads
from training.checkpoint import Checkpoint, write_checkpoint
from training.experiment import LOADING, identity_of


def add(request: AddRequest, workspace: Workspace, progress: Progress) -> list[Checkpoint]:
    """Write the target checkpoints of a model that was trained elsewhere; equal ones that are there stay.

    Raises:
        UsageError: a name, an option or a label name is wrong.
        DataError: the file of `trained_on` is missing or malformed.
        CheckpointError: a checkpoint is not whole, of another head, or its tokenizer does not fit.
    """
    check_request(request)
    declared = read_exposure(request.trained_on)
    heads = read_heads(request)
    fetch(request, heads, progress)
    with progress.step(f"{request.name}: checking", 1 + len(heads), "checkpoints") as advance:
        made = encoder_targets(request, workspace, progress)
        advance(1)
        for name, place in heads.items():
            made.append(head_target(name, place, request, declared))
            advance(1)
    made = [with_exposure(target, declared) for target in made]
    check_tokenizers(request.name, made)
    return _write(request, made, workspace, progress)


def _write(request: AddRequest, made: Sequence[Target], workspace: Workspace, progress: Progress) -> list[Checkpoint]:
    """Write the checkpoints that are not there: all of them or none."""
    root = workspace.checkpoints / request.name
    keys = {target.finetune.name: _key(target) for target in made}
    there = _present(request.name, root, keys, made[0].tokenizer)
    workspace.checkpoints.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{request.name}-", dir=workspace.checkpoints))
    written: list[Path] = []
    try:
        files: dict[int, Path] = {}
        for target in made:
            name = target.finetune.name
            if name in there:
                progress.say(f"{request.name}: {name} is there")
                continue
            # Targets with one network share its files.
            save = _saving(target, files.get(id(target.network)))
            made_there = write_checkpoint(draft / name, _metadata(request, target, keys[name]), save)
            files.setdefault(id(target.network), made_there.directory)
            written.append(made_there.directory)
        (root / "target").mkdir(parents=True, exist_ok=True)
        for path in written:
            path.rename(root / "target" / path.name)
    except (OSError, SafetensorError) as error:
        message = f"checkpoints of {request.name!r} cannot be written ({error}); free space and add it again"
        raise CheckpointError(message) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [read_metadata(root / "target" / target.finetune.name) for target in made]


def _present(name: str, root: Path, keys: Mapping[str, str], tokenizer: str) -> set[str]:
    """Return the training sets whose equal checkpoints are there.

    Raises:
        UsageError: other checkpoints of this name are there.
    """
    there = set()
    for path in sorted(root.glob(f"**/{PHASE_FILE}")):
        found = read_metadata(path.parent)
        finetune = found.metadata.finetune
        if found.metadata.origin is None or found.metadata.parents or finetune is None:
            message = f"model {name!r} was trained here; add this one under another name"
            raise UsageError(message)
        if found.tokenizer.read_text(encoding="utf-8") != tokenizer:
            message = f"model {name!r} is there with another tokenizer; add this one under another name"
            raise UsageError(message)
        if finetune in keys and found.metadata.key != keys[finetune]:
            message = (
                f"model {name!r} is there with another {finetune}; add this one under another name, "
                f"or delete {path.parent} first"
            )
            raise UsageError(message)
        there |= {finetune} & keys.keys()
    return there


def _key(target: Target) -> str:
    """Return the identity of a checkpoint; the data that it is checked on do not change it."""
    return identity_of(
        "added",
        target.finetune.name,
        target.head,
        to_json(target.weights.origin),
        target.tokenizer,
        dict(target.more),
    )


def _metadata(request: AddRequest, target: Target, key: str) -> dict[str, Any]:
    origin: OriginRecord = target.weights.origin
    return {
        "phase": "target",
        "model": request.name,
        "key": key,
        "parents": {},
        "recipe": {"name": request.name, "data": request.data, "export": {"variants": list(request.variants)}},
        "finetune": target.finetune.name,
        "head": dict(target.head),
        "origin": to_json(origin),
        # Every tensor was compared just now.
        "loading": LOADING,
        "packages": packages(),
        "git": commit(),
        **{name: value for name, value in target.more.items() if value is not None},
    }


def _saving(target: Target, other: Path | None) -> Callable[[Path], None]:
    """Return what fills a checkpoint's folder; `other` has the same network already."""

    def save(folder: Path) -> None:
        if other is not None:
            for path in other.iterdir():
                if path.name != PHASE_FILE:
                    link_or_copy(path, folder / path.name)
            return
        target.network().save_pretrained(folder)
        (folder / "tokenizer.json").write_text(target.tokenizer, encoding="utf-8")

    return save
