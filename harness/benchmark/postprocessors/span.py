"""The answer to a question: the best span over the windows of its context."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.chance import DrawnSpans
from harness.core.examples import QuestionExample
from harness.core.features import Feature
from harness.core.task import Outputs


class Span(NamedTuple):
    """A part of a context, by its characters, and how sure the graph is of it."""

    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BestSpan:
    """The text of the best valid span, by start logit plus end logit.

    As `compute_predictions_logits` of the official scripts: the best `n_best` starts and ends of
    each window are combined; a span must lie in the context, start where its window has maximal
    context, end not before it starts, and hold at most `max_answer` tokens. No valid span gives
    the empty answer.
    """

    chance: ClassVar[DrawnSpans] = DrawnSpans()

    n_best: int = 20
    max_answer: int = 30
    #: Answer nothing where the first token, which stands for no answer, scores higher in every window.
    null: bool = False

    def __call__(
        self, examples: Sequence[QuestionExample], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[str]:
        """See `harness.core.task.Postprocessor`."""
        found = self.spans(len(examples), features, outputs)
        return [
            "" if span is None else example.context[span.start : span.end].strip()
            for example, span in zip(examples, found, strict=True)
        ]

    def spans(self, examples: int, features: Sequence[Feature], outputs: Sequence[Outputs]) -> list[Span | None]:
        """Return the best span of each of so many examples, None where the answer is nothing."""
        best: list[Span | None] = [None] * examples
        nothing = np.full(examples, np.inf if self.null else -np.inf)
        for feature, output in zip(features, outputs, strict=True):
            if self.null:
                silent = float(output["start_logits"][0] + output["end_logits"][0])
                nothing[feature.example] = min(nothing[feature.example], silent)
            span = self._best_in_window(feature, output)
            previous = best[feature.example]
            if span is not None and (previous is None or span.score > previous.score):
                best[feature.example] = span
        return [None if span is None or score > span.score else span for span, score in zip(best, nothing, strict=True)]

    def _best_in_window(self, feature: Feature, output: Outputs) -> Span | None:
        if feature.alignment is None:
            message = "a window came without its alignment"
            raise ValueError(message)
        starts = _top(output["start_logits"], self.n_best)
        ends = _top(output["end_logits"], self.n_best)
        opens, closes = feature.alignment[:, 0], feature.alignment[:, 1]
        length = ends[None, :] - starts[:, None] + 1
        valid = (length >= 1) & (length <= self.max_answer)
        valid &= ((opens[starts] >= 0) & (feature.alignment[starts, 2] == 1))[:, None]
        valid &= (closes[ends] >= 0)[None, :]
        if not valid.any():
            return None
        scores = output["start_logits"][starts][:, None] + output["end_logits"][ends][None, :]
        row, column = np.unravel_index(np.argmax(np.where(valid, scores, -np.inf)), scores.shape)
        return Span(float(scores[row, column]), int(opens[starts[row]]), int(closes[ends[column]]))


def _top(logits: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the positions of the largest values, best first; equal values keep their order."""
    return np.argsort(-logits, kind="stable")[:count]
