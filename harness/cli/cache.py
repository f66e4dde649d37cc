"""`harness cache`, `cache verify` and `cache prune`."""

from typing import Annotated

import typer

from harness.cli.application import Command, Commands, app
from harness.cli.options import Quiet, current_workspace, progress

cache_app = typer.Typer(cls=Commands, invoke_without_command=True, rich_markup_mode=None)
app.add_typer(
    cache_app,
    name="cache",
    help="Show, verify and prune kept answers and tokenized rows.",
    epilog="harness cache\nharness cache prune --keep 20GB",
)


@cache_app.callback()
def cache(context: typer.Context) -> None:
    """Show, verify and prune kept answers and tokenized rows.

    All runs of a workspace share them: what one run asked, no other one asks again.
    """
    from harness.commands import cache as kept

    if context.invoked_subcommand is None:
        typer.echo(kept.table(current_workspace(quiet=True)).text())


@cache_app.command(cls=Command, epilog="harness cache verify")
def verify(quiet: Quiet = False) -> None:
    """Compare every checksum, and drop what is damaged.

    What was dropped is asked or tokenized again by the next run that needs it. The exit code is 1 if something was
    damaged.
    """
    from harness.commands import cache as kept

    damaged = kept.verify(current_workspace(quiet), progress(quiet))
    for line in damaged or ["ok  every checksum is right"]:
        typer.echo(line)
    if damaged:
        raise typer.Exit(1)


@cache_app.command(cls=Command, epilog="harness cache prune --keep 20GB")
def prune(
    keep: Annotated[str, typer.Option(help="Size that may stay, such as 20GB; 0 removes all.")] = "50GB",
) -> None:
    """Remove the least recently used answers and rows.

    What a run has open stays. An evaluation does the same at its end, with HARNESS_CACHE_SIZE (default: 50GB).
    """
    from harness.commands import cache as kept

    removed = kept.prune(current_workspace(quiet=True), kept.bytes_of(keep))
    for line in kept.removed_lines(removed) if removed else [f"nothing to remove: the cache takes no more than {keep}"]:
        typer.echo(line)
