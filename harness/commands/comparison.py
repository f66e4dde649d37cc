"""The bodies of `harness compare`, `report` and `leaderboard`: from names of runs to lines and files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.artifacts.workspace import Workspace
from harness.comparison import card as cards
from harness.comparison import comparing
from harness.comparison import every_eval_ever as every_eval_ever_format
from harness.comparison.comparing import ComparisonRequest
from harness.comparison.leaderboard import board
from harness.comparison.runs import FinishedRun, all_runs, find, newest
from harness.comparison.sheets import Sheet, check_format, format_of, plain, render
from harness.core.errors import UsageError
from harness.core.files import write_json, write_text
from harness.core.progress import Progress

__all__ = ["ComparisonRequest", "ReportRequest", "compare", "leaderboard", "report"]

HTML = "html"
OWN, PUBLISHED = "own", "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """What `harness report` writes."""

    #: Folders, names of runs, models, or MODEL@VARIANT; the newest run of each model and variant where empty.
    runs: tuple[str, ...] = ()
    output: Path | None = None
    form: str | None = None
    examples: str = "sampled"
    #: ``published``: published numbers beside the means of the tables.
    rows: str = "own"
    data: Path | None = None
    force: bool = False


def predictions(
    name: str, output: Path, workspace: Workspace, progress: Progress, *, texts: bool = False, data: Path | None = None
) -> Iterator[str]:
    """Write the predictions of one run, example by example, and yield what was written.

    Args:
        name: folder or name of the run, model, or MODEL@VARIANT.
        output: the file; its suffix is the format.
        workspace: where runs, data and graphs are.
        progress: shows what is read.
        texts: also write the examples' texts.
        data: the data folder, where it is not where the run found it.

    Raises:
        UsageError: there is no such run, it has no journal, or the file has another suffix.
    """
    # pyarrow is read only where it writes.
    from harness.comparison import exported

    if output.suffix not in exported.SUFFIXES:
        message = f"{output} ends in {output.suffix or 'no suffix'!r}, {' or '.join(exported.SUFFIXES)} is expected"
        raise UsageError(message)
    _check_output(output, f"predictions{exported.SUFFIXES[0]}")
    runs, remarks = find([name], workspace)
    if len(runs) != 1:
        message = (
            f"{name!r} stands for {len(runs)} runs; name the folder of one, as `harness leaderboard --all` lists them"
        )
        raise UsageError(message)
    yield from remarks
    count = exported.write_predictions(runs[0], output, workspace, progress, texts=texts, data=data)
    yield f"{output}: {count:,} examples of {runs[0].name}"


def card(model: str, output: Path | None, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield the model card, or write it and yield where.

    Raises:
        UsageError: the model has no exported graph, or the output cannot be a file.
    """
    runs = [run for run in newest(all_runs(workspace).finished) if run.record.model == model]
    text = cards.card(model, runs, workspace, progress)
    if output is None:
        yield text.rstrip("\n")
        return
    _check_output(output, "README.md")
    write_text(output, text)
    yield f"{output}: {len(runs)} runs of {model}"


