"""How fast this machine trains: a few optimiser steps of the real kind, timed, and then forgotten."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from harness.core.progress import Advance, Silent
from training.experiment import Folders
from training.shares import share
from training.trainer import Schedule, fit

#: Optimiser steps of one size that are timed: as many as fit into the time, between these.
FEWEST, STEPS = 4, 8
#: A part of a step's rows has so many times the rows that are timed first: one.
GROWTH = 8


@dataclass(frozen=True, slots=True)
class Speed:
    """What a measurement found."""

    #: Of every optimiser step, whatever it holds.
    seconds_per_step: float
    #: Of every token that is no padding, forward and backward.
    seconds_per_token: float
    #: Optimiser steps that were timed.
    steps: int
    #: Each was one of so many parts of a step's rows.
    parts: int

    def seconds(self, steps: float, tokens: float) -> float:
        """Return how long so many steps with so many tokens in all take."""
        return steps * self.seconds_per_step + tokens * self.seconds_per_token


class _EnoughError(Exception):
    """Ends a training whose time is known."""


class _Stopwatch(Silent):
    """Notes when each step ended, and ends the training after so many, or when the time is over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.ends: list[float] = []

    @contextmanager
    def step(self, description: str, total: int, unit: str) -> Iterator[Advance]:
        """See `harness.core.progress.Progress`."""
        begin = time.perf_counter()

        def note(done: int) -> None:
            self.ends.append(time.perf_counter())
            # The first step warms up: memory is allocated, and kernels are chosen.
            timed = len(self.ends) - 1
            if timed >= STEPS or (timed >= FEWEST and self.ends[-1] - begin > self._seconds):
                raise _EnoughError

        yield note


class _Chosen(Dataset[dict[str, Any]]):
    """Some batches of a training, one part of the rows of each."""

    def __init__(self, batches: Sequence[Mapping[str, Any]], parts: int) -> None:
        self._batches = batches
        self._parts = parts

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return share(dict(self._batches[index]), 0, self._parts)


def useful_tokens(batch: Mapping[str, Any]) -> int:
    """Return how many tokens of a batch are no padding."""
    return sum(int(value.sum()) for name, value in batch.items() if name in ("attention_mask", "candidate_mask"))


def spread(size: int, count: int) -> list[int]:
    """Return at most `count` indices below `size`, evenly spread."""
    taken = min(size, count)
    return [index * size // taken for index in range(taken)]


def measure(model: nn.Module, batches: Dataset[Any], schedule: Schedule, seconds: float) -> Speed:
    """Return how fast a model trains on batches; its weights are of no use afterwards.

    Steps of one row are timed, then steps of a part of the rows, and whole ones if the time is enough for them. The
    line through the last two says what every step costs (the optimiser, mostly) and what a token costs. Rows are
    taken from all over the training, so their lengths are those that it will meet.

    Args:
        model: of the real shape.
        batches: one whole batch for each step; steps spread over all of them are taken.
        schedule: how the training would go.
        seconds: to be kept to, roughly: a few steps of one row and of a part of the rows are made in any case.
    """
    end = time.perf_counter() + seconds
    chosen = [batches[index] for index in spread(len(batches), STEPS)]  # type: ignore[arg-type]
    # Each of the parts into which the recipe splits a step keeps a row.
    most = max(1, min(_rows(batch) for batch in chosen) // schedule.compute.accumulation)
    sizes = sorted({most, max(1, most // GROWTH), 1}, reverse=True)
    before, found, last = None, _timed(model, chosen, schedule, sizes[0], 0.0), sizes[0]
    for parts in sizes[1:]:
        left = end - time.perf_counter()
        # A machine that does other work too makes some steps long, and none short.
        if before is not None and (FEWEST + 1) * found.shortest * last / parts > left:
            break
        before, found, last = found, _timed(model, chosen, schedule, parts, left if parts == 1 else 0.0), parts
    return _speed(before, found, last)


@dataclass(frozen=True, slots=True)
class _Timed:
    """The mean of some optimiser steps."""

    seconds: float
    tokens: float
    steps: int
    #: Seconds of the shortest.
    shortest: float


def _speed(before: _Timed | None, found: _Timed, parts: int) -> Speed:
    """Return a speed from the largest steps that were timed, and from the smaller ones before them."""
    if before is not None and found.tokens > before.tokens and found.seconds > before.seconds:
        slope = (found.seconds - before.seconds) / (found.tokens - before.tokens)
        fixed = max(0.0, found.seconds - slope * found.tokens)
        return Speed(fixed, (found.seconds - fixed) / found.tokens, found.steps, parts)
    return Speed(0.0, found.seconds / max(1.0, found.tokens), found.steps, parts)


def _rows(batch: Mapping[str, Any]) -> int:
    return int(batch["aligned"]) if "aligned" in batch else len(batch["input_ids"])


def _timed(
    model: nn.Module, chosen: Sequence[Mapping[str, Any]], schedule: Schedule, parts: int, seconds: float
) -> _Timed:
    """Time optimiser steps on one of `parts` parts of each batch; the first is taken twice, and counted once."""
    # One more than are made: the last step of a training would be saved.
    order = [chosen[0], *(chosen[index % len(chosen)] for index in range(STEPS)), chosen[0]]
    some = _Chosen(order, parts)
    compute = replace(schedule.compute, save_every=len(some) + 1, report_to=())
    watch = _Stopwatch(seconds)
    with tempfile.TemporaryDirectory(prefix="harness-measure-") as folder:
        folders = Folders(Path(folder) / "states", Path(folder) / "logs")
        with suppress(_EnoughError):
            fit(model, some, replace(schedule, steps=len(some), compute=compute), folders, "measuring", watch)
    timed = len(watch.ends) - 1
    tokens = sum(useful_tokens(some[step]) for step in range(1, timed + 1))
    shortest = min(end - begin for begin, end in pairwise(watch.ends))
    return _Timed((watch.ends[-1] - watch.ends[0]) / timed, tokens / timed, timed, shortest)
