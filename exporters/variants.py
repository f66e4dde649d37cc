"""Variants of a graph: chains of graph-to-graph steps with the drift that each is allowed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from harness.errors import UsageError, nearest

#: Reads the graph at the first path and writes another to the second.
Step: TypeAlias = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """Precision and fusion of a graph."""

    name: str
    #: Applied in order to the graph that Optimum wrote.
    steps: tuple[Step, ...]
    #: The largest absolute difference from PyTorch in any output, on any probe.
    tolerance: float


VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        # Ten times what Optimum's own validation allows (ATOL_FOR_VALIDATION = 1e-5): that is for
        # one random batch, this for every unpadded position of real rows up to full length.
        Variant("fp32", (), tolerance=1e-4),
    )
}


def find_variant(name: str) -> Variant:
    """Return the variant of a name.

    Raises:
        UsageError: there is none; tells the nearest one.
    """
    if name not in VARIANTS:
        message = f"no variant named {name!r}{nearest(name, VARIANTS)}; there is {', '.join(VARIANTS)}"
        raise UsageError(message)
    return VARIANTS[name]
