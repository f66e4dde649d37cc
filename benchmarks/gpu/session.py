"""What the stages share: how large everything is, the device, and what one stage measured for another."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil
import torch

from benchmarks.contenders.baseshape import Shape
from harness.core.errors import HarnessError, UsageError
from harness.core.machine import describe


class WrongAnswers(HarnessError):
    """Answers that are not right: their speed means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSettings:
    """How large everything is."""

    device: Literal["cuda", "cpu"]
    shape: Shape
    #: Less than XLM-R's 250,002: the table of embeddings costs no products, and the graph stays one file.
    vocabulary: int
    #: Padded tokens of a batch at most.
    budget: int
    #: Useful tokens of each distribution of lengths.
    tokens: int
    repeats: int
    #: Sides of the square matrices whose product is the peak.
    sides: tuple[int, ...]
    #: Queries, and candidates, of the nearest neighbours; and their dimension.
    sentences: int
    dimension: int


GPU = GpuSettings(
    device="cuda",
    shape=Shape(name="large-shape", layers=24, width=1024, heads=16, feed_forward=4096),
    vocabulary=8192,
    budget=32_768,
    tokens=500_000,
    repeats=3,
    sides=(4096, 8192, 16_384),
    sentences=400_000,
    dimension=1024,
)
#: Everything in a few seconds, to see that it runs; its speeds mean nothing.
SMOKE = GpuSettings(
    device="cpu",
    shape=Shape(name="smoke", layers=2, width=64, heads=4, feed_forward=256),
    vocabulary=512,
    budget=1024,
    tokens=1000,
    repeats=2,
    sides=(256,),
    sentences=2000,
    dimension=64,
)


@dataclass(slots=True, kw_only=True)
class GpuSession:
    """One run of the benchmark."""

    settings: GpuSettings
    tokenizer: Path | None = None
    data: Path | None = None
    #: Operations a second of the fastest product in each precision; filled by `benchmarks.gpu.peak`.
    peaks: dict[str, float] = field(default_factory=dict)
    #: Useful tokens a second of the fastest graph; filled by `benchmarks.gpu.encoder`.
    fastest: float = 0.0
    #: Lines for the foot of the report.
    notes: list[str] = field(default_factory=list)


def device_name(device: str) -> str:
    """Return what rows call the device.

    Raises:
        UsageError: there is no GPU.
    """
    if device == "cpu":
        return f"{describe()['processor']}, smoke run: the speeds mean nothing"
    if not torch.cuda.is_available():
        message = "torch sees no CUDA device; see `nvidia-smi`, or try everything with `harness bench gpu --cpu-smoke`"
        raise UsageError(message)
    found = torch.cuda.get_device_properties(0)
    return f"{found.name}, {found.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def synchronize(device: str) -> None:
    """Wait until the device has done what it was sent."""
    if device == "cuda":
        torch.cuda.synchronize()


def memory_growth(device: str, work: Callable[[], object]) -> int:
    """Return by how many bytes the used memory of the device grows with a work; in a smoke run, that of this process.

    What an engine's allocator keeps after the work counts, since others cannot have it.
    """
    if device == "cuda":
        torch.cuda.empty_cache()

    def used() -> int:
        return int(psutil.Process().memory_info().rss if device == "cpu" else -torch.cuda.mem_get_info()[0])

    before = used()
    work()
    synchronize(device)
    return used() - before
