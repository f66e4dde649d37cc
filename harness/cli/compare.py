"""`harness compare`, `report`, `predictions`, `card` and `leaderboard`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import Command, app
from harness.cli.options import OUTPUT, WHAT, Quiet, current_workspace, names, progress

RunData = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder.  [default: where the runs found it]", rich_help_panel=WHAT),
]
Output = Annotated[Path | None, typer.Option(help="File.  [default: the terminal]", rich_help_panel=OUTPUT)]
FORMATS = "table, json, csv, latex or markdown.  [default: by the file's suffix, else table]"


@app.command(cls=Command, epilog="harness compare english mixed_ru --by script")
def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="A B ...", help="Folders or names of runs, models, or MODEL@VARIANT.")
    ],
    by: Annotated[
        str,
        typer.Option(
            help="script, family, language, task, or latin: Latin against other scripts.", rich_help_panel=WHAT
        ),
    ] = "script",
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            "--task",
            help="Tasks, comma-separated.  [default: all that the runs share]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Group the seeds of each recipe.", rich_help_panel=WHAT)
    ] = False,
    data: RunData = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Compare the common items of runs with other data or protocol.", rich_help_panel=WHAT
        ),
    ] = False,
    form: Annotated[str | None, typer.Option("--format", help=FORMATS, rich_help_panel=OUTPUT)] = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Say by how much runs differ, and how sure that is.

    The first run is what the others are compared with. Every difference has an interval, and a p-value that is
    corrected for the number of tests.
    """
    from harness.commands import comparison

    request = comparison.ComparisonRequest(
        runs=tuple(part for run in runs for part in names(run)),
        by=by,
        tasks=tuple(names(tasks)),
        data=data,
        seeds=seeds,
        force=force,
    )
    for line in comparison.compare(request, current_workspace(quiet), progress(quiet), form, output):
        typer.echo(line)


@app.command(cls=Command, epilog="harness report english mixed_ru --output report.html")
def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN ...]",
            help="Folders or names of runs, models, or MODEL@VARIANT.  [default: the newest run of each]",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File of the page or of the tables.  [default: report.html; the terminal for tables]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="html, or tables as markdown, latex, csv or json.  [default: by the file's suffix, else html]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    examples: Annotated[
        str,
        typer.Option(help="sampled; all: also a folder of pages beside the file; or none.", rich_help_panel=OUTPUT),
    ] = "sampled",
    rows: Annotated[
        str,
        typer.Option(help="own, or published: published numbers beside the tables' own.", rich_help_panel=OUTPUT),
    ] = "own",
    data: RunData = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Compare the common items of runs with other data or protocol.", rich_help_panel=WHAT
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write one page about runs, or their tables for a paper.

    The page needs nothing else: it opens offline, prints, and shows scores with intervals, differences, examples, and
    where every number comes from.
    """
    from harness.commands import comparison

    request = comparison.ReportRequest(
        runs=tuple(part for run in runs or () for part in names(run)),
        output=output,
        form=form,
        examples=examples,
        rows=rows,
        data=data,
        force=force,
    )
    for line in comparison.report(request, current_workspace(quiet), progress(quiet)):
        typer.echo(line)


@app.command(cls=Command, epilog="harness predictions mixed_ru --output predictions.parquet")
def predictions(
    run: Annotated[str, typer.Argument(help="Folder or name of a run, a model, or MODEL@VARIANT.")],
    output: Annotated[
        Path,
        typer.Option("--output", "--parquet", help="File that ends in .parquet or .jsonl.", rich_help_panel=OUTPUT),
    ],
    text: Annotated[
        bool, typer.Option("--text", help="Also write the examples' texts.", rich_help_panel=OUTPUT)
    ] = False,
    data: RunData = None,
    quiet: Quiet = False,
) -> None:
    """Write what a run answered, one row for each example.

    Columns: task, language, script, split, id, digest of the texts, gold, prediction, score, statistics of the metric.
    """
    from harness.commands import comparison

    workspace = current_workspace(quiet)
    for line in comparison.predictions(run, output, workspace, progress(quiet), texts=text, data=data):
        typer.echo(line)


@app.command(cls=Command, epilog="harness card mixed_ru --output README.md")
def card(
    model: Annotated[str, typer.Argument(help="An exported model; `harness models` lists them.")],
    output: Output = None,
    every_eval_ever: Annotated[
        Path | None,
        typer.Option(
            help="Also write the newest run to this JSON file, in the format of Every Eval Ever, by its package.  "
            "[default: nowhere]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the model card of a model, in Markdown.

    It has the hub's metadata, origin and licence of the encoder, training, scores with intervals, and gate verdicts.
    """
    from harness.commands import comparison

    workspace, shown = current_workspace(quiet), progress(quiet)
    if every_eval_ever is not None:
        # Before the card, so that what is refused leaves nothing.
        for line in comparison.every_eval_ever(model, every_eval_ever, workspace, shown):
            shown.say(line)
    for line in comparison.card(model, output, workspace, shown):
        typer.echo(line)


@app.command(cls=Command, epilog="harness leaderboard --sort xnli")
def leaderboard(
    sort: Annotated[
        str, typer.Option(help="model, created, mean, or a task: the best first.", rich_help_panel=WHAT)
    ] = "model",
    every: Annotated[
        bool, typer.Option("--all", help="Every run, not only the newest of each model.", rich_help_panel=WHAT)
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, html, json, csv, latex or markdown.  [default: by the file's suffix, else table]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List the runs of the workspace with their scores.

    One row for each model and variant. What was not scored is missing, and never 0.
    """
    from harness.commands import comparison

    for line in comparison.leaderboard(current_workspace(quiet), sort=sort, every=every, form=form, output=output):
        typer.echo(line)
