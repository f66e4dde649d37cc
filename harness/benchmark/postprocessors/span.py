"""The answer to a question: the best span over the windows of its context."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.featurizers.window import BEST, BLANK
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

    The best `n_best` starts and ends of each window are combined; a span must start where its
    window has maximal context, end not before it starts, and hold at most `max_answer` tokens.

    Both ends are tokens with letters of their own, and an answer holds whole subwords and whole
    letters: it is a part of the context with something to read in it. None of the best `n_best` fitting, all tokens
    are looked at, so only a context without letters has the empty answer.

    `official` is the rule of the benchmark's numbers, after `compute_predictions_logits` of the
    official scripts: any token of the context may be an end, a bare word-boundary mark included,
    whose offsets are those of the letter after it; and where none of the best `n_best` of all
    tokens fit, the answer is empty.
    """

    n_best: int = 20
    max_answer: int = 30
    #: Answer nothing where the first token, which stands for no answer, scores higher in every window.
    null: bool = False
    official: bool = False

    def __call__(
        self, examples: Sequence[QuestionExample], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[str]:
        """See `harness.core.task.Postprocessor`."""
        found = self.spans(examples, features, outputs)
        return [
            "" if span is None else example.context[span.start : span.end].strip()
            for example, span in zip(examples, found, strict=True)
        ]

    def spans(
        self, examples: Sequence[QuestionExample], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> list[Span | None]:
        """Return the best span of each example, None where the answer is nothing."""
        best: list[Span | None] = [None] * len(examples)
        nothing = np.full(len(examples), np.inf if self.null else -np.inf)
        for feature, output in zip(features, outputs, strict=True):
            if self.null:
                silent = float(output["start_logits"][0] + output["end_logits"][0])
                nothing[feature.example] = min(nothing[feature.example], silent)
            span = self._best_in_window(feature, output)
            previous = best[feature.example]
            if span is not None and (previous is None or span.score > previous.score):
                best[feature.example] = span
        kept = [None if span is None or score > span.score else span for span, score in zip(best, nothing, strict=True)]
        if self.official:
            return kept
        return [
            None if span is None else Span(span.score, *_with_marks(example.context, span.start, span.end))
            for example, span in zip(examples, kept, strict=True)
        ]

    def _best_in_window(self, feature: Feature, output: Outputs) -> Span | None:
        if feature.alignment is None:
            message = "a window came without its alignment"
            raise ValueError(message)
        opens, closes, flags = feature.alignment.T
        inside = opens >= 0
        if not self.official:
            inside &= (flags & BLANK) == 0
        may_start = inside & ((flags & BEST) != 0)
        starts, ends = (_ranked(output[name]) for name in ("start_logits", "end_logits"))
        if not self.official:
            starts, ends = starts[may_start[starts]], ends[inside[ends]]
        first, last = starts[: self.n_best], ends[: self.n_best]
        valid = self._valid(first, last) & may_start[first][:, None] & inside[last][None, :]
        if not valid.any() and not self.official:
            first, last = starts, ends
            valid = self._valid(first, last)
        if not valid.any():
            return None
        scores = output["start_logits"][first][:, None] + output["end_logits"][last][None, :]
        row, column = np.unravel_index(np.argmax(np.where(valid, scores, -np.inf)), scores.shape)
        start, end = int(opens[first[row]]), int(closes[last[column]])
        if not self.official:
            start, end = _whole(start, end, opens[inside], closes[inside])
        return Span(float(scores[row, column]), start, end)

    def _valid(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pairs (starts, ends) are in order and not too long."""
        length = ends[None, :] - starts[:, None] + 1
        return (length >= 1) & (length <= self.max_answer)


def _whole(
    start: int, end: int, opens: NDArray[np.signedinteger[Any]], closes: NDArray[np.signedinteger[Any]]
) -> tuple[int, int]:
    """Return a part of a text widened to the subwords (subwords,) that it cuts; subwords may overlap."""
    while len(cut := opens[(opens < start) & (start < closes)]):
        start = int(cut.min())
    while len(cut := closes[(opens < end) & (end < closes)]):
        end = int(cut.max())
    return start, end


def _with_marks(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a part of a text widened to whole letters: accents in normal form D have no subword of their own."""
    while 0 < start < len(text) and _goes_on(text[start]):
        start -= 1
    while end < len(text) and _goes_on(text[end]):
        end += 1
    return start, end


def _goes_on(character: str) -> bool:
    """Return whether a character belongs to the letter before it: a mark, or a Korean vowel or final consonant."""
    return unicodedata.category(character).startswith("M") or "\u1160" <= character <= "\u11ff"


def _ranked(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the positions of the values, largest first; equal values keep their order."""
    return np.argsort(-logits, kind="stable")
