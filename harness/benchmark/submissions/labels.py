"""One label a line, in the order of the test file (XNLI, PAWS-X)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.rows import one_of
from harness.benchmark.submissions import reading
from harness.core.examples import PairExample
from harness.core.task import Tally


@dataclass(frozen=True, slots=True)
class LabelLines:
    """Predictions are labels, of which None as `labels` allows every one."""

    labels: tuple[str, ...] | None = None
    suffix: str = "tsv"

    def render(self, examples: Sequence[PairExample], predictions: Sequence[str]) -> str:
        """See `harness.core.task.Submission`."""
        return "".join(f"{label}\n" for _, label in zip(examples, predictions, strict=True))

    def labels_of(self, examples: Sequence[PairExample]) -> str:
        """See `harness.core.task.Submission`."""
        return self.render(examples, [example.label for example in examples])

    def read(self, labels: Path, predictions: Path, tally: Tally | None) -> tuple[list[PairExample], list[str]]:
        """See `harness.core.task.Submission`."""
        gold = reading.values(labels, "labels", self._label)
        found = reading.values(predictions, "predictions", self._label)
        if len(found) != len(gold):
            raise reading.unequal(predictions, len(found), labels, len(gold))
        return [PairExample(str(number), "", "", label) for number, label in enumerate(gold)], found

    def _label(self, line: str) -> str:
        if not line:
            message = "the line is blank, a label is expected"
            raise ValueError(message)
        return line if self.labels is None else one_of(line, self.labels, "label")
