"""`harness models`, `promote` and `rollback`."""

from typing import Annotated

import typer

from harness.cli.application import Command, Commands, app
from harness.cli.options import current_workspace

models_app = typer.Typer(cls=Commands, rich_markup_mode=None)
app.add_typer(
    models_app,
    name="models",
    help="List the models; choose which version is served.",
    epilog="harness models",
)

Published = Annotated[str, typer.Argument(help="A published model.")]
OnlyVariant = Annotated[str | None, typer.Option(help="Only its graphs of this precision.  [default: all]")]
OnlyFinetune = Annotated[str | None, typer.Option(help="Only its graph of this training set.  [default: all]")]


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models: their checkpoints, graphs and served versions."""
    from harness.commands.listing import model_table

    if context.invoked_subcommand is not None:
        return
    typer.echo(model_table(current_workspace()).text())


@models_app.command(cls=Command, epilog="harness models promote mixed_ru --finetune mnli --version 1")
def promote(
    model: Published,
    variant: OnlyVariant = None,
    finetune: OnlyFinetune = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="The version.  [default: the newest of each graph]")
    ] = None,
) -> None:
    """Serve a published version of a model's graphs.

    A server that runs follows.
    """
    from harness.serving.repository import releases

    repository = current_workspace().model_repository
    for move in releases.promote(repository, model, variant=variant, finetune=finetune, version=version):
        typer.echo(move.describe())


@models_app.command(cls=Command, epilog="harness models rollback mixed_ru --finetune mnli")
def rollback(
    model: Published,
    variant: OnlyVariant = None,
    finetune: OnlyFinetune = None,
) -> None:
    """Serve the version before the served one.

    A server that runs follows.
    """
    from harness.serving.repository import releases

    repository = current_workspace().model_repository
    for move in releases.rollback(repository, model, variant=variant, finetune=finetune):
        typer.echo(move.describe())
