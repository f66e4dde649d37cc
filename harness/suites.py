"""XTREME and XTREME-R as ordered groups of tasks; the only place where groups are written.

From google-research/xtreme@838c13b evaluate.py. There XTREME-R lists XCOPA under two groups and
LAReQA under none; means over tasks count each task once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.task import SuiteName


@dataclass(frozen=True, slots=True)
class Suite:
    """One benchmark: its groups in the order of the official tables."""

    name: SuiteName
    groups: Mapping[str, tuple[str, ...]]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the tasks, each once."""
        return tuple(dict.fromkeys(task for group in self.groups.values() for task in group))


SUITES: Mapping[SuiteName, Suite] = {
    "xtreme": Suite(
        "xtreme",
        {
            "classification": ("pawsx", "xnli"),
            "structured prediction": ("udpos", "panx"),
            "question answering": ("xquad", "mlqa", "tydiqa"),
            "retrieval": ("bucc2018", "tatoeba"),
        },
    ),
    "xtreme-r": Suite(
        "xtreme-r",
        {
            "classification": ("xnli", "xcopa"),
            "structured prediction": ("udpos", "panx"),
            "question answering": ("xquad", "mlqa", "tydiqa"),
            "retrieval": ("tatoeba", "mewslix", "lareqa"),
        },
    ),
}


def group_means(suite: Suite, scores: Mapping[str, float]) -> dict[str, float]:
    """Return the mean of each group whose tasks all have a score; `scores` holds complete tasks only."""
    return {
        group: sum(scores[task] for task in tasks) / len(tasks)
        for group, tasks in suite.groups.items()
        if all(task in scores for task in tasks)
    }
