"""`harness serve` and `harness doctor`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import Command, app
from harness.cli.options import Quiet, current_workspace, names, progress

#: Groups of options in the help.
WHERE = "Where it listens"


@app.command(cls=Command, epilog="harness serve --models mixed_ru")
def serve(
    models: Annotated[
        str | None,
        typer.Option(help="Models or served names, comma-separated.  [default: all that is published]"),
    ] = None,
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, help="HTTP port; 0 takes a free one.", rich_help_panel=WHERE)
    ] = 8000,
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65535, help="gRPC port; 0 takes a free one.", rich_help_panel=WHERE)
    ] = 8001,
    metrics_port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port of Prometheus' metrics; 0 takes a free one.", rich_help_panel=WHERE),
    ] = 8002,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine only.", rich_help_panel=WHERE)
    ] = "127.0.0.1",
    profile: Annotated[
        str, typer.Option(help="online, text models included, or evaluation for `harness eval --endpoint`.")
    ] = "online",
    log: Annotated[
        Path | None, typer.Option(help="Where the server's own log is written.  [default: a new file under runs/]")
    ] = None,
    write_perf_input: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a real request for each served model there, for perf_analyzer, and print its commands.  "
            "[default: nowhere]",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Serve published models with a local Triton until Ctrl-C.

    It follows `harness models promote` and `rollback` while it runs.
    """
    from harness.serving.access import Access
    from harness.serving.server import serve as serving

    workspace = current_workspace(quiet)
    if write_perf_input is not None:
        from harness.serving.perf_input import write_perf_inputs

        chosen = serving.check_profile(profile)
        for line in write_perf_inputs(workspace.model_repository, names(models), chosen, write_perf_input):
            typer.echo(line)
    lines = serving.serve(
        workspace.model_repository,
        names(models),
        ports=serving.Ports(http=http_port or None, grpc=grpc_port or None, metrics=metrics_port or None),
        host=host,
        profile=serving.check_profile(profile),
        access=Access.from_environment(os.environ),
        # Its process in the name: two services must not write into one file.
        log=log or workspace.runs / f"triton-{os.getpid()}.log",
        progress=progress(quiet),
    )
    for line in lines:
        typer.echo(line)


@app.command(cls=Command, epilog="harness doctor")
def doctor() -> None:
    """Check that this machine can evaluate and serve.

    The exit code is 1 if it cannot.
    """
    from harness.serving.server.doctor import checks

    failed = False
    for check in checks():
        failed = failed or (check.required and not check.ok)
        mark = "ok  " if check.ok else ("FAIL" if check.required else "warn")
        typer.echo(f"{mark} {check.name}: {check.detail}" + (f"; {check.remedy}" if check.remedy else ""))
    raise typer.Exit(1 if failed else 0)
