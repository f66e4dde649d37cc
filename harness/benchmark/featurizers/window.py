"""Questions over contexts that are longer than a row: overlapping windows of the context."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.featurizers.pair import row_types
from harness.core.errors import DataError
from harness.core.examples import Answer, QuestionExample
from harness.core.features import Feature, Subwords, Tokenizer

#: What the third column of an alignment adds up.
BEST, BLANK = 1, 2


@dataclass(frozen=True, slots=True)
class WindowFeaturizer:
    """Rows ``question | window``, where windows start every `stride` subwords of the context.

    `alignment` (tokens, 3): start and end of the token in the context's characters, -1 outside
    the context; and the sum of `BEST`, where this window is the token's best context, as in SQuAD's
    `check_is_max_context`, and of `BLANK`, where the token has no letter of its own: a bare
    word-boundary mark, whose characters are those of the letter after it, or white space.

    `target` (2,): the tokens where the first answer starts and ends in this window, (0, 0) if it
    does not lie inside (transformers' squad.py). Both have letters of their own: a mark before
    the answer is never its start, at the context's beginning as elsewhere. The official scripts,
    which tokenize each word alone, put the start on the mark everywhere.
    """

    max_tokens: int = 384
    #: Subwords between the starts of two windows: doc_stride of the official scripts.
    stride: int = 128
    #: Longer questions are cut: max_query_length of the official scripts.
    max_question: int = 64

    def __call__(self, examples: Sequence[QuestionExample], tokenizer: Tokenizer) -> list[Feature]:
        """See `harness.core.features.Featurizer`."""
        # Paragraphs are shared by several questions, and their subwords are most of the work.
        texts = sorted({example.context for example in examples})
        contexts = dict(zip(texts, tokenizer.subwords_with_offsets(texts), strict=True))
        questions = tokenizer.subwords([example.question for example in examples])
        features = []
        for number, (example, question) in enumerate(zip(examples, questions, strict=True)):
            asked = question[: self.max_question]
            context = contexts[example.context]
            lead = len(tokenizer.pair(asked, [])) - 1
            room = self.max_tokens - lead - 1
            if room < 1 and context.ids:
                message = (
                    f"example {example.id!r}: {len(asked)} subwords of its question fill the row of {self.max_tokens} "
                    f"tokens and leave none for the context; give the featurizer a max_question of at most "
                    f"{max(0, len(asked) + room - 1)}, or more max_tokens"
                )
                raise DataError(message)
            spans = list(self._spans(len(context.ids), room))
            best = _best_window(spans, len(context.ids))
            for window, (start, end) in enumerate(spans):
                ids = np.asarray(tokenizer.pair(asked, context.ids[start:end]), dtype=np.int64)
                alignment = np.full((len(ids), 3), -1, dtype=np.int64)
                if end > start:
                    alignment[lead : lead + end - start, :2] = context.offsets[start:end]
                    alignment[lead : lead + end - start, 2] = BEST * (best[start:end] == window)
                    blank = [number - start + lead for number in context.blank if start <= number < end]
                    alignment[blank, 2] += BLANK
                target = _target(next(iter(example.answers), None), context, start, end, lead)
                types = row_types(tokenizer, asked, context.ids[start:end])
                features.append(Feature(number, ids, target, alignment, token_types=types))
        return features

    def _spans(self, length: int, room: int) -> Iterator[tuple[int, int]]:
        """Yield start and end of each window in subwords of the context; one even if it is empty."""
        start = 0
        while True:
            end = min(length, start + room)
            yield start, end
            if end >= length:
                return
            start += min(self.stride, room)


def _best_window(spans: Sequence[tuple[int, int]], length: int) -> NDArray[np.int64]:
    """Return for each subword (length,) the window in which it has most context on its poorer side.

    Score: min(left, right context) + 0.01 * window length; the first of equals wins, as in
    SQuAD's `check_is_max_context`.
    """
    best = np.zeros(length, dtype=np.int64)
    score = np.full(length, -1.0)
    for window, (start, end) in enumerate(spans):
        position = np.arange(start, end)
        own = np.minimum(position - start, end - 1 - position) + 0.01 * (end - start)
        better = own > score[start:end]
        best[start:end][better] = window
        score[start:end][better] = own[better]
    return best


def _target(answer: Answer | None, context: Subwords, start: int, end: int, lead: int) -> NDArray[np.int64]:
    """Return (first, last) token of the answer in the window, (0, 0) if it lies outside or there is none."""
    if answer is None:
        return np.zeros(2, dtype=np.int64)
    stop = answer.start + len(answer.text)
    # Of the whole context, not by the characters that they cover: some have no subword, such as a letter's accent in
    # normal form D, or white space at an answer's end.
    inside = [
        subword
        for subword, (opens, closes) in enumerate(context.offsets)
        if opens < stop and closes > answer.start and subword not in context.blank
    ]
    if not inside or inside[0] < start or inside[-1] >= end:
        return np.zeros(2, dtype=np.int64)
    return np.asarray([inside[0] - start + lead, inside[-1] - start + lead], dtype=np.int64)
