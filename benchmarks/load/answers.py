"""Whether served answers are those of the same graph in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.serving.repository.known_answer import TOLERANCE
from harness.text.forms import Answer


def difference(given: Any, expected: Any) -> float:
    """Return how far two answers are apart: the largest distance of two numbers over 1 plus the second one.

    Infinity where anything but a decimal number differs, or where one of those is not finite.
    """
    if isinstance(expected, Mapping):
        if not isinstance(given, Mapping) or given.keys() != expected.keys():
            return float("inf")
        return max((difference(given[name], value) for name, value in expected.items()), default=0.0)
    if isinstance(expected, list):
        if not isinstance(given, list) or len(given) != len(expected):
            return float("inf")
        return max(map(difference, given, expected), default=0.0)
    if isinstance(expected, float) and isinstance(given, float):
        distance = abs(given - expected) / (1 + abs(expected))
        return distance if np.isfinite(distance) else float("inf")
    return 0.0 if given == expected else float("inf")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a sample of served answers compares with those of the same graph in this process."""

    compared: int
    equal: int
    #: Between two answers that are equal within the tolerance.
    largest: float
    #: Whether a graph's answer depends on its neighbours in a batch, so that unequal ones are no error.
    excused: bool

    @staticmethod
    def of(given: Sequence[Answer], expected: Sequence[Answer], *, excused: bool) -> "Agreement":
        """Return the comparison of answers in the same order."""
        distances = [difference(one, other) for one, other in zip(given, expected, strict=True)]
        equal = [distance for distance in distances if distance <= TOLERANCE]
        return Agreement(len(distances), len(equal), max(equal, default=0.0), excused)
