"""One mined pair a line, ``foreign id TAB English id``, in any order; labels are the gold pairs (BUCC)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.sources.lines import malformed
from harness.benchmark.submissions import reading
from harness.benchmark.submissions.reading import Role
from harness.core.errors import DataError
from harness.core.examples import SentenceExample, is_scored
from harness.core.task import Tally


@dataclass(frozen=True, slots=True)
class PairLines:
    """Predictions are tuples of English ids, for each foreign id of either file.

    Both files are sets of pairs: a pair that comes twice counts once. The official scorer takes blank
    lines for one more predicted pair, which is wrong, and an empty file for no pairs.
    """

    suffix: str = "tsv"

    def render(self, examples: Sequence[SentenceExample], predictions: Sequence[tuple[str, ...]]) -> str:
        """See `harness.core.task.Submission`."""
        return "".join(
            f"{example.id}\t{target}\n"
            for example, targets in zip(examples, predictions, strict=True)
            if is_scored(example)
            for target in targets
        )

    def labels_of(self, examples: Sequence[SentenceExample]) -> str:
        """See `harness.core.task.Submission`."""
        return self.render(examples, [tuple(sorted(example.gold)) for example in examples])

    def read(
        self, labels: Path, predictions: Path, tally: Tally | None
    ) -> tuple[list[SentenceExample], list[tuple[str, ...]]]:
        """See `harness.core.task.Submission`."""
        gold = _pairs(labels, "labels", None)
        found: Mapping[str, Mapping[str, None]] = {}
        if tally is None or reading.present(predictions, "predictions").read_bytes().strip():
            found = _pairs(predictions, "predictions", tally)
        else:
            tally.missing += sum(len(targets) for targets in gold.values())
        if tally is None:
            _check_ids(predictions, found, labels, gold)
        names = list(dict.fromkeys((*gold, *found)))
        examples = [SentenceExample(name, "", "query", frozenset(gold.get(name, ()))) for name in names]
        return examples, [tuple(found.get(name, ())) for name in names]


def _pairs(path: Path, role: Role, tally: Tally | None) -> dict[str, dict[str, None]]:
    """Return the English ids of each foreign id, in the order of the file."""
    found: dict[str, dict[str, None]] = {}
    for number, line in enumerate(reading.lines(path, role), start=1):
        ids = line.strip().split("\t")
        if ids == [""] and tally is not None:
            tally.extra += 1
            ids = ["", ""]
        elif len(ids) != 2 or not all(ids):
            raise _no_pair(path, role, number, line)
        found.setdefault(ids[0], {})[ids[1]] = None
    return found


def _check_ids(
    path: Path, found: Mapping[str, Mapping[str, None]], labels: Path, gold: Mapping[str, Mapping[str, None]]
) -> None:
    """Refuse predicted ids that can match no gold pair, though they are meant to.

    Ids without a gold pair are right here: most sentences have no translation.

    Raises:
        DataError: the columns are in the other order, or an id is written in another way.
    """
    english = {target for targets in gold.values() for target in targets}
    if found and found.keys().isdisjoint(gold) and not english.isdisjoint(found):
        message = f"{path} has the English ids first; each line must be `foreign id TAB English id`, as in {labels}"
        raise DataError(message)
    predicted = dict.fromkeys(target for targets in found.values() for target in targets)
    for ids, known in ((found, gold), (predicted, english)):
        alike = reading.look_alike((name for name in ids if name not in known), known)
        if alike is not None:
            message = (
                f"{path} has the id {alike[0]!r} where {labels} has {alike[1]!r}; "
                f"they differ in case, blanks or normal form only, and ids must be equal"
            )
            raise DataError(message)


def _no_pair(path: Path, role: Role, number: int, line: str) -> DataError:
    problem = f"{line[:60]!r} is no pair, `foreign id TAB English id` is expected"
    if role == "predictions" and not line.strip():
        problem += ", or `--official-missing` counts it as a wrong pair"
    return malformed(path, number, problem)
