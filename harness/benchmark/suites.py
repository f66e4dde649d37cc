"""XTREME and XTREME-R as ordered groups of tasks; the only place where groups are written.

From google-research/xtreme@838c13b evaluate.py. There XTREME-R lists XCOPA under two groups and
LAReQA under none; means over tasks count each task once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.core.task import SuiteName

#: The groups that some overall rules treat in a way of their own.
QUESTIONS, RETRIEVAL = "question answering", "retrieval"


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
            QUESTIONS: ("xquad", "mlqa", "tydiqa"),
            RETRIEVAL: ("bucc2018", "tatoeba"),
        },
    ),
    "xtreme-r": Suite(
        "xtreme-r",
        {
            "classification": ("xnli", "xcopa"),
            "structured prediction": ("udpos", "panx"),
            QUESTIONS: ("xquad", "mlqa", "tydiqa"),
            RETRIEVAL: ("tatoeba", "mewslix", "lareqa"),
        },
    ),
}


def group_means(suite: Suite, scores: Mapping[str, float]) -> dict[str, float]:
    """Return the mean of each group whose tasks all have a score; `scores` holds complete tasks only."""
    return {
        group: _mean([scores[task] for task in tasks])
        for group, tasks in suite.groups.items()
        if all(task in scores for task in tasks)
    }


@dataclass(frozen=True, slots=True)
class TaskMeans:
    """One task's unweighted means over its languages, in percent."""

    #: The mean of its headline metrics: the task's number.
    score: float
    #: The mean of each metric.
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to make a benchmark's overall number; several are in use, so each is printed by its name."""

    name: str
    #: What is averaged: the tasks, or the means of the groups that they are in.
    mean_of: Literal["tasks", "categories"]
    #: Groups that are left out.
    without: tuple[str, ...] = ()
    #: What question answering counts by; None for the task's own number, which is that of F1 and exact match.
    questions_by: str | None = None
    suites: tuple[SuiteName, ...] = ("xtreme", "xtreme-r")
    #: Who uses it.
    source: str

    def tasks(self, suite: Suite) -> tuple[str, ...]:
        """Return the tasks that count, each once."""
        return tuple(dict.fromkeys(task for _, tasks in self._groups(suite) for task in tasks))

    def value(self, suite: Suite, scores: Mapping[str, TaskMeans]) -> float:
        """Return the overall number in percent.

        Raises:
            KeyError: a task that counts has no score.
        """
        groups = [[self._number(group, scores[task]) for task in tasks] for group, tasks in self._groups(suite)]
        if self.mean_of == "categories":
            return _mean([_mean(numbers) for numbers in groups])
        return _mean([number for numbers in groups for number in numbers])

    def _groups(self, suite: Suite) -> list[tuple[str, tuple[str, ...]]]:
        return [(group, tasks) for group, tasks in suite.groups.items() if group not in self.without]

    def _number(self, group: str, means: TaskMeans) -> float:
        return means.score if group != QUESTIONS or self.questions_by is None else means.metrics[self.questions_by]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


RULES = (
    Rule(name="tasks", mean_of="tasks", source="google-research/xtreme@838c13b evaluate.py"),
    Rule(name="categories", mean_of="categories", source="XTREME-R's table, as far as its cells show"),
    Rule(
        name="categories_no_retrieval",
        mean_of="categories",
        without=(RETRIEVAL,),
        source="RemBERT (arXiv 2010.12821) Tables 7 and 16, Avg",
    ),
    Rule(
        name="tasks_no_retrieval",
        mean_of="tasks",
        without=(RETRIEVAL,),
        source="RemBERT (arXiv 2010.12821) Table 7, Avg_task",
    ),
    Rule(
        name="mgte",
        mean_of="tasks",
        questions_by="f1",
        suites=("xtreme-r",),
        source="mGTE (arXiv 2407.19669) Table 1",
    ),
)


def rules(suite: Suite) -> tuple[Rule, ...]:
    """Return the rules that are in use for a suite."""
    return tuple(rule for rule in RULES if suite.name in rule.suites)


def overall(suite: Suite, scores: Mapping[str, TaskMeans]) -> dict[str, float]:
    """Return the overall number by each rule whose tasks all have a score; `scores` holds complete tasks only."""
    return {
        rule.name: rule.value(suite, scores)
        for rule in rules(suite)
        if all(task in scores for task in rule.tasks(suite))
    }
