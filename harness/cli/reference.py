"""`harness tasks` and `harness bench`."""

from typing import Annotated

import typer

from harness.cli.application import Command, app


@app.command(cls=Command, epilog="harness tasks xquad")
def tasks(name: Annotated[str | None, typer.Argument(help="A task to explain.")] = None) -> None:
    """List the tasks, or explain one."""
    from harness.commands.listing import explain, task_table

    typer.echo(task_table().text() if name is None else explain(name))


@app.command(
    cls=Command,
    # A benchmark's options are its own, `--help` included: what comes after its name is not looked at here.
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="harness bench padding --help",
)
def bench(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="A benchmark; its options follow.  [default: all are listed]")
    ] = None,
) -> None:
    """Run a benchmark, or list them."""
    from harness.commands import bench as benches

    if name is not None:
        benches.run(name, context.args)
        return
    for line in benches.listing():
        typer.echo(line)
