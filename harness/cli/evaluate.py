"""`harness eval`, `rescore`, `verify` and `tune`."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.application import Command, app
from harness.cli.options import (
    HOW,
    OUTPUT,
    WHAT,
    AllowGoldErrors,
    Data,
    Models,
    Quiet,
    Strict,
    Submission,
    current_workspace,
    end_strictly,
    names,
    progress,
    seed_numbers,
)


@app.command(name="eval", cls=Command, epilog="harness eval --model mixed_ru --tasks xnli,tatoeba --languages ru,zh")
def eval_command(
    model: Models,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Seeds of each model, comma-separated: NAME.seedN, as `harness train --seeds` names them.  "
            "[default: none]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    tasks: Annotated[
        str, typer.Option(help="Tasks, comma-separated, or all; `harness tasks` lists them.", rich_help_panel=WHAT)
    ] = "all",
    suite: Annotated[
        str | None,
        typer.Option(
            help="xtreme or xtreme-r: its languages, order and groups.  [default: the union of both]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(
            help="Only these languages, comma-separated ISO 639-1 codes.  [default: all]", rich_help_panel=WHAT
        ),
    ] = None,
    scripts: Annotated[
        str | None,
        typer.Option(
            help="Only languages of these scripts, comma-separated ISO 15924 codes.  [default: all]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="train, dev or test for all tasks, or TASK=SPLIT entries, comma-separated.", rich_help_panel=WHAT
        ),
    ] = "test",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Examples of each language at most.  [default: all]", rich_help_panel=WHAT),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Examples of each language, drawn at random; parallel files alike.  [default: all]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    sample_seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn examples.", rich_help_panel=WHAT)] = 1,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="TASK=ALTERNATIVE entries where sources disagree, comma-separated; `harness tasks TASK` lists them.  "
            "[default: none]",
            rich_help_panel=WHAT,
        ),
    ] = None,
    available: Annotated[
        bool,
        typer.Option(
            "--available",
            help="Score what the data folder and the model's graphs allow, and say what is left out.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    allow_gold_errors: AllowGoldErrors = False,
    data: Data = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="onnx: in this process; onnx:cuda or onnx:tensorrt: on its GPU; triton://HOST:PORT[,HOST:PORT]: "
            "servers that run, tritons:// with TLS.  [default: what `harness tune` found, or a local Triton]",
            rich_help_panel=HOW,
        ),
    ] = None,
    variant: Annotated[
        str,
        typer.Option(
            help="Precision of the graphs; `tuned` is the fastest of each graph that `harness tune` found.",
            rich_help_panel=HOW,
        ),
    ] = "fp32",
    tuning: Annotated[
        bool,
        typer.Option(
            "--tuning/--no-tuning", help="Use what `harness tune` found on this machine, or not.", rich_help_panel=HOW
        ),
    ] = True,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run.  [default: runs/MODEL-VARIANT-DIGEST, the same for the same evaluation]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    submission: Submission = None,
    strict: Strict = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Ask for every row again, instead of taking kept answers.", rich_help_panel=HOW),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and stop.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score models on tasks, per language, script and family.

    Only what no run has asked before is asked: answers are kept under cache/answers. Scores are kept in the folder of
    the run.
    """
    from harness import api
    from harness.commands import evaluate
    from harness.evaluation.request import EvaluationRequest

    chosen = () if seeds is None else seed_numbers(seeds)
    models = tuple(dict.fromkeys(names(model)))
    request = EvaluationRequest(
        models=tuple(f"{each}.seed{seed}" for each in models for seed in chosen) if chosen else models,
        tasks=tuple(names(tasks)),
        suite=suite,
        languages=tuple(names(languages)),
        scripts=tuple(names(scripts)),
        split=split,
        data=data,
        endpoint=endpoint,
        variant=variant,
        limit=limit,
        output=output,
        protocols=tuple(names(protocol)),
        available=available,
        submission=submission,
        tuning=tuning,
        allow_gold_errors=allow_gold_errors,
        sample=sample,
        sample_seed=sample_seed,
        fresh=fresh,
    )
    shown, workspace = progress(quiet), current_workspace(quiet)
    evaluated = None if dry_run else api.evaluate_request(request, workspace, shown)
    lines = (
        evaluate.dry_run(request, workspace, shown)
        if evaluated is None
        else evaluate.report(evaluated, workspace, shown, seeds=len(chosen) > 1)
    )
    for line in lines:
        typer.echo(line)
    end_strictly(strict, evaluated is not None and evaluated.doubtful)


@app.command(cls=Command, epilog="harness tune --model mixed_ru --tasks xnli")
def tune(
    model: Annotated[str, typer.Option(help="An exported model; `harness models` lists them.")],
    tasks: Annotated[str, typer.Option(help="Tasks whose graphs are tuned, comma-separated, or all.")] = "all",
    variant: Annotated[
        str | None, typer.Option(help="Variants beside fp32, comma-separated.  [default: all that are published]")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="triton is a local one, onnx is this process; comma-separated.")
    ] = "triton,onnx",
    data: Data = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Examples of each language.  [default: as many as take two seconds]")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Find the fastest setting of each graph on this machine.

    `harness eval` then uses it: engine, threads, batches and variant.
    """
    from harness.commands import tune as search

    request = search.TuneRequest(
        model=model,
        tasks=tuple(names(tasks)),
        variants=tuple(names(variant)),
        engines=tuple(names(engine)),
        data=data,
        limit=limit,
    )
    for line in search.run(request, current_workspace(quiet), progress(quiet)):
        typer.echo(line)


@app.command(
    cls=Command, epilog="harness eval --model mixed_ru --tasks xnli --output runs/first\nharness rescore runs/first"
)
def rescore(
    run: Annotated[str, typer.Argument(help="Folder of a finished run, or its name under runs/.")],
    submission: Submission = None,
    allow_gold_errors: AllowGoldErrors = False,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Compute a run's scores again from its journal.

    No graph is queried. What answered stays on record beside what scored.
    """
    from harness.commands import evaluate

    workspace = current_workspace(quiet)
    folder = evaluate.find_run(run, workspace)
    shown = progress(quiet)
    evaluated = evaluate.rescore(folder, submission, workspace, shown, allow_gold_errors=allow_gold_errors)
    for line in evaluate.report_rescored(evaluated, workspace, shown):
        typer.echo(line)
    end_strictly(strict, evaluated.doubtful)


@app.command(cls=Command, epilog="harness verify mixed_ru")
def verify(
    target: Annotated[str, typer.Argument(help="Folder or name of a run, or a model.")],
    quiet: Quiet = False,
) -> None:
    """Check every digest from checkpoints to scores.

    All are computed again; the exit code is 2 at the first that does not hold.
    """
    from harness.commands.verify import chain

    for line in chain.verify(target, current_workspace(quiet), progress(quiet)):
        typer.echo(line)
