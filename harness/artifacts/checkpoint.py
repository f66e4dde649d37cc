"""What a training checkpoint says of itself, and whether its files are those that were written.

A checkpoint directory holds `phase.json`: the digest of every file beside it, the resolved recipe,
the parents' digests, data digests, seed, steps and versions. Reading that takes no torch.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.core.errors import CheckpointError
from harness.core.files import file_sha256

PHASE_FILE = "phase.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint."""

    directory: Path
    #: What `phase.json` says, the digests of the files included.
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


def read_account(directory: Path) -> Checkpoint:
    """Return what a checkpoint says of itself; its files are not looked at.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = directory / PHASE_FILE
    try:
        account = json.loads(path.read_text(encoding="utf-8"))
        dict(account["files"])
    except FileNotFoundError as error:
        message = f"{directory} holds no checkpoint; write one with `harness train`"
        raise CheckpointError(message) from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is damaged ({error!r}); delete {directory} and run `harness train` again"
        raise CheckpointError(message) from error
    return Checkpoint(directory, account)


def read_checkpoint(directory: Path) -> Checkpoint:
    """Return a checkpoint after comparing every file with its digest.

    Raises:
        CheckpointError: it is missing, or a file is not the one that was written.
    """
    checkpoint = read_account(directory)
    for name, expected in checkpoint.account["files"].items():
        file = directory / name
        if not file.is_file() or file_sha256(file) != expected:
            message = f"{file} is not the file that training wrote; delete {directory} and run `harness train` again"
            raise CheckpointError(message)
    return checkpoint


def is_complete(directory: Path) -> bool:
    """Return whether a checkpoint was written there."""
    return (directory / PHASE_FILE).is_file()
