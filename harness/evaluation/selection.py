"""From what the command line names to the jobs that run."""

from collections.abc import Mapping, Sequence
from typing import cast, get_args

from harness.benchmark import tasks
from harness.benchmark.suites import SUITES
from harness.core.errors import UsageError, nearest
from harness.core.examples import Sample
from harness.core.languages import check_script, language
from harness.core.layout import Split, nearest_split
from harness.core.task import AnyTask, SuiteName
from harness.evaluation.workload import Job


def choose_tasks(names: Sequence[str], suite: SuiteName | None) -> list[AnyTask]:
    """Return the tasks that are named; ``all`` stands for every declared task of the suite.

    Raises:
        UsageError: an unknown name, or a task that the suite lacks.
    """
    if not names:
        message = f"`--tasks` names no task; write `--tasks all`, or some of {', '.join(tasks.names())}"
        raise UsageError(message)
    if "all" in names:
        for name in names:
            if name != "all":
                tasks.load(name)
        chosen = [tasks.load(name) for name in tasks.names()]
        return [task for task in chosen if suite is None or suite in task.languages]
    chosen = [tasks.load(name) for name in dict.fromkeys(names)]
    for task in chosen:
        if suite is not None and suite not in task.languages:
            suites = [name for name in task.languages if name in SUITES]
            where = f"it belongs to {', '.join(suites)}, leave `--suite` out or name that one" if suites else ""
            message = f"task {task.name!r} is not part of {suite}; {where or 'no suite has it, leave `--suite` out'}"
            raise UsageError(message)
    return chosen


def choose_protocols(chosen: Sequence[AnyTask], wanted: Sequence[str]) -> list[AnyTask]:
    """Return the tasks with the alternatives that ``TASK=ALTERNATIVE`` entries name.

    Raises:
        UsageError: an entry names no task of this evaluation, or the task lacks the alternative.
    """
    by_name = {task.name: task for task in chosen}
    for entry in wanted:
        name, equals, alternative = entry.partition("=")
        if not equals or name not in by_name:
            hint = nearest(name, by_name)
            message = (
                f"`--protocol {entry}` names no task of this evaluation{hint}; write TASK=ALTERNATIVE, "
                f"`harness tasks TASK` lists the alternatives"
            )
            raise UsageError(message)
        by_name[name] = by_name[name].choose(alternative)
    return list(by_name.values())


def check_suite(name: str | None) -> SuiteName | None:
    """Return the suite's name.

    Raises:
        UsageError: there is no such suite.
    """
    name = None if name is None else name.lower()
    if name is not None and name not in SUITES:
        message = f"no suite {name!r}{nearest(name, SUITES)}; the suites are {', '.join(SUITES)}"
        raise UsageError(message)
    return cast("SuiteName | None", name)


def parse_splits(text: str, chosen: Sequence[AnyTask]) -> dict[str, Split]:
    """Return the split of each task from ``test`` or ``panx=dev,mlqa=dev``; the rest is ``test``.

    Raises:
        UsageError: an unknown split, or a task that is not evaluated.
    """
    splits: dict[str, Split] = {task.name: "test" for task in chosen}
    known = get_args(Split)
    for part in text.split(","):
        name, equals, split = part.rpartition("=")
        if split not in known:
            message = (
                f"no split {split!r}{nearest_split(split)}; write `--split test` or `--split {chosen[0].name}=dev`"
            )
            raise UsageError(message)
        if equals and name not in splits:
            hint = nearest(name, splits)
            message = f"`--split {part}` names no task of this evaluation{hint}; they are {', '.join(splits)}"
            raise UsageError(message)
        for task in [name] if equals else list(splits):
            splits[task] = cast(Split, split)
    return splits


def choose_jobs(
    chosen: Sequence[AnyTask],
    *,
    suite: SuiteName | None = None,
    languages: Sequence[str] = (),
    scripts: Sequence[str] = (),
    splits: dict[str, Split],
    limit: int | None = None,
    sample: Sample | None = None,
    coverage: Mapping[str, Sequence[str]] | None = None,
) -> list[Job]:
    """Return one job for each task and language that is left after the filters.

    Args:
        chosen: the tasks.
        suite: whose languages count; the union of both without one.
        languages: keep these only, if any are given.
        scripts: keep languages of these scripts only, if any are given.
        splits: the split of each task.
        limit: examples of each job.
        sample: how the examples of each job are drawn.
        coverage: the languages of each task that the data folder says it has; all without one.

    Raises:
        UsageError: an unknown language or script, or nothing is left.
    """
    wanted = {language(code).code for code in languages}
    written = {check_script(script) for script in scripts}
    jobs = [
        Job(task, code, splits[task.name], limit, sample)
        for task in chosen
        for code in task.all_languages(suite)
        if (not wanted or code in wanted)
        and (not written or language(code).script in written)
        and (coverage is None or code in coverage.get(task.name, ()))
    ]
    if not jobs:
        names = ", ".join(task.name for task in chosen)
        covered = sorted({code for task in chosen for code in task.all_languages(suite)})
        message = f"no language is left of {names} by these filters; they cover {' '.join(covered)}"
        raise UsageError(message)
    return jobs
