"""One JSON object a line with the number of the choice, in the order of the test file (XCOPA)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.strict_json import parse
from harness.benchmark.submissions import reading
from harness.core.examples import ChoiceExample
from harness.core.task import Tally


@dataclass(frozen=True, slots=True)
class ChoiceLines:
    """Predictions are 0 or 1, written as ``{"label": 0}``; further keys, as the test file has, are ignored."""

    suffix: str = "jsonl"

    def render(self, examples: Sequence[ChoiceExample], predictions: Sequence[int]) -> str:
        """See `harness.core.task.Submission`."""
        return "".join(f"{json.dumps({'label': choice})}\n" for _, choice in zip(examples, predictions, strict=True))

    def labels_of(self, examples: Sequence[ChoiceExample]) -> str:
        """See `harness.core.task.Submission`."""
        return self.render(examples, [example.label for example in examples])

    def read(self, labels: Path, predictions: Path, tally: Tally | None) -> tuple[list[ChoiceExample], list[int]]:
        """See `harness.core.task.Submission`."""
        gold = reading.values(labels, "labels", _choice)
        found = reading.values(predictions, "predictions", _choice)
        if len(found) != len(gold):
            raise reading.unequal(predictions, len(found), labels, len(gold))
        return [ChoiceExample(str(number), "", "", ("", ""), label) for number, label in enumerate(gold)], found


def _choice(line: str) -> int:
    try:
        row = parse(line)
    except json.JSONDecodeError:
        row = None
    if not isinstance(row, dict) or "label" not in row:
        message = f"{line[:60]!r} is no object with a label, such as {json.dumps({'label': 0})}"
        raise ValueError(message)
    label = row["label"]
    # True is an int that equals 1.
    if type(label) is not int or label not in (0, 1):
        message = f"label {label!r} is not one of 0, 1"
        raise ValueError(message)
    return label
