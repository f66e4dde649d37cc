"""The tables of a paper: scores of runs by task and by language, with intervals, the best in bold, and a caption."""

from collections.abc import Sequence
from dataclasses import replace

from harness.artifacts.store import ArtifactStore
from harness.comparison.alignment import Aligned
from harness.comparison.groups import EVERY_LANGUAGE, EVERY_TASK
from harness.comparison.published import CAUTION, PublishedScore, published
from harness.comparison.runs import named
from harness.comparison.scores import GroupScore, measured_scores
from harness.comparison.sheets import Sheet
from harness.comparison.signature import signature
from harness.core.tables import EMPTY
from harness.evaluation.exposure import MARKS


def paper_tables(alone: Sequence[Aligned], store: ArtifactStore, *, beside: bool = False) -> list[Sheet]:
    """Return one table of means by task, and one for each task with its languages in official order.

    Args:
        alone: each run with all of its tasks and languages.
        store: graphs, which know encoder and seed.
        beside: whether published numbers stand beside the means.
    """
    runs = [aligned.runs[0] for aligned in alone]
    names = named(runs)
    scores = [list(measured_scores(aligned, "language")) for aligned in alone]
    found = [{(row.task, row.group): row for row in own} for own in scores]
    tasks = list(dict.fromkeys(row.task for own in scores for row in own if row.task != EVERY_TASK))
    signatures = [f"{name}: {signature(run, store)}" for name, run in zip(names, runs, strict=True)]
    partial = list(
        dict.fromkeys(
            f"{name}: {record.label}"
            for run in runs
            for name, record in run.record.tasks.items()
            if not record.complete and record.label
        )
    )
    shared = [
        "± is half of a 95 % interval, n the number of examples (docs/statistics.md)",
        *(f"{mark} {meaning}" for meaning, mark in MARKS.items() if mark),
    ]
    title, notes = alone[0].marked("Means over languages, percent"), [*shared, *partial, *signatures]
    means = [(task, (task, EVERY_LANGUAGE)) for task in tasks]
    sheets = [_sheet(title, "task", means, names, found, notes)]
    if beside:
        sheets = [_with_published(sheets[0], tasks)]
    for task in tasks:
        languages = list(dict.fromkeys(group for own in found for name, group in own if name == task))
        rows = [(code, (task, code)) for code in languages if code != EVERY_LANGUAGE]
        rows.append((EVERY_LANGUAGE, (task, EVERY_LANGUAGE)))
        own_signatures = [
            f"{name}: {signature(run, store, [task])}"
            for name, run in zip(names, runs, strict=True)
            if task in run.record.tasks
        ]
        title, notes = alone[0].marked(f"{task} by language, percent"), [*shared, *own_signatures]
        sheets.append(_sheet(title, "language", rows, names, found, notes))
    return sheets


def _with_published(sheet: Sheet, tasks: Sequence[str]) -> Sheet:
    """Return the table of means with a column for each published model that has any of the tasks."""
    known = {model: scores for model, scores in published().items() if any(task in scores for task in tasks)}
    sources = {score.source: None for scores in known.values() for score in scores.values()}
    return replace(
        sheet,
        columns=[*sheet.columns, *(f"{model} (published)" for model in known)],
        rows=[
            [*row, *(scores[task].text() if task in scores else EMPTY for scores in known.values())]
            for task, row in zip(tasks, sheet.rows, strict=True)
        ],
        records=[
            *({**record, "source": ""} for record in sheet.records),
            *(
                _published_record(sheet.title, score)
                for scores in known.values()
                for score in scores.values()
                if score.task in tasks
            ),
        ],
        notes=[*sheet.notes, CAUTION, f"sources: {'; '.join(sources)}"],
    )


def _published_record(title: str, score: PublishedScore) -> dict[str, object]:
    return {
        "table": title,
        "task": score.task,
        "run": f"{score.model} (published)",
        "score": score.value,
        "method": f"{score.metric}{'' if score.confirmed else ', not confirmed'}",
        "source": score.source,
    }


def _sheet(
    title: str,
    kind: str,
    rows: Sequence[tuple[str, tuple[str, str]]],
    names: Sequence[str],
    found: Sequence[dict[tuple[str, str], GroupScore]],
    notes: Sequence[str],
) -> Sheet:
    best = set()
    for y, (_, key) in enumerate(rows):
        values = {x: own[key].value for x, own in enumerate(found, start=2) if key in own}
        if len(names) > 1:
            best |= {(y, x) for x, value in values.items() if value == max(values.values())}
    return Sheet(
        title=title,
        columns=[kind, "n", *names],
        rows=[[label, _examples(found, key), *(_text(own.get(key)) for own in found)] for label, key in rows],
        records=[
            _record(title, kind, label, name, own[key])
            for label, key in rows
            for name, own in zip(names, found, strict=True)
            if key in own
        ],
        best=frozenset(best),
        notes=notes,
    )


def _examples(found: Sequence[dict[tuple[str, str], GroupScore]], key: tuple[str, str]) -> str:
    """Return how many examples a row's scores are of: one number for each run where they differ."""
    return " / ".join(dict.fromkeys(f"{own[key].examples:,}" for own in found if key in own))


def _text(row: GroupScore | None) -> str:
    if row is None:
        return EMPTY
    marks = "".join(dict.fromkeys(MARKS[each] for each in row.exposure)) if row.group != EVERY_LANGUAGE else ""  # type: ignore[index]
    return row.text().partition(",")[0] + marks


def _record(title: str, kind: str, label: str, name: str, row: GroupScore) -> dict[str, object]:
    interval = None if row.measured is None else row.measured.interval
    return {
        "table": title,
        "task": row.task,
        kind: label,
        "run": name,
        "score": row.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "method": "" if row.measured is None else row.measured.method,
        "n": row.examples,
        "exposure": list(row.exposure),
    }
