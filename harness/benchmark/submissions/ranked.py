"""One JSON object from example ids to candidate ids, best first; labels have the gold ids (Mewsli-X, LAReQA).

The official scorer reads Mewsli-X in this format. It has none for LAReQA, which is scored in memory there.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.benchmark.submissions import reading
from harness.benchmark.submissions.reading import Role
from harness.core.errors import DataError
from harness.core.examples import SentenceExample, is_scored
from harness.core.task import Tally


@dataclass(frozen=True, slots=True)
class RankedIds:
    """Predictions are tuples of candidate ids, of which the metric counts the first 20."""

    suffix: str = "json"

    def render(self, examples: Sequence[SentenceExample], predictions: Sequence[tuple[str, ...]]) -> str:
        """See `harness.core.task.Submission`."""
        rankings = {
            example.id: list(ranking)
            for example, ranking in zip(examples, predictions, strict=True)
            if is_scored(example)
        }
        return json.dumps(rankings) + "\n"

    def labels_of(self, examples: Sequence[SentenceExample]) -> str:
        """See `harness.core.task.Submission`."""
        return self.render(examples, [tuple(sorted(example.gold)) for example in examples])

    def read(
        self, labels: Path, predictions: Path, tally: Tally | None
    ) -> tuple[list[SentenceExample], list[tuple[str, ...]]]:
        """See `harness.core.task.Submission`."""
        gold = {name: frozenset(map(str.strip, ids)) - {""} for name, ids in _rankings(labels, "labels").items()}
        if not gold:
            message = f"{labels} has no examples; it must hold at least one"
            raise DataError(message)
        for name, ids in gold.items():
            if not ids:
                raise reading.stripped(str(labels), f"example {name!r} has no gold id")
        found = reading.by_id(predictions, _rankings(predictions, "predictions"), labels, list(gold), tally)
        examples = [SentenceExample(name, "", "query", ids) for name, ids in gold.items()]
        return examples, [() if ranking is None else tuple(ranking) for ranking in found]


def _rankings(path: Path, role: Role) -> dict[str, list[str]]:
    rankings = reading.json_object(path, role)
    for name, ids in rankings.items():
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            message = f"{path}: example {name!r} has {str(ids)[:60]!r}; a list of ids, as texts, is expected"
            raise DataError(message)
    return rankings
