"""`harness export`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.application import Command, app
from harness.cli.options import Data, Quiet, current_workspace, names, progress
from harness.core.progress import Progress


@app.command(
    name="export", cls=Command, epilog="harness export --model mixed_ru --finetune mnli,squad --variant fp32,int8"
)
def export_command(
    model: Annotated[str, typer.Option(help="A trained model.")],
    variant: Annotated[
        str | None,
        typer.Option(help="Precisions, comma-separated: fp32, fp16, int8, int8_block.  [default: from the recipe]"),
    ] = None,
    finetune: Annotated[
        str | None,
        typer.Option(help="Only the graphs of these training sets, comma-separated.  [default: all that are trained]"),
    ] = None,
    data: Data = None,
    force: Annotated[bool, typer.Option("--force", help="Export again what is there.")] = False,
    accept_drift: Annotated[
        str | None,
        typer.Option(help="Why a graph that the gate refuses is published; recorded in its gate.json."),
    ] = None,
    container: Annotated[
        str | None, typer.Option(help="Release of NVIDIA's container that has to understand the graphs, as 24.10.")
    ] = None,
    device: Annotated[str, typer.Option(help="What Triton computes on: cpu, or gpu for NVIDIA's container.")] = "cpu",
    quiet: Quiet = False,
) -> None:
    """Export a model to ONNX graphs, check them, publish them.

    Optimum makes the graphs. The gate compares each with PyTorch on real sentences of every task and script, and those
    that pass are published to the Triton model repository under model_repository/.
    """
    current_workspace(quiet)
    publish(
        model,
        data,
        progress(quiet),
        variants=names(variant),
        finetunes=names(finetune),
        force=force,
        accept_drift=accept_drift,
        container=container,
        device=device,
    )


def publish(model: str, data: Path | None, shown: Progress, *, variants: Sequence[str], **wanted: Any) -> None:
    """Export a model; each graph is shown as it is done."""
    from harness import api

    api.export(model, variants=variants, data=data, progress=shown, **wanted)
