"""What a call of a graph costs beside its tokens, measured once for each graph and way of asking it."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.artifacts.store import Artifact
from harness.core.features import Feature, pad_features
from harness.core.files import read_json, write_json
from harness.inference.endpoints import Endpoint, NotFiniteAnswer
from harness.inference.planner import BatchPlanner

#: (rows, width) of the calls that are timed: too short to need many tokens' time, and long enough for the slope.
_SMALL, _LARGE = (1, 8), (8, 32)
_REPEATS = 3
#: In tokens. A call that costs more was timed while something else ran.
_CEILING = 1_024.0


@dataclass(frozen=True, slots=True)
class CallCosts:
    """Measured costs on disk: the plan, and with it every last bit of an answer, repeats on the same machine."""

    path: Path

    def overhead(self, artifact: Artifact, endpoint: Endpoint, row: Feature, place: str = "") -> float:
        """Return what a call costs beside its tokens, in tokens.

        A graph whose answers depend on their batch is planned with the planner's own figure, so that its
        plan follows from the data alone on every machine.

        Args:
            artifact: the graph.
            endpoint: what answers for it.
            row: gives the ids for the calls that are timed.
            place: the threads and instances that were asked for, as a tuned setting names them; empty for the defaults.
        """
        if artifact.batch_dependent:
            return BatchPlanner().overhead
        name = f"{artifact.graph_sha256} {endpoint.backend}" + (f" {place}" if place else "")
        known: dict[str, float] = read_json(self.path) if self.path.is_file() else {}
        if name not in known:
            try:
                known[name] = measure(endpoint, row, artifact.pad_id, artifact.manifest.max_tokens)
            except NotFiniteAnswer:
                # The row itself is asked next, and that error can name its example.
                return BatchPlanner().overhead
            write_json(self.path, known)
        return known[name]


def measure(endpoint: Endpoint, row: Feature, pad_id: int, longest: int | None = None) -> float:
    """Return what a call costs beside its tokens, in tokens, from a small and a larger call.

    Args:
        endpoint: what answers.
        row: gives the ids.
        pad_id: fills rows up.
        longest: tokens of the longest row that the graph takes; None where it is not known.
    """
    small_shape, large_shape = ((rows, min(width, longest or width)) for rows, width in (_SMALL, _LARGE))

    def seconds(shape: tuple[int, int]) -> float:
        rows, width = shape
        inputs = pad_features([Feature(0, np.resize(row.input_ids, width))] * rows, pad_id, endpoint.signature.inputs)
        endpoint.infer(inputs)
        best = float("inf")
        for _ in range(_REPEATS):
            begin = time.perf_counter()
            endpoint.infer(inputs)
            best = min(best, time.perf_counter() - begin)
        return best

    small, large = seconds(small_shape), seconds(large_shape)
    fewer, more = small_shape[0] * small_shape[1], large_shape[0] * large_shape[1]
    if large <= small:
        return _CEILING
    of_a_token = (large - small) / (more - fewer)
    return round(min(max(small / of_a_token - fewer, 0.0), _CEILING), 1)
