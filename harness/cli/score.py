"""`harness score`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import Command, app
from harness.cli.options import AllowGoldErrors, names


@app.command(
    cls=Command,
    epilog="harness data labels --suite xtreme --output labels\n"
    "harness score --predictions predictions --labels labels --suite xtreme --output scores.json",
)
def score(
    predictions: Annotated[Path, typer.Option(help="Folder of TASK/test-LANGUAGE files, the official layout.")],
    labels: Annotated[
        Path, typer.Option(help="Folder of the labels, with the same paths; `harness data labels` writes one.")
    ],
    suite: Annotated[str, typer.Option(help="xtreme or xtreme-r: its tasks, languages and groups.")],
    output: Annotated[Path, typer.Option(help="JSON file of the scores, written whole or not at all.")],
    seqeval: Annotated[
        str, typer.Option(help="How chunks of tags are read: legacy is seqeval up to 0.0.13, current from 0.0.18.")
    ] = "legacy",
    tasks: Annotated[
        str | None,
        typer.Option(help="Tasks, comma-separated, or all.  [default: those with a folder of predictions]"),
    ] = None,
    official_missing: Annotated[
        bool,
        typer.Option("--official-missing", help="Count missing and extra predictions as the official scorer does."),
    ] = False,
    allow_gold_errors: AllowGoldErrors = False,
) -> None:
    """Score prediction files as the official scorer does.

    No model is needed: both folders have TASK/test-LANGUAGE files, as submissions to XTREME do.
    """
    from harness.commands import scoring

    request = scoring.ScoringRequest(
        predictions=predictions,
        labels=labels,
        suite=suite,
        tasks=None if tasks is None else tuple(names(tasks)),
        seqeval=seqeval,
        official_missing=official_missing,
        allow_gold_errors=allow_gold_errors,
        output=output,
    )
    for line in scoring.run(request):
        typer.echo(line)
