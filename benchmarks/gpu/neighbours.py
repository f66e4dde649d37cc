"""A search as large as BUCC's: the harness's own, against the bare product of the same vectors in fp16."""

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import Function, alternate
from benchmarks.gpu.session import GpuSession, WrongAnswers, synchronize
from benchmarks.speed.retrieval.mining import NEIGHBOURS
from benchmarks.speed.retrieval.vectors import SEED, WARM, equal_share, near, units
from harness.benchmark.postprocessors.neighbours import backend, search

#: Queries and candidates that are multiplied together.
BLOCK = (8192, 65_536)
#: Queries whose neighbours are computed once more, from all their products.
CHECKED = 64


def measure(session: GpuSession) -> list[Row]:
    """Return our search from and to the host's memory, against the product alone, whose vectors are on the device.

    Raises:
        WrongAnswers: our search finds other neighbours than all products do.
    """
    settings = session.settings
    rng = np.random.default_rng(SEED)
    candidates = units(rng, settings.sentences, settings.dimension)
    queries = near(rng, candidates[rng.permutation(settings.sentences)])
    first, second = (torch.from_numpy(side).to(settings.device, torch.float16) for side in (queries, candidates))
    found: list[NDArray[np.int64]] = []

    def product() -> None:
        for part in torch.split(first, BLOCK[0]):
            for block in torch.split(second, BLOCK[1]):
                torch.matmul(part, block.T)
        synchronize(settings.device)

    ours = Function(
        f"harness, {backend()}, fp32",
        lambda: found.append(search(queries, candidates, NEIGHBOURS).indices),
        warm=lambda: search(queries[:WARM], candidates, NEIGHBOURS),
    )
    floor = Function("the product alone, fp16", product)
    timings = alternate([ours, floor], warmup=1, repeats=settings.repeats)
    equal = equal_share(queries[:CHECKED], [candidates], found[-1][:CHECKED])
    if equal < 1:
        message = (
            f"{ours.name}: {1 - equal:.1%} of the neighbours of {CHECKED} queries are not those of all products; its "
            "speed is not printed"
        )
        raise WrongAnswers(message)
    session.notes += [f"neighbours, {name}: {timing.median:.2f} s" for name, timing in timings.items()]
    return [
        rate_row(
            f"{NEIGHBOURS} neighbours, {len(queries):,} x {len(candidates):,} x {settings.dimension}, {ours.name}",
            len(queries),
            "queries/s",
            *(Side(side.name, timings[side.name], None) for side in (ours, floor)),
            equal_to_exact=equal,
            checked_queries=min(CHECKED, len(queries)),
        )
    ]
