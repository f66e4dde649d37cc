"""What the device reaches at most: products of large square matrices, and a copy within its memory."""

from collections.abc import Callable
from time import perf_counter

import torch

from benchmarks.core.rows import Row, peak_row
from benchmarks.gpu.session import GpuSession, GpuSettings, synchronize

#: Precisions of products. TF32 is off, so that float32 is float32.
PRECISIONS = ("float16", "bfloat16", "float32")
#: Seconds that a rate is measured for at least.
SECONDS = 0.25
#: Bytes that are copied, more than any cache holds.
COPIED = 2**28


def measure(session: GpuSession) -> list[Row]:
    """Return a row for each precision, and note the bandwidth of the device's memory."""
    settings, rows = session.settings, []
    bandwidth = _bandwidth(settings)
    session.notes.append(f"a copy within the device reads and writes {bandwidth / 1e9:,.0f} GB/s")
    for precision in PRECISIONS:
        rates = {side: _product_rate(settings, precision, side) for side in settings.sides}
        side = max(rates, key=rates.__getitem__)
        session.peaks[precision] = rates[side]
        how = f"{side} x {side} x {side}, best of {len(rates)} sizes"
        rows.append(peak_row(f"peak of {precision} products", rates[side], rates[side], how, bandwidth=bandwidth))
    return rows


def peak_of(session: GpuSession, precision: str) -> float:
    """Return the operations a second of the fastest product, measured on first use."""
    if precision not in session.peaks:
        measure(session)
    return session.peaks[precision]


def _bandwidth(settings: GpuSettings) -> float:
    source = torch.zeros(COPIED, dtype=torch.uint8, device=settings.device)
    target = torch.empty_like(source)
    # Each byte is read once and written once.
    return 2 * COPIED / _seconds(settings.device, lambda: target.copy_(source))


def _product_rate(settings: GpuSettings, precision: str, side: int) -> float:
    torch.backends.cuda.matmul.allow_tf32 = False
    kind: torch.dtype = getattr(torch, precision)
    generator = torch.Generator(settings.device).manual_seed(0)
    first, second = (torch.randn(side, side, generator=generator, device=settings.device).to(kind) for _ in range(2))
    result = torch.empty(side, side, dtype=kind, device=settings.device)
    return 2 * float(side) ** 3 / _seconds(settings.device, lambda: torch.matmul(first, second, out=result))


def _seconds(device: str, work: Callable[[], object]) -> float:
    """Return the seconds of one call, from as many calls without a pause as fill the time."""
    calls = 1
    work()
    while True:
        synchronize(device)
        begin = perf_counter()
        for _ in range(calls):
            work()
        synchronize(device)
        seconds = perf_counter() - begin
        if seconds >= SECONDS:
            return seconds / calls
        calls *= 2