def every_eval_ever(model: str, output: Path, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Write the newest run of a model in the format of Every Eval Ever, and yield where.

    Raises:
        UsageError: the model has no run, the format's package is not installed, or the output cannot be a file.
    """
    _check_output(output, "result.json")
    every_eval_ever_format.package()
    (run, *_), remarks = find([model], workspace)
    document = every_eval_ever_format.checked(run, workspace, progress)
    write_json(output, document)
    yield from remarks
    yield f"{output}: {len(document['evaluation_results'])} results of {run.name}"


def compare(
    request: ComparisonRequest, workspace: Workspace, progress: Progress, form: str | None, output: Path | None
) -> Iterator[str]:
    """Yield the tables, or write them and yield where.

    Raises:
        UsageError: an unknown format, or an output that cannot be a file; see `comparing.compare`.
    """
    chosen = format_of(form, "" if output is None else output.suffix)
    _check_output(output, "comparison.md")
    sheets = comparing.compare(request, workspace, progress)
    yield from _written(render(sheets, chosen), output, sheets)


def report(request: ReportRequest, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Write the page of runs, or yield their tables.

    Raises:
        UsageError: there is no such run, it is not finished, or an option has a wrong value.
        MissingExtra: what the page needs is not installed.
    """
    form = request.form.lower() if request.form else _suffix_form(request.output)
    _check_output(request.output, "report.html")
    if request.rows not in (OWN, PUBLISHED):
        message = f"no rows {request.rows!r}; `--rows` is {OWN} or {PUBLISHED}"
        raise UsageError(message)
    if form != HTML:
        check_format(form)
    elif request.rows == PUBLISHED:
        message = "published numbers stand in tables, not on the page; add `--format md`, latex, csv or json"
        raise UsageError(message)
    runs, remarks = _runs(request.runs, workspace)
    yield from map(plain, remarks)
    if form != HTML:
        from harness.comparison.page.writing import aligned_alone
        from harness.comparison.tables import paper_tables

        alone = aligned_alone(runs, workspace, progress, request.data)
        sheets = paper_tables(alone, workspace.artifacts, beside=request.rows == PUBLISHED)
        yield from _written(render(sheets, check_format(form)), request.output, sheets)
        return
    from harness.comparison.page.writing import write_page

    written = write_page(
        runs,
        request.output or Path("report.html"),
        workspace,
        progress,
        examples=request.examples,
        data=request.data,
        force=request.force,
        remarks=() if request.runs else remarks,
    )
    if written.not_compared:
        yield plain(f"the runs are not compared: {written.not_compared}")
    yield written.describe()


def _suffix_form(output: Path | None) -> str:
    if output is None or output.suffix.lower() in ("", ".html", ".htm"):
        return HTML
    return format_of(None, output.suffix)


def _runs(names: Sequence[str], workspace: Workspace) -> tuple[list[FinishedRun], list[str]]:
    if names:
        return find(names, workspace)
    there = all_runs(workspace)
    found = newest(there.finished)
    if not found:
        message = (
            f"there is no finished run under {workspace.runs}; `harness eval --model NAME` makes one, or name folders"
        )
        raise UsageError(message)
    # The oldest is what the others are compared with: a baseline is usually evaluated first.
    remarks = [f"not shown: {path} is not finished, it has answers and no scores" for path in there.unfinished]
    return found[::-1], [*remarks, *(f"not shown: {line}" for line in there.damaged)]


def leaderboard(
    workspace: Workspace,
    *,
    sort: str = "model",
    every: bool = False,
    form: str | None = None,
    output: Path | None = None,
) -> Iterator[str]:
    """Yield the table of all runs, or write it and yield where.

    Raises:
        UsageError: there is no finished run, an unknown column or format, or an output that cannot be a file.
    """
    _check_output(output, "leaderboard.html")
    page = (form or "").lower() == HTML or (form is None and output is not None and output.suffix.lower() == ".html")
    chosen = None if page else format_of(form, "" if output is None else output.suffix)
    sheet = board(all_runs(workspace), sort=sort, every=every)
    if chosen is not None:
        yield from _written(render([sheet], chosen), output, [sheet])
        return
    from harness.comparison.page.writing import board_page

    yield from _written(board_page(sheet), output, [sheet])


def _written(text: str, output: Path | None, sheets: Sequence[Sheet]) -> Iterator[str]:
    if output is None:
        yield text.rstrip("\n")
        return
    write_text(output, text)
    yield f"wrote {output}: {sum(len(sheet.rows) for sheet in sheets):,} rows"


def _check_output(output: Path | None, name: str) -> None:
    if output is not None and output.is_dir():
        message = f"{output} is a folder; `--output` must name a file, such as {output / name}"
        raise UsageError(message)
