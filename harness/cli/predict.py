"""`harness predict`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import Command, app
from harness.cli.options import Model, current_workspace


@app.command(cls=Command, epilog='harness predict --model mixed_ru --task xnli "A man eats." "A man sleeps."')
def predict(
    model: Model,
    task: Annotated[str, typer.Option(help="The task whose graph answers; `harness tasks` lists them.")],
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="The texts of one question, as listed above."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Questions as one JSON object of fields a line; - is standard input.  [default: the texts]"),
    ] = None,
    variant: Annotated[str, typer.Option(help="Precision of the graph.")] = "fp32",
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="onnx: this process; triton://HOST:PORT: a server's text model, tritons:// with TLS.  [default: onnx]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each answer as one line of JSON.")] = False,
) -> None:
    """Answer questions about your own texts.

    The texts of one question, or the fields of one line of a file, are by task:

    \b
      xnli, pawsx           text, text_pair: two sentences
      xcopa                 text, question (may be ""), choices: two or more
      xquad, mlqa, tydiqa   question, context
      udpos, panx           text: words with spaces between them
      tatoeba, bucc2018     text: one sentence
      mewslix, lareqa       text, side: query or candidate
    """  # noqa: D301 - the mark of a paragraph whose lines stay as they are
    from harness.commands import predict as prediction

    request = prediction.PredictionRequest(
        model=model, task=task, texts=tuple(texts or ()), file=file, variant=variant, endpoint=endpoint
    )
    # A server that answers needs no workspace here.
    workspace = current_workspace(quiet=endpoint not in (None, "onnx"))
    for question, answer in prediction.run(request, workspace):
        for line in [prediction.as_json(answer)] if as_json else prediction.readable(question, answer):
            typer.echo(line)
