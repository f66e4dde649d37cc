"""The bodies of `harness data list`, `check`, `get` and `labels`: from values to lines and an exit code."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.acquire import check, listing
from harness.acquire.catalogue import choose
from harness.acquire.get import destination, get, summary
from harness.acquire.supply import FromFolder, FromHub, check_repository
from harness.artifacts.store import TOKENIZER
from harness.artifacts.workspace import Workspace
from harness.core.errors import DataError, UsageError, nearest
from harness.core.files import write_text
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.evaluation.selection import check_suite, choose_jobs, choose_tasks
from harness.evaluation.workload import by_task
from harness.tokenization.tokenizer import FastTokenizer


@dataclass(frozen=True, slots=True)
class DataReport:
    """What a command prints, and whether everything that was named is there."""

    lines: tuple[str, ...]
    complete: bool = True


def list_data() -> DataReport:
    """Return the table of what is needed, and the notes it has no room for."""
    return DataReport((listing.data_table().text(), *listing.notes()))


def check_data(
    data: Path | None,
    names: Sequence[str],
    languages: Sequence[str],
    splits: Sequence[str],
    workspace: Workspace,
    progress: Progress,
    *,
    tokenizer: str | None = None,
    as_json: bool = False,
) -> DataReport:
    """Return what a data folder has of some tasks and training sets, and how healthy it is.

    Args:
        data: the folder; $HARNESS_DATA where None, or else the sample data of the workspace.
        names: tasks or training sets, or ``all``.
        languages: only these, if any are given.
        splits: only these, if any are given.
        workspace: where the sample data is, written first if it is not there.
        progress: shows how far it is.
        tokenizer: whose subwords are looked for: a `tokenizer.json`, its folder, or an exported model; the first
            exported model of the workspace where None, if there is one.
        as_json: return one JSON document instead of the tables.

    Raises:
        UsageError: a name is unknown.
        DataError: there is no such folder.
        ArtifactError: the tokenizer cannot be read.
    """
    folder, first = _folder_to_read(data, workspace)
    layout = Layout.at(folder)
    chosen = choose(names or ["all"], languages, splits, layout)
    named, path = _tokenizer(tokenizer, workspace)
    findings = check.check(chosen, layout, progress, FastTokenizer(path).subwords if path else None)
    complete = all(finding.state in check.FINE for finding in findings)
    if as_json:
        document = check.to_json(findings, folder, named)
        return DataReport((json.dumps(document, indent=1, ensure_ascii=False),), complete)
    return DataReport((*first, *check.lines(findings, folder), *check.health_lines(findings, named)), complete)


def _tokenizer(wanted: str | None, workspace: Workspace) -> tuple[str, Path | None]:
    """Return the name of a tokenizer and its file; an empty name and None where there is none.

    Raises:
        UsageError: what is wanted is neither a file, a folder that holds one, nor an exported model.
    """
    models = workspace.artifacts.models()
    if wanted is None:
        wanted = models[0] if models else None
        if wanted is None:
            return "", None
    for path in (Path(wanted), Path(wanted) / TOKENIZER):
        if path.is_file():
            return wanted, path
    if wanted not in models:
        message = (
            f"no tokenizer {wanted!r}{nearest(wanted, models)}; `--tokenizer` takes a {TOKENIZER}, the folder of one, "
            f"or an exported model, which `harness models` lists"
        )
        raise UsageError(message)
    return f"model {wanted}", workspace.artifacts.of(wanted)[0].tokenizer


def get_data(
    names: Sequence[str],
    data: Path | None,
    origin: Path | None,
    languages: Sequence[str],
    repository: str | None,
    revision: str | None,
    progress: Progress,
) -> DataReport:
    """Write the files of some tasks and training sets, from the hub or from a local folder.

    Args:
        names: tasks or training sets, or ``all``.
        data: the folder that gets the files; $HARNESS_DATA where None.
        origin: a folder in the official or the hub's layout; None is the hub.
        languages: only these, if any are given.
        repository: take the rows from this one, even where they are not the benchmark's own.
        revision: a commit, branch or tag instead of the pin.
        progress: shows what happens.

    Raises:
        UsageError: a name is unknown, options exclude each other, or DEST cannot be used.
        DataError: the hub or its cache failed.
    """
    chosen = choose(names, languages)
    if origin is not None and revision is not None:
        message = "`--revision` is a commit of the hub, and `--from` takes local files; leave one out"
        raise UsageError(message)
    check_repository(chosen, repository, revision)
    dest = destination(_folder(data))
    if origin is not None:
        outcomes = get(chosen, dest, FromFolder(origin, repository=repository), progress)
    else:
        with FromHub(progress, repository=repository, revision=revision) as supplier:
            outcomes = get(chosen, dest, supplier, progress)
    return DataReport(tuple(summary(outcomes)), all(outcome.state in ("written", "kept") for outcome in outcomes))


def write_labels(
    data: Path | None, suite: str, names: Sequence[str], output: Path, workspace: Workspace, progress: Progress
) -> Iterator[str]:
    """Write the label files of test sets as `harness score` reads them; yield what was written and what is absent.

    Args:
        data: the data folder; $HARNESS_DATA where None, or else the sample data of the workspace.
        suite: whose tasks and languages count.
        names: tasks of it, or ``all``.
        output: gets ``TASK/test-LANGUAGE.SUFFIX`` files.
        workspace: where the sample data is, written first if it is not there.
        progress: shows each file.

    Raises:
        UsageError: an unknown suite or task.
        DataError: a file is malformed, or nothing of the tasks is there.
    """
    chosen = choose_tasks(names, check_suite(suite))
    folder, first = _folder_to_read(data, workspace)
    layout = Layout.at(folder)
    jobs = choose_jobs(chosen, suite=check_suite(suite), splits={task.name: "test" for task in chosen})
    there = [job for job in jobs if all(path.is_file() for path in job.paths(layout))]
    if not there:
        message = f"{layout.xtreme} has no test file of {', '.join(names)}; `harness data check` lists what is missing"
        raise DataError(message)
    yield from first
    with progress.step("writing labels", len(there), "files") as advance:
        for job in there:
            path = output / job.task.name / f"test-{job.language}.{job.task.submission.suffix}"
            write_text(path, job.task.submission.labels_of(job.read(layout)))
            advance(1)
    for name, members in by_task(there).items():
        yield f"{name}: {' '.join(job.language for job in members)} in {output / name}"
    for name, members in by_task([job for job in jobs if job not in there]).items():
        yield f"no test file, so no labels: {name} {' '.join(job.language for job in members)}"


def _folder_to_read(data: Path | None, workspace: Workspace) -> tuple[Path, list[str]]:
    """Return the data folder, and a line that says so where it is the sample's since none was named."""
    if data is None and not os.environ.get("HARNESS_DATA"):
        folder = workspace.sample_data()
        return folder, [f"the sample data in {folder}; `--data DIR` or HARNESS_DATA names another folder"]
    return _folder(data), []


def _folder(data: Path | None) -> Path:
    named = data or os.environ.get("HARNESS_DATA")
    if not named:
        message = "no data folder is given; name one with `--data DIR` or the variable HARNESS_DATA"
        raise UsageError(message)
    return Path(named)
