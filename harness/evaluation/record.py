"""The record of a run on disk: `scores.json`, with everything that repeats it."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.artifacts.run import SCORES, ProvenanceRecord, RunRecord
from harness.benchmark.suites import SUITES, Suite, group_means, overall
from harness.core.errors import UsageError
from harness.core.files import write_json
from harness.core.records import to_json
from harness.evaluation.journal import Journal
from harness.evaluation.plan import Plan, repeats
from harness.evaluation.provenance import provenance
from harness.evaluation.request import Evaluation
from harness.evaluation.results import RunResult, TaskScore
from harness.evaluation.warning_rules import warnings
from harness.evaluation.workload import unanswered

#: What of a provenance is about the answers, not about the scores.
_OF_ANSWERS = ("git", "packages", "machine", "created")


def write_run(
    planned: Plan,
    journal: Journal,
    tasks: Sequence[TaskScore],
    *,
    endpoint: str,
    backend: str,
    beside: Mapping[str, Any],
    answered: ProvenanceRecord | None = None,
) -> RunResult:
    """Write `scores.json` and return what it holds.

    Args:
        planned: the evaluation.
        journal: of the run.
        tasks: the scores.
        endpoint: the kind of endpoint that answered.
        backend: what computed the answers.
        beside: further entries: seconds of stages, rows tokenized, the fingerprint.
        answered: the provenance of the answers, where only the scores were computed again; that of now is then
            recorded beside it as `rescored`.
    """
    evaluation = planned.evaluation
    padding = journal.padding([artifact.graph_sha256 for artifact in evaluation.artifacts])
    # Published scores say nothing of sample data.
    doubts = warnings(tasks, official=evaluation.layout.coverage() is None)
    computed = {graph.graph_sha256: journal.origin(graph.graph_sha256).numerics for graph in evaluation.artifacts}
    same = repeats(evaluation.artifacts, computed)
    now = provenance(evaluation.jobs, evaluation.layout, evaluation.artifacts, backend)
    document = {
        "format": RunRecord.newest,
        "model": evaluation.model,
        "variant": evaluation.variant,
        "endpoint": endpoint,
        "suite": evaluation.suite,
        "request": evaluation.request,
        "tasks": {task.task.name: task.to_json() for task in tasks},
        **({} if evaluation.suite is None else suite_json(SUITES[evaluation.suite], tasks)),
        "plausibility": {
            task.task.name: {
                row.language: to_json(row.plausibility) for row in task.languages if row.plausibility is not None
            }
            for task in tasks
        },
        "warnings": to_json(doubts),
        "padding": padding,
        "gold_errors": gold_errors(evaluation),
        "repeats": same,
        "provenance": {
            **(now if answered is None else _answered(answered, now)),
            "tuning": None if evaluation.tuning is None else evaluation.tuning.to_json(),
        },
        **beside,
    }
    write_json(evaluation.output / SCORES, document)
    return RunResult(evaluation.model, evaluation.output, tasks, padding, doubts, beside.get("answers", {}), same)


def gold_errors(evaluation: Evaluation) -> list[dict[str, str]] | None:
    """Return the gold answers that contradict their text, each with task, language, file, id and what is wrong."""
    if evaluation.layout.gold_errors is None:
        return None
    return [
        {
            "task": job.task.name,
            "language": job.language,
            "file": str(error.file),
            "id": error.id,
            "problem": error.problem,
        }
        for job in evaluation.jobs
        for error in job.gold_errors(evaluation.layout) or ()
    ]


def _answered(before: ProvenanceRecord, now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance of a run that was scored again: who answered stays, who scored is beside it."""
    scored_by = {name: now[name] for name in ("git", "packages", "created")}
    return {**now, **{name: getattr(before, name) for name in _OF_ANSWERS}, "rescored": scored_by}


def suite_json(suite: Suite, tasks: Sequence[TaskScore]) -> dict[str, Any]:
    """Return the group means and the overall numbers by rule, over complete tasks only."""
    complete = {task.task.name: task.means() for task in tasks if task.complete}
    return {
        "groups": group_means(suite, {name: task.score for name, task in complete.items()}),
        "overall": overall(suite, complete),
    }


def check_answered(planned: Plan, journal: Journal) -> None:
    """Refuse a journal that lacks answers; the rows of the plan are there already.

    Raises:
        UsageError: names the graph and how many answers are pending.
    """
    evaluation = planned.evaluation
    for workload in evaluation.workloads:
        answered = journal.answered(workload.artifact.graph_sha256)
        pending = sum(len(unanswered(block, answered)) for block in workload.blocks(planned.rows))
        if pending:
            message = (
                f"run {evaluation.output} lacks {pending:,} answers of {workload.artifact.name!r}; it was stopped, the "
                f"graph or the data changed, or its answers were pruned; finish it with "
                f"`harness eval --output {evaluation.output} ...`, or ask for all of them with `harness eval --fresh`"
            )
            raise UsageError(message)
