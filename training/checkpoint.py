"""Phase checkpoints on disk: written whole or not at all, verified on every read.

A checkpoint directory holds what transformers' `save_pretrained` writes (config.json,
model.safetensors), `tokenizer.json`, and `phase.json`: the digest of every file, the resolved
recipe, the parents' digests, data digests, seed, steps and versions. `harness.artifacts.checkpoint` reads it.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.artifacts.checkpoint import PHASE_FILE, Checkpoint, PhaseFile, is_complete, read_checkpoint
from harness.core.errors import CheckpointError
from harness.core.files import file_sha256, replace_folder

__all__ = ["PHASE_FILE", "Checkpoint", "Phase", "is_complete", "read_checkpoint", "saving", "write_checkpoint"]

Phase = Literal["pretrained", "intermediate", "target"]


def write_checkpoint(directory: Path, metadata: Mapping[str, Any], save: Callable[[Path], None]) -> Checkpoint:
    """Write a checkpoint atomically: `save` fills a temporary directory, which is then renamed.

    Args:
        directory: where the checkpoint goes; an older one there is replaced only at the end.
        metadata: the content of `phase.json` without the digests of the files; JSON values.
        save: writes the files into the directory it is given.

    Raises:
        CheckpointError: a number of the metadata is not finite.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        save(draft)
        files = {path.name: file_sha256(path) for path in sorted(draft.iterdir())}
        complete = {"format": PhaseFile.newest, **metadata, "files": files}
        _check_finite(complete)
        written = Checkpoint.of(directory, complete)
        with (draft / PHASE_FILE).open("w", encoding="utf-8") as stream:
            json.dump(complete, stream, indent=1, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(0o755)
        older = draft.with_name(f"{draft.name}-older")
        replace_folder(directory, draft, older)
        shutil.rmtree(older, ignore_errors=True)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return written


def _check_finite(metadata: Mapping[str, Any]) -> None:
    """Refuse numbers that JSON does not have: the file could not be read again."""
    for key, value in metadata.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            message = (
                f"training of {metadata.get('model')!r} diverged: {key} holds NaN or infinity, so no checkpoint is "
                "written; lower the learning rate in the recipe and run `harness train` again"
            )
            raise CheckpointError(message) from error


def saving(model: Any, parent: Checkpoint) -> Callable[[Path], None]:
    """Return what fills a checkpoint's directory: a model's weights, and its parent's tokenizer."""

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        shutil.copyfile(parent.tokenizer, folder / "tokenizer.json")

    return save
