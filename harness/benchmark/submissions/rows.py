"""One row of the foreign file a line, counted from 0, for each English line in sorted order (Tatoeba)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.lines import malformed
from harness.benchmark.submissions import reading
from harness.core.examples import SentenceExample, is_scored
from harness.core.task import Tally

#: The official scorer compares texts, so that 07 would not be 7.
_ROW = re.compile("0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class RowNumbers:
    """Predictions are the ids of candidates, of which the first is written as its place among them."""

    suffix: str = "tsv"

    def render(self, examples: Sequence[SentenceExample], predictions: Sequence[tuple[str, ...]]) -> str:
        """See `harness.core.task.Submission`.

        Raises:
            ValueError: a query has no prediction.
        """
        candidates = (example.id for example in examples if example.side == "candidate")
        rows = {name: row for row, name in enumerate(candidates)}
        found = []
        for example, ranking in zip(examples, predictions, strict=True):
            if is_scored(example):
                if not ranking:
                    message = f"query {example.id!r} has no prediction; the format needs one row for each"
                    raise ValueError(message)
                found.append(rows[ranking[0]])
        return "".join(f"{row}\n" for row in found)

    def labels_of(self, examples: Sequence[SentenceExample]) -> str:
        """See `harness.core.task.Submission`."""
        return self.render(examples, [tuple(sorted(example.gold)) for example in examples])

    def read(
        self, labels: Path, predictions: Path, tally: Tally | None
    ) -> tuple[list[SentenceExample], list[tuple[str, ...]]]:
        """See `harness.core.task.Submission`; ids of candidates are the texts of their rows."""
        gold = reading.values(labels, "labels", _row)
        found = reading.values(predictions, "predictions", _row)
        if len(found) != len(gold):
            raise reading.unequal(predictions, len(found), labels, len(gold))
        # Queries and candidates are as many, and the gold rows a part of them.
        size = max(len(gold), 1 + max(map(int, gold)))
        beyond = next((number for number, row in enumerate(found, start=1) if int(row) >= size), None)
        if beyond is not None and tally is None:
            problem = f"row {found[beyond - 1]} is beyond the {size:,} rows of the foreign file, which count from 0"
            raise malformed(predictions, beyond, f"{problem}; or `--official-missing` counts it as wrong")
        examples = [SentenceExample(str(number), "", "query", frozenset({row})) for number, row in enumerate(gold)]
        return examples, [(row,) for row in found]


def _row(line: str) -> str:
    if not _ROW.fullmatch(line):
        message = f"{line[:60]!r} is no row of the foreign file, a whole number from 0 on is expected"
        raise ValueError(message)
    return line
