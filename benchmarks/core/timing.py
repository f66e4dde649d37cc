"""Times contenders in alternation.

Every comparison happens within one process run: A B A B, never A A B B, so that a machine that slows down
while it is measured hurts all sides alike.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from harness.core.progress import Advance


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each repeat of the same work took."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the middle repeat, in seconds."""
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Return the slowest minus the fastest repeat, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


class Contender(Protocol):
    """One side of a comparison: everything that it loads is loaded before it is handed over."""

    @property
    def name(self) -> str:
        """What rows call it; unique within a comparison."""
        ...

    def warm_up(self) -> None:
        """Do a part of the work that leaves nothing to be set up in `run`."""
        ...

    def run(self) -> object:
        """Do the work that is timed, all of it; what it returns is not looked at."""
        ...


@dataclass(frozen=True, slots=True)
class Function:
    """A contender made of a function; without another one, its warm-up is the work itself."""

    name: str
    function: Callable[[], object]
    warm: Callable[[], object] | None = None

    def warm_up(self) -> None:
        """See `Contender.warm_up`."""
        (self.warm or self.function)()

    def run(self) -> None:
        """See `Contender.run`."""
        self.function()


def alternate(
    contenders: Sequence[Contender], *, warmup: int, repeats: int, advance: Advance = lambda _: None
) -> dict[str, Timing]:
    """Return the timing of each contender by name; a round runs each of them once.

    Args:
        contenders: the sides; names must differ.
        warmup: rounds of warm-ups before the first timed round.
        repeats: timed rounds.
        advance: called for each warm-up and each run that is done.
    """
    if repeats < 1 or warmup < 0:
        message = f"repeats must be at least 1 and warmup at least 0, got {repeats} and {warmup}"
        raise ValueError(message)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    if len(seconds) != len(contenders):
        message = f"contenders must have different names, got {[contender.name for contender in contenders]}"
        raise ValueError(message)
    for _ in range(warmup):
        for contender in contenders:
            contender.warm_up()
            advance(1)
    for _ in range(repeats):
        for contender in contenders:
            # What the side before left behind is not collected at this one's cost.
            gc.collect()
            begin = time.perf_counter()
            contender.run()
            seconds[contender.name].append(time.perf_counter() - begin)
            advance(1)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def measure(function: Callable[[], object], *, warmup: int, repeats: int) -> Timing:
    """Return the timing of one function alone; to compare two, use `alternate`."""
    return alternate([Function("function", function)], warmup=warmup, repeats=repeats)["function"]
