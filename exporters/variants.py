"""Variants of a graph: chains of graph-to-graph steps with what each may lose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from exporters import steps
from exporters.gate import Tolerance
from exporters.modules import Loaded
from harness.core.errors import UsageError, nearest
from harness.statistics.noninferiority import Margins

#: Reads the graph at the first path and writes another to the second.
Step: TypeAlias = Callable[[Path, Path, Loaded], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Precision and fusion of a graph."""

    name: str
    #: For `harness export --help` and messages.
    purpose: str
    #: Applied in order to the graph that Optimum wrote.
    steps: tuple[Step, ...] = ()
    tolerance: Tolerance
    #: Whether embeddings are made in this variant too unless a user names their graph: retrieval
    #: compares thousands of nearly equal numbers, so precision shows there first.
    retrieval: bool = False
    #: Whether an answer depends on the rows it is batched with.
    batch_dependent: bool = False

    @property
    def step_names(self) -> list[str]:
        """Return the names of the steps, as manifests hold them."""
        return [step.__name__ for step in self.steps]


#: Reasons: `harness.statistics.noninferiority.Margins`.
_LOSSY = Tolerance(margins=Margins())

VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(
            name="fp32",
            purpose="numerically equal to PyTorch; the default",
            # Ten times what Optimum's own validation allows (ATOL_FOR_VALIDATION = 1e-5): that is for
            # one random batch, this for every unpadded position of real rows up to full length.
            tolerance=Tolerance(difference=1e-4),
            retrieval=True,
        ),
        Variant(
            name="fp16",
            purpose="half precision with fused attention, for GPUs",
            steps=(steps.fuse, steps.convert_to_fp16),
            tolerance=_LOSSY,
        ),
        Variant(
            name="int8",
            purpose="8-bit products on CPUs, one scale for each batch: the fastest",
            steps=(steps.fuse, steps.quantize_dynamic),
            tolerance=_LOSSY,
            batch_dependent=True,
        ),
        Variant(
            name="int8_block",
            purpose="8-bit products on CPUs with scales of their own for each row: no batch changes an answer",
            steps=(steps.quantize_blocks,),
            tolerance=_LOSSY,
        ),
    )
}


def find_variant(name: str) -> Variant:
    """Return the variant of a name.

    Raises:
        UsageError: there is none; names the nearest one.
    """
    if name not in VARIANTS:
        message = f"no variant named {name!r}{nearest(name, VARIANTS)}; there is {', '.join(VARIANTS)}"
        raise UsageError(message)
    return VARIANTS[name]
