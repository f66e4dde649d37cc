"""`harness train` and `harness sweep-layers`."""

from typing import Annotated, Any

import typer

from harness.cli.application import Command, app
from harness.cli.export import publish
from harness.cli.options import (
    AllowGoldErrors,
    Data,
    Languages,
    Quiet,
    current_workspace,
    names,
    progress,
    seed_numbers,
)
from harness.core.errors import MissingExtra, UsageError

#: Groups of options in the help.
WHAT, HOW = "What is trained", "How it is trained"


@app.command(cls=Command, epilog="harness train sample/english sample/mixed_ru --export")
def train(
    recipes: Annotated[
        list[str], typer.Argument(help="Recipes: TOML files, or names of shipped ones such as sample/english.")
    ],
    data: Data = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Training sets of phase 3, comma-separated.  [default: from the recipe]", rich_help_panel=WHAT
        ),
    ] = None,
    phase: Annotated[
        str,
        typer.Option(help="The phase to stop after: pretrained, intermediate or target.", rich_help_panel=WHAT),
    ] = "target",
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Another seed; the model is then named NAME.seedN.  [default: from the recipe]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Several seeds, comma-separated, one after another; models are named NAME.seedN, for `harness eval "
            "--model`.  [default: one, from the recipe]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps of every phase at most; the model is then named NAME.stepsN.  [default: from the recipe]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Resume a training that was stopped, or begin it again.", rich_help_panel=HOW
        ),
    ] = True,
    fp32: Annotated[
        bool,
        typer.Option(
            "--fp32",
            help="Compute in fp32, whatever the recipe says; else in bf16 where the machine has it.",
            rich_help_panel=HOW,
        ),
    ] = False,
    allow_leak: Annotated[
        str | None,
        typer.Option(
            help="Why evaluation sentences may be trained on; it marks every score.  [default: they are refused]",
            rich_help_panel=HOW,
        ),
    ] = None,
    allow_gold_errors: AllowGoldErrors = False,
    export: Annotated[
        bool,
        typer.Option(
            "--export",
            help="Export and publish what was trained. With `--phase pretrained` or `intermediate` that is the "
            "encoder alone, for retrieval; phase 1's is the model NAME.pretrained.",
            rich_help_panel=HOW,
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print steps, examples, tokens and estimated time, and train nothing.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train the phases of recipes that are not done yet.

    Each phase writes a checkpoint under checkpoints/. Phase 1 is the pretrained encoder, phase 2 the intermediate
    tasks, phase 3 one English training set for each graph that answers tasks.
    """
    from training.recipe_files import find_recipe, load_recipe

    chosen = _seeds(seed, seeds)
    loaded = [load_recipe(find_recipe(name)) for name in recipes]
    shown, workspace = progress(quiet), current_workspace(quiet or dry_run, makes=True)
    with shown.step("loading torch and transformers", 2, "packages") as advance:
        try:
            from training import run
        except ImportError as error:
            raise MissingExtra(error.name or "torch", "train") from error
        advance(2)
    options: dict[str, Any] = {
        "data": data,
        "targets": names(target),
        "max_steps": max_steps,
        "phase": phase,
        "resume": resume,
        "allow_gold_errors": allow_gold_errors,
        "progress": shown,
        "fp32": fp32,
    }
    if dry_run:
        for line in run.dry_run(loaded, workspace, seeds=chosen, **options):
            typer.echo(line)
        return
    for recipe, each in ((recipe, each) for each in chosen for recipe in loaded):
        trained = run.train_recipe(recipe, workspace, seed=each, allow_leak=allow_leak, **options)
        for name, checkpoint in trained.checkpoints.items():
            shown.say(f"{trained.recipe.name}: {name} in {checkpoint.directory.relative_to(workspace.root)}")
        if export and trained.is_first:
            wanted: tuple[str, ...] = ()
            if phase != "target":
                of_phase, untrained = run.encoder_of_phase(recipe, phase)
                leaves = {**options, "phase": "target", "targets": untrained}
                trained = run.train_recipe(of_phase, workspace, seed=each, allow_leak=allow_leak, **leaves)
                wanted = tuple(trained.checkpoints)
            publish(trained.recipe.name, data, shown, variants=trained.recipe.export.variants, finetunes=wanted)


def _seeds(seed: int | None, seeds: str | None) -> list[int | None]:
    """Return the seeds to train with, each once; None for the recipe's own."""
    if seeds is None:
        return [seed]
    if seed is not None:
        message = f"--seed {seed} and --seeds {seeds} cannot both be given; give --seeds alone"
        raise UsageError(message)
    return list(seed_numbers(seeds))


@app.command(name="sweep-layers", cls=Command, epilog="harness sweep-layers --model mixed_ru --languages ru,zh")
def sweep_layers_command(
    model: Annotated[str, typer.Option(help="A trained model.")],
    task: Annotated[str, typer.Option(help="A retrieval task whose graph is the encoder itself.")] = "tatoeba",
    split: Annotated[str, typer.Option(help="What is scored; choosing a layer by it is selecting on it.")] = "test",
    languages: Languages = None,
    data: Data = None,
    quiet: Quiet = False,
) -> None:
    """Score a retrieval task at every hidden state of a model.

    It computes in PyTorch and changes no setting.
    """
    try:
        from training.sweep import sweep_layers
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "train") from error
    found = sweep_layers(
        model,
        task,
        current_workspace(quiet),
        data=data,
        split=split,
        languages=names(languages),
        progress=progress(quiet),
    )
    typer.echo(found.table().text())
    typer.echo(found.warning)
