"""What a page says, as values: the template only lays them out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.artifacts.workspace import Workspace
from harness.comparison.alignment import Aligned, AlignedTask, problem_of
from harness.comparison.comparing import families
from harness.comparison.differences import ALPHA, GroupDifference, differences
from harness.comparison.groups import EVERY_LANGUAGE, EVERY_TASK
from harness.comparison.page import charts
from harness.comparison.page.charts import Bar, Series
from harness.comparison.page.layers import Layers, layers
from harness.comparison.page.training import Training, training
from harness.comparison.runs import FinishedRun, named
from harness.comparison.scores import GroupScore, measured_scores, transfer_gap
from harness.comparison.sheets import p_text, plain
from harness.comparison.signature import signature
from harness.core.errors import UsageError
from harness.core.languages import language as language_row
from harness.core.languages import scripts, table
from harness.core.progress import Progress
from harness.core.tables import EMPTY
from harness.evaluation.exposure import MARKS
from harness.evaluation.results import LATIN, NOT_LATIN

#: Shades of a heat map: the number of a cell's class, from light to dark.
SHADES = 7
#: Runs that a page compares at most: as many as a chart has colours.
MOST_RUNS = len(charts.SERIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """One score of the heat map."""

    text: str
    #: 0 to `SHADES` - 1.
    shade: int
    mark: str
    #: The score with interval and n.
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    """One language."""

    code: str
    name: str
    cells: Sequence[HeatCell | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """One run's scores: languages grouped by script, a column for each task."""

    run: str
    tasks: Sequence[str]
    scripts: Sequence[tuple[str, Sequence[HeatRow]]]
    means: Sequence[HeatCell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the comparison of two runs shows, in words."""

    right: str
    left: str
    sentence: str
    better: Sequence[str]
    worse: Sequence[str]
    unclear: Sequence[str]
    #: Why intervals without 0 are among `unclear`; empty where none is.
    why_unclear: str
    rows: Sequence[Sequence[str]]
    chart: str
    families: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where one run's numbers come from."""

    run: str
    folder: str
    signature: str
    facts: Sequence[tuple[str, str]]
    #: Training set, digest of the checkpoint, digest of the graph, variant.
    graphs: Sequence[tuple[str, str, str, str]]
    data: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All of a page but its examples."""

    runs: Sequence[str]
    claims: Sequence[Claim]
    #: Why runs are not compared, where they are not.
    not_compared: str
    heats: Sequence[Heat]
    script_chart: str
    script_rows: Sequence[Sequence[str]]
    latin_rows: Sequence[Sequence[str]]
    task_rows: Sequence[Sequence[str]]
    speed_rows: Sequence[Sequence[str]]
    training: Training
    layers: Layers
    provenance: Sequence[Provenance]
    #: Each warning with the runs that it is about.
    warnings: Sequence[tuple[str, Sequence[str]]]
    markers: Sequence[str]
    is_sample: bool
    remarks: Sequence[str]
    exposure_legend: Sequence[tuple[str, str]]


def content(
    alone: Sequence[Aligned], together: Aligned | None, not_compared: str, workspace: Workspace, progress: Progress
) -> Content:
    """Return what a page says of some runs.

    Args:
        alone: each run with all of its tasks and languages.
        together: the runs on their common items; None where there is one, or they do not compare.
        not_compared: why not.
        workspace: where the graphs are.
        progress: shows what is computed.
    """
    runs = [aligned.runs[0] for aligned in alone]
    names = [plain(name) for name in named(runs)]
    languages = [list(measured_scores(aligned, "language")) for aligned in alone]
    by_script = [list(measured_scores(aligned, "script")) for aligned in alone]
    latin = [list(measured_scores(aligned, "latin")) for aligned in alone]
    chart, script_rows = _scripts(names, by_script)
    return Content(
        runs=names,
        claims=[] if together is None else _claims(together, names, progress),
        not_compared=not_compared,
        heats=[_heat(name, aligned, rows) for name, aligned, rows in zip(names, alone, languages, strict=True)],
        script_chart=chart,
        script_rows=script_rows,
        latin_rows=_latin(names, alone, latin),
        task_rows=_tasks(names, languages),
        speed_rows=[_speed(name, run) for name, run in zip(names, runs, strict=True)],
        training=training(names, runs, workspace, progress),
        layers=layers(names, runs, workspace, progress),
        provenance=[_provenance(name, run, workspace) for name, run in zip(names, runs, strict=True)],
        warnings=_shared_warnings(names, runs),
        markers=charts.MARKERS[: len(names)],
        is_sample=alone[0].is_sample,
        remarks=list(dict.fromkeys(line for each in (*alone, together) if each is not None for line in each.remarks)),
        exposure_legend=[(mark, meaning) for meaning, mark in MARKS.items() if mark],
    )


def _claims(together: Aligned, names: Sequence[str], progress: Progress) -> list[Claim]:
    rows = differences(together, "script", progress)
    count = len(together.runs) - 1
    size = len(rows) // count
    return [
        _claim(rows[number * size : (number + 1) * size], names[0], names[number + 1], f"difference-{number}")
        for number in range(count)
    ]


def _claim(rows: Sequence[GroupDifference], left: str, right: str, chart: str) -> Claim:
    several = any(row.task == EVERY_TASK for row in rows)
    top = EVERY_TASK if several else rows[0].task
    overall = next(row for row in rows if (row.task, row.group) == (top, EVERY_LANGUAGE))
    by_script = [row for row in rows if row.task == top and row.group != EVERY_LANGUAGE]
    over = f"all {sum(row.group == EVERY_LANGUAGE for row in rows) - 1} tasks" if several else top
    drawn = [*by_script, overall]
    return Claim(
        right=right,
        left=left,
        sentence=_sentence(overall, left, right, over),
        better=[f"{row.group} ({row.value:+.1f})" for row in by_script if row.significant and row.value > 0],
        worse=[f"{row.group} ({row.value:+.1f})" for row in by_script if row.significant and row.value < 0],
        unclear=[f"{row.group} ({row.value:+.1f})" for row in by_script if not row.significant],
        why_unclear=" ".join(why_unclear(drawn)),
        rows=[_difference_cells(row) for row in rows],
        chart=charts.dots(
            chart,
            [row.group for row in drawn],
            [Series(name=right, bars=[Bar(value=row.value, interval=row.interval) for row in drawn])],
            "percentage points",
            zero=True,
        ),
        families=", ".join(f"{name} {number}" for name, number in families(rows).items()),
    )


def why_unclear(rows: Sequence[GroupDifference]) -> Iterator[str]:
    """Yield a sentence for each reason why a difference is not shown although its interval is without 0.

    Args:
        rows: what the headline shows.
    """
    apart = [
        row
        for row in rows
        if row.interval is not None
        and (row.interval.low > 0 or row.interval.high < 0)
        and row.corrected is not None
        and row.p_value is not None
        and not row.significant
    ]
    by_size: dict[int, list[str]] = {}
    for row in apart:
        if row.p_value is not None and row.p_value <= ALPHA:
            by_size.setdefault(row.family_size, []).append(row.group)
    for size, found in by_size.items():
        yield (
            f"{_without_0(found)}, and yet no difference is shown: an interval is for one comparison, while the "
            f"p-values are corrected by Holm's method over all {size} comparisons."
        )
    for row in apart:
        if row.p_value is not None and row.p_value > ALPHA:
            yield (
                f"{_without_0([row.group])}, and yet no difference is shown: its test ({row.test}, p = "
                f"{p_text(row.p_value)} before any correction) is another method than its interval "
                f"({row.interval_method})."
            )


def _without_0(found: Sequence[str]) -> str:
    if len(found) == 1:
        return f"The interval of {found[0]} does not contain 0"
    return f"The intervals of {', '.join(found[:-1])} and {found[-1]} do not contain 0"


def _sentence(row: GroupDifference, left: str, right: str, over: str) -> str:
    if not row.significant:
        return f"{right} is not shown to differ from {left} over {over} ({row.value:+.1f} points; {_sure(row)})"
    amount = f"{abs(row.value):.1f} points {'better' if row.value > 0 else 'worse'}"
    return f"{right} is {amount} than {left} over {over} ({_sure(row)})"


def _sure(row: GroupDifference) -> str:
    if row.interval is None:
        return row.problem
    interval = f"95 % interval {row.interval.low:+.1f} to {row.interval.high:+.1f}"
    corrected = row.corrected
    return f"{interval}, p {'' if corrected is not None and corrected < 0.001 else '= '}{p_text(corrected)}"


def _difference_cells(row: GroupDifference) -> list[str]:
    return [
        row.task,
        row.group,
        str(len(row.languages)),
        f"{row.examples:,}",
        f"{row.left_score:.1f}",
        f"{row.right_score:.1f}",
        f"{row.value:+.1f}",
        EMPTY if row.interval is None else f"{row.interval.low:+.1f} to {row.interval.high:+.1f}",
        p_text(row.corrected),
        " ".join([*(["better" if row.value > 0 else "worse"] if row.significant else []), *row.marks, row.problem]),
    ]


def _heat(name: str, aligned: Aligned, rows: Sequence[GroupScore]) -> Heat:
    tasks = [task.task.name for task in aligned.tasks]
    found = {(row.task, row.group): row for row in rows}
    marks = {(cell.task, cell.language): cell.exposure[0] for cell in aligned.cells}
    grouped: list[tuple[str, list[HeatRow]]] = []
    for script in scripts():
        codes = [
            code
            for code, row in table().items()
            if row.script == script and any((task, code) in found for task in tasks)
        ]
        lines = [
            HeatRow(
                code=code,
                name=language_row(code).name,
                cells=[
                    _heat_cell(found[task, code], marks[task, code]) if (task, code) in found else None
                    for task in tasks
                ],
            )
            for code in codes
        ]
        if lines:
            grouped.append((script, lines))
    means = [_heat_cell(found[task, EVERY_LANGUAGE], None) for task in tasks]
    return Heat(run=name, tasks=tasks, scripts=grouped, means=means)


def _heat_cell(row: GroupScore, exposure: str | None) -> HeatCell:
    return HeatCell(
        text=f"{row.value:.1f}",
        shade=min(SHADES - 1, max(0, int(row.value / 100 * SHADES))),
        mark=MARKS.get(exposure, "") if exposure is not None else "",  # type: ignore[call-overload]
        detail=row.text() + (f"; {exposure}" if exposure not in (None, "unseen") else ""),
    )


def _scripts(names: Sequence[str], rows: Sequence[Sequence[GroupScore]]) -> tuple[str, list[list[str]]]:
    """Return the chart and the table of means by script: over all tasks, or of the only one."""
    found = []
    for own in rows:
        top = EVERY_TASK if any(row.task == EVERY_TASK for row in own) else own[0].task
        found.append({row.group: row for row in own if row.task == top})
    groups = [name for name in (*scripts(), EVERY_LANGUAGE) if any(name in own for own in found)]
    series = [
        Series(name=name, bars=[_bar(own.get(group)) for group in groups])
        for name, own in zip(names, found, strict=True)
    ]
    chart = charts.dots("scripts", groups, series, "mean of languages, then of tasks, percent", zero=False)
    return chart, [[group, *(own[group].text() if group in own else EMPTY for own in found)] for group in groups]


def _bar(row: GroupScore | None) -> Bar | None:
    if row is None:
        return None
    return Bar(value=row.value, interval=None if row.measured is None else row.measured.interval)


def _tasks(names: Sequence[str], rows: Sequence[Sequence[GroupScore]]) -> list[list[str]]:
    found = [{row.task: row for row in own if row.group == EVERY_LANGUAGE} for own in rows]
    tasks = list(dict.fromkeys(task for own in found for task in own if task != EVERY_TASK))
    return [[task, *(own[task].text() if task in own else EMPTY for own in found)] for task in tasks]


def _latin(names: Sequence[str], alone: Sequence[Aligned], rows: Sequence[Sequence[GroupScore]]) -> list[list[str]]:
    """Return for each task and run the Latin and the non-Latin mean, and the transfer gap."""
    lines = []
    for name, aligned, own in zip(names, alone, rows, strict=True):
        found = {(row.task, row.group): row.text() for row in own}
        for task in aligned.tasks:
            key = task.task.name
            lines.append([key, name, found.get((key, LATIN), EMPTY), found.get((key, NOT_LATIN), EMPTY), _gap(task)])
    order = list(dict.fromkeys(line[0] for line in lines))
    return sorted(lines, key=lambda line: order.index(line[0]))


def _gap(task: AlignedTask) -> str:
    try:
        estimate = transfer_gap(task, 0)
        if estimate is None:
            return EMPTY
        return f"{estimate.value:+.1f} ±{estimate.interval().half:.1f}, n {estimate.examples:,}"
    except UsageError as error:
        return problem_of(error)


def _speed(name: str, run: FinishedRun) -> list[str]:
    record = run.record
    seconds, useful = record.padding.get("graph_seconds"), record.padding.get("useful_tokens")
    speed = f"{useful / seconds:,.0f}" if seconds and useful else EMPTY
    means = [task.score for task in record.tasks.values()]
    return [
        name,
        f"{sum(means) / len(means):.1f} over {len(means)} tasks" if means else EMPTY,
        speed,
        EMPTY if useful is None else f"{useful:,.0f}",
        EMPTY if "ratio" not in record.padding else f"{record.padding['ratio']:.3f}",
        record.provenance.backend or record.endpoint,
        f"{record.stages['total']:.1f} s" if "total" in record.stages else EMPTY,
    ]


def _provenance(name: str, run: FinishedRun, workspace: Workspace) -> Provenance:
    record, provenance = run.record, run.record.provenance
    git = provenance.git
    commit = git.get("commit")
    facts = [
        ("created", provenance.created),
        ("endpoint", record.endpoint),
        ("backend", provenance.backend),
        ("suite", record.suite or "none"),
        ("split", record.request.split),
        ("limit", "none" if record.request.limit is None else str(record.request.limit)),
        ("commit", EMPTY if not commit else f"{commit}{' with changes' if git.get('dirty') else ''}"),
        ("data folder", provenance.data),
        ("search", provenance.search or EMPTY),
        ("tokenizer", provenance.tokenizer_sha256),
        ("fingerprint", record.fingerprint or EMPTY),
        ("repeats", record.repeats),
        ("packages", ", ".join(f"{package} {version}" for package, version in sorted(provenance.packages.items()))),
        ("machine", ", ".join(f"{key} {value}" for key, value in provenance.machine.items())),
    ]
    return Provenance(
        run=name,
        folder=str(run.path),
        signature=signature(run, workspace.artifacts),
        facts=[(key, value) for key, value in facts if value],
        graphs=[
            (
                finetune,
                provenance.checkpoint_sha256.get(finetune, EMPTY),
                digest,
                provenance.variant.get(finetune, EMPTY),
            )
            for finetune, digest in provenance.graph_sha256.items()
        ],
        data=list(provenance.data_sha256.items()),
    )


def _shared_warnings(names: Sequence[str], runs: Sequence[FinishedRun]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for name, run in zip(names, runs, strict=True):
        for line in warnings(run):
            found.setdefault(line, []).append(name)
    return list(found.items())


def warnings(run: FinishedRun) -> list[str]:
    """Return what a reader must know before trusting a run's numbers, from its record."""
    found = [warning.text for warning in run.record.warnings]
    for name, task in run.record.tasks.items():
        if task.leak:
            found.append(f"{name}: LEAK, the model was trained on evaluation sentences: {task.leak}")
        if task.stand_in:
            found.append(f"{name}: trained on {task.stand_in}, a stand-in for the task's own training set")
        if task.selected_on:
            found.append(f"{name}: {task.selected_on} dev also chose the model's step")
        if not task.exposure_declared:
            found.append(f"{name}: what the model was taught before is not declared")
        if not task.complete:
            found.append(f"{name}: {task.label or 'not the whole official test set'}; not part of any overall number")
    if run.record.provenance.git.get("dirty"):
        found.append("the code had changes that no commit holds")
    return found


def as_mapping(value: Content) -> Mapping[str, Any]:
    """Return the fields of a page's content by name."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
