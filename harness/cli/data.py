"""`harness data list`, `check`, `get` and `labels`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import Command, Commands, app
from harness.cli.options import DataToRead, Destination, Languages, Quiet, current_workspace, names, progress

data_app = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(
    data_app,
    name="data",
    help="List, check and get data; write label files.",
    epilog="harness data check --tasks xnli,udpos",
)


@data_app.command(name="list", cls=Command, epilog="harness data list")
def data_list() -> None:
    """List the data that tasks and training sets need."""
    from harness.commands.data import list_data

    for line in list_data().lines:
        typer.echo(line)


@data_app.command(name="check", cls=Command, epilog="harness data check --tasks xnli,udpos")
def data_check(
    data: DataToRead = None,
    tasks: Annotated[str, typer.Option(help="Tasks or training sets, comma-separated, or all.")] = "all",
    languages: Languages = None,
    splits: Annotated[str | None, typer.Option(help="Only these splits, comma-separated.  [default: all]")] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Counts words without subwords: a tokenizer.json, its folder, or an exported model.  "
            "[default: the first exported model]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every count of every file as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Check which files are there, whole and healthy.

    Counts of blank texts, placeholders, duplicates, contradictions and odd characters follow. The exit code is 1 if
    something is missing or changed, cannot be read, or has gold answers that contradict their text.
    """
    from harness.commands.data import check_data

    answer = check_data(
        data,
        names(tasks),
        names(languages),
        names(splits),
        current_workspace(quiet=True),
        progress(quiet),
        tokenizer=tokenizer,
        as_json=as_json,
    )
    for line in answer.lines:
        typer.echo(line)
    raise typer.Exit(0 if answer.complete else 1)


@data_app.command(name="get", cls=Command, epilog="harness data get xnli tatoeba --data xtreme-data")
def data_get(
    wanted: Annotated[list[str], typer.Argument(metavar="NAME", help="Tasks or training sets, or all.")],
    data: Destination = None,
    origin: Annotated[
        Path | None,
        typer.Option("--from", help="A folder in the official or the hub's layout.  [default: the hub]"),
    ] = None,
    languages: Languages = None,
    repository: Annotated[
        str | None, typer.Option(help="Take the rows from this hub repository, even if they are not official.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Another commit, branch or tag of the hub.  [default: the pinned commit]")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Get data from the hub or a local folder.

    It is converted into one layout; files that are there and whole are kept.
    """
    from harness.commands.data import get_data

    answer = get_data(wanted, data, origin, names(languages), repository, revision, progress(quiet))
    for line in answer.lines:
        typer.echo(line)
    raise typer.Exit(0 if answer.complete else 1)


@data_app.command(name="labels", cls=Command, epilog="harness data labels --suite xtreme --output labels")
def data_labels(
    suite: Annotated[str, typer.Option(help="xtreme or xtreme-r: its tasks and languages.")],
    output: Annotated[Path, typer.Option(help="Folder for TASK/test-LANGUAGE files, the official layout.")],
    data: DataToRead = None,
    tasks: Annotated[str, typer.Option(help="Tasks, comma-separated, or all.")] = "all",
    quiet: Quiet = False,
) -> None:
    """Write the label files that `harness score` reads."""
    from harness.commands.data import write_labels

    for line in write_labels(data, suite, names(tasks), output, current_workspace(quiet=True), progress(quiet)):
        typer.echo(line)
