"""Phase checkpoints on disk: written whole or not at all, verified on every read.

A checkpoint directory holds what transformers' `save_pretrained` writes (config.json,
model.safetensors), `tokenizer.json`, and `phase.json`: the digest of every file, the resolved
recipe, the parents' digests, data digests, seed, steps and versions.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from harness.artifacts import file_sha256
from harness.errors import CheckpointError

PHASE_FILE = "phase.json"
Phase = Literal["pretrained", "intermediate", "target"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One verified checkpoint."""

    directory: Path
    #: What `phase.json` says beside the files' digests.
    account: dict[str, Any]

    @property
    def digest(self) -> str:
        """Return the identity of the checkpoint: a hash over its account, file digests included."""
        canonical = json.dumps(self.account, sort_keys=True, ensure_ascii=False).encode()
        return sha256(canonical).hexdigest()

    @property
    def tokenizer(self) -> Path:
        """Return the tokenizers file."""
        return self.directory / "tokenizer.json"


def write_checkpoint(directory: Path, account: Mapping[str, Any], save: Callable[[Path], None]) -> Checkpoint:
    """Write a checkpoint atomically: `save` fills a temporary directory, which is then renamed.

    Args:
        directory: where the checkpoint goes; an older one there is replaced only at the end.
        account: what `phase.json` shall say; JSON values.
        save: writes the files into the directory it is given.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        save(draft)
        files = {path.name: file_sha256(path) for path in sorted(draft.iterdir())}
        complete = {**account, "files": files}
        with (draft / PHASE_FILE).open("w", encoding="utf-8") as stream:
            json.dump(complete, stream, indent=1, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(0o755)
        if directory.exists():
            shutil.rmtree(directory)
        draft.rename(directory)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Checkpoint(directory, complete)


def read_checkpoint(directory: Path) -> Checkpoint:
    """Return a checkpoint after comparing every file with its digest.

    Raises:
        CheckpointError: it is missing, or a file is not the one that was written.
    """
    path = directory / PHASE_FILE
    try:
        account = json.loads(path.read_text(encoding="utf-8"))
        files = dict(account["files"])
    except FileNotFoundError as error:
        message = f"{directory} holds no checkpoint; write one with `harness train`"
        raise CheckpointError(message) from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is damaged ({error!r}); delete {directory} and run `harness train` again"
        raise CheckpointError(message) from error
    for name, expected in files.items():
        file = directory / name
        if not file.is_file() or file_sha256(file) != expected:
            message = f"{file} is not the file that training wrote; delete {directory} and run `harness train` again"
            raise CheckpointError(message)
    return Checkpoint(directory, account)


def is_complete(directory: Path) -> bool:
    """Return whether a checkpoint was written there."""
    return (directory / PHASE_FILE).is_file()


def saving(model: Any, parent: Checkpoint) -> Callable[[Path], None]:
    """Return what fills a checkpoint's directory: a model's weights, and its parent's tokenizer."""

    def save(folder: Path) -> None:
        model.save_pretrained(folder)
        shutil.copyfile(parent.tokenizer, folder / "tokenizer.json")

    return save
