"""Which candidate each query of a dual encoder's dev set picks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.benchmark.featurizers.dual import CANDIDATE, QUERY
from harness.benchmark.postprocessors.neighbours import search
from harness.core.examples import MatchExample
from harness.core.features import Feature
from harness.core.task import Outputs


@dataclass(frozen=True, slots=True)
class BestMatch:
    """The id of the match whose candidate is nearest to the query, among all matches given."""

    def __call__(
        self, examples: Sequence[MatchExample], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[str]:
        """See `harness.core.task.Postprocessor`."""
        sides: dict[int, list[np.ndarray]] = {QUERY: [], CANDIDATE: []}  # type: ignore[type-arg]
        for feature, output in zip(features, outputs, strict=True):
            sides[int(feature.target)].append(output["embedding"])  # type: ignore[arg-type]
        found, _ = search(np.stack(sides[QUERY]), np.stack(sides[CANDIDATE]), 1)
        return [examples[int(row)].id for row in found[:, 0]]
