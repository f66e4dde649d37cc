"""Which of several learning rates is kept: each is tried on a part of the steps, and English dev sets decide."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.artifacts.checkpoint import TriedRecord
from training.distributed import rank, wait
from training.experiment import Folders
from training.states import writable

#: In the folder of trials: what each found.
FOUND = "tried.json"

#: Trains a fresh model at a learning rate, with its states in a folder; returns its score, higher is better.
Trial = Callable[[float, Folders], float]


def rates_of(learning_rate: float | tuple[float, ...]) -> tuple[float, ...]:
    """Return the learning rates that a recipe names, each once."""
    return tuple(dict.fromkeys(learning_rate)) if isinstance(learning_rate, tuple) else (learning_rate,)


def trial_steps(steps: int, share: float) -> int:
    """Return the steps on which each learning rate is tried."""
    return max(1, round(steps * share))


def trials_of(folders: Folders) -> Path:
    """Return where the trials of a training keep their states and scores."""
    return folders.states.with_name(f"{folders.states.name}-rates")


def choose(rates: Sequence[float], steps: int, folders: Folders, trial: Trial) -> list[TriedRecord]:
    """Return what each learning rate found, the best one first; of equals the lower one is.

    What was tried before a stop is not tried again.

    Args:
        rates: the learning rates.
        steps: of each trial.
        folders: of the training that takes the best one.
        trial: see `Trial`.

    Raises:
        CheckpointError: a score cannot be written.
    """
    place = trials_of(folders)
    path = place / FOUND
    known = json.loads(path.read_text(encoding="ascii")) if folders.resume and path.is_file() else []
    found = {each.learning_rate: each for each in msgspec.convert(known, list[TriedRecord]) if each.steps == steps}
    for rate in rates:
        if rate in found:
            continue
        own = replace(folders, states=place / f"{rate:g}", logs=folders.logs / f"rate-{rate:g}")
        found[rate] = TriedRecord(learning_rate=rate, steps=steps, score=trial(rate, own))
        if rank() == 0:
            with writable(place):
                place.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(msgspec.to_builtins(list(found.values()))), encoding="ascii")
        wait()
    return sorted((found[rate] for rate in rates), key=lambda each: (-each.score, each.learning_rate))
