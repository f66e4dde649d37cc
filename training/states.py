"""States of a training on disk: the newest whole one, and what is said where none can be written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from harness.core.errors import CheckpointError


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Word the failures of writing a state, for which each library has an error of its own.

    torch's archive writer raises RuntimeError where a disk is full, safetensors its own error.

    Raises:
        CheckpointError: the state cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        message = f"a state of the training cannot be written to {folder} ({cause}); free space and train again"
        raise CheckpointError(message) from error


def last_state(folder: Path) -> Path | None:
    """Return the newest whole state of a training; a state is whole once its `trainer_state.json` is."""
    states = sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True)
    for state in states:
        try:
            json.loads((state / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return state
    return None


def step_of(state: Path) -> int:
    """Return the step after which a state was written."""
    return int(state.name.partition("-")[2])
