"""Tags of words, read off their first pieces and put together over the rows of a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.benchmark.chance import DrawnTags
from harness.core.features import Feature
from harness.core.task import Outputs


@dataclass(frozen=True, slots=True)
class FirstPieceTags:
    """One tag for each word: the best one at the word's first piece."""

    chance: ClassVar[DrawnTags] = DrawnTags()

    tags: tuple[str, ...]

    def __call__(
        self, examples: Sequence[Any], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[tuple[str, ...]]:
        """See `harness.core.task.Postprocessor`."""
        predictions: list[list[str]] = [[] for _ in examples]
        for feature, output in zip(features, outputs, strict=True):
            if feature.alignment is None:
                message = "a row of tagged words came without its alignment"
                raise ValueError(message)
            best = np.argmax(output["logits"][feature.alignment[:, 1]], axis=-1)
            predictions[feature.example].extend(self.tags[tag] for tag in best)
        return [tuple(tags) for tags in predictions]
