"""One tag a line with a blank line after each sentence, in the order of the test file (UDPOS, PAN-X)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.submissions import reading
from harness.benchmark.submissions.reading import Role
from harness.core.errors import DataError
from harness.core.examples import WordsExample
from harness.core.task import Tally


@dataclass(frozen=True, slots=True)
class TagLines:
    """Predictions are tuples of tags.

    A blank line closes a sentence, so each further blank line is an empty sentence; the last sentence
    needs none (google-research/xtreme@838c13b evaluate.py).
    """

    tags: tuple[str, ...]
    suffix: str = "tsv"

    def render(self, examples: Sequence[WordsExample], predictions: Sequence[tuple[str, ...]]) -> str:
        """See `harness.core.task.Submission`."""
        return "".join(
            "".join(f"{tag}\n" for tag in tags) + "\n" for _, tags in zip(examples, predictions, strict=True)
        )

    def labels_of(self, examples: Sequence[WordsExample]) -> str:
        """See `harness.core.task.Submission`."""
        return self.render(examples, [example.tags for example in examples])

    def read(
        self, labels: Path, predictions: Path, tally: Tally | None
    ) -> tuple[list[WordsExample], list[tuple[str, ...]]]:
        """See `harness.core.task.Submission`."""
        gold, found = self._sentences(labels, "labels"), self._sentences(predictions, "predictions")
        if list(map(len, gold)) != list(map(len, found)):
            raise _misaligned(labels, gold, predictions, found)
        words = {length: ("",) * length for length in set(map(len, gold))}
        return [WordsExample(str(number), words[len(tags)], tags) for number, tags in enumerate(gold)], found

    def _sentences(self, path: Path, role: Role) -> list[tuple[str, ...]]:
        rows = reading.lines(path, role)
        known = {"", *self.tags}
        # There are millions of lines and a few different ones.
        different = set(rows)
        if not different <= known:
            rows = [row.strip() for row in rows]
            different = set(rows)
        ends = _blank(rows)
        count = len(rows) - len(ends)
        if not different <= known:
            faults = [number for number, row in enumerate(rows, start=1) if row not in known]
            problem = f"tag {rows[faults[0] - 1]!r} is not one of {', '.join(self.tags)}"
            faulty = [rows[number - 1] for number in faults]
            raise reading.refused(path, role, faults[0], problem, faulty, count, self.tags.__contains__)
        if role == "labels":
            reading.check_labelled(path, different - {""}, count)
        if rows[-1]:
            ends.append(len(rows))
        starts = [0, *(end + 1 for end in ends[:-1])]
        return [tuple(rows[start:end]) for start, end in zip(starts, ends, strict=True)]


def _blank(rows: Sequence[str]) -> list[int]:
    """Return the places of the blank rows; the search runs in C, over millions of rows."""
    places: list[int] = []
    for _ in range(rows.count("")):
        places.append(rows.index("", places[-1] + 1 if places else 0))
    return places


def _misaligned(
    labels: Path, gold: Sequence[Sequence[str]], predictions: Path, found: Sequence[Sequence[str]]
) -> DataError:
    """Return the error for sentences that do not match, with the line where the first of them begins."""
    line = 1
    for number, (expected, tags) in enumerate(zip(gold, found, strict=False)):
        if len(expected) != len(tags):
            return DataError(
                f"{predictions}:{line}: sentence {number + 1} has {len(tags)} tags and in {labels} {len(expected)}; "
                f"there must be one tag for each word and one blank line after each sentence"
            )
        line += len(expected) + 1
    return DataError(
        f"{predictions} has {len(found)} sentences and {labels} {len(gold)}; "
        f"there must be one blank line after each sentence"
    )
