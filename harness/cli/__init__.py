"""The `harness` command: parses, calls, prints.

Heavy packages are imported inside the commands, so that `harness --help` answers at once.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from harness.core.errors import HarnessError, MissingExtra
from harness.core.version import __version__

if TYPE_CHECKING:
    from harness.core.progress import Progress

app = typer.Typer(
    name="harness",
    help="Train, export, serve and evaluate multilingual encoders on XTREME and XTREME-R.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data", help="List, check and get the data of tasks and training sets.")
models_app = typer.Typer(rich_markup_mode=None)
app.add_typer(models_app, name="models", help="List the models; choose which published version is served.")

Model = Annotated[list[str], typer.Option("--model", help="A model's name; give it twice to compare two.")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; the recipe's own, or $HARNESS_DATA.")]
Dest = Annotated[Path | None, typer.Option("--data", help="Data folder; $HARNESS_DATA.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no status lines.")]
Variant = Annotated[str, typer.Option("--variant", help="Precision of the graphs.")]


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2, Ctrl-C is 130."""
    import signal

    # typer carries a click of its own in newer releases and uses the package in older ones; what it exports
    # comes from the right one.
    wrong_call = cast(type[typer.BadParameter], typer.BadParameter.__mro__[2])
    interrupts: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        # A library may swallow the exception (imports do, in weak reference callbacks), never the exit code.
        interrupts.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        status = app(standalone_mode=False)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)  # noqa: T201 - the one place that words a failure
        sys.exit(2)
    except wrong_call as error:
        error.show()
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        print("harness: stopped", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        print(f"harness: {place}{error.strerror or repr(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    if interrupts or status == 130:
        # typer ends a command that was interrupted without a word.
        print("harness: stopped", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    sys.exit(status or 0)


def _progress(quiet: bool) -> "Progress":
    from harness.core import terminal

    return terminal.Quiet() if quiet else terminal.Terminal()


def _names(values: str | None) -> list[str]:
    return [part.strip() for part in (values or "").split(",") if part.strip()]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def train(
    recipes: Annotated[list[Path], typer.Argument(help="Recipes, TOML files.")],
    data: Data = None,
    target: Annotated[str | None, typer.Option(help="Finetunes of phase 3, comma-separated; the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed; the model is then named NAME.seedN.")] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of every phase at most; the model is then named NAME.stepsN.")
    ] = None,
    phase: Annotated[str, typer.Option(help="The phase to stop after: pretrained, intermediate or target.")] = "target",
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on where a training stopped, or begin it again.")
    ] = True,
    allow_leak: Annotated[
        str | None, typer.Option(help="Why evaluation sentences may be trained on; marks every score.")
    ] = None,
    export: Annotated[bool, typer.Option("--export", help="Export and publish what was trained.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print steps, examples, tokens and estimated time, and train nothing.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run the phases of recipes that are not done, and leave their checkpoints."""
    from harness.artifacts.workspace import Workspace
    from training.recipe import load_recipe

    progress, workspace = _progress(quiet), Workspace.current()
    loaded = [load_recipe(path) for path in recipes]
    with progress.step("loading torch and transformers", 1, "packages") as advance:
        try:
            from training import run
        except ImportError as error:
            raise MissingExtra(error.name or "torch", "train") from error
        advance(1)
    options: dict[str, Any] = {
        "data": data,
        "targets": _names(target),
        "seed": seed,
        "max_steps": max_steps,
        "phase": phase,
        "resume": resume,
        "progress": progress,
    }
    if dry_run:
        for line in run.dry_run(loaded, workspace, **options):
            typer.echo(line)
        return
    for recipe in loaded:
        trained = run.train_recipe(recipe, workspace, allow_leak=allow_leak, **options)
        for name, checkpoint in trained.checkpoints.items():
            progress.say(f"{trained.recipe.name}: {name} in {checkpoint.directory.relative_to(workspace.root)}")
        if export and phase == "target" and trained.is_first:
            _export(trained.recipe.name, {"variants": trained.recipe.export.variants}, data, progress)


def _export(model: str, wanted: dict[str, Any], data: Path | None, progress: "Progress") -> None:
    from harness.artifacts.workspace import Workspace

    try:
        from exporters.run import Wanted, export_model
    except ImportError as error:
        raise MissingExtra(error.name or "optimum", "export") from error
    for published in export_model(model, Wanted(**wanted), Workspace.current(), data=data, progress=progress):
        state = "written" if published.written else "unchanged"
        progress.say(f"{published.artifact.name}: version {published.version}, {state}")


@app.command(name="export")
def export_command(
    model: Annotated[str, typer.Option(help="A trained model.")],
    variant: Annotated[
        str | None, typer.Option(help="fp32, fp16, int8, int8_block, comma-separated; the recipe's.")
    ] = None,
    finetune: Annotated[str | None, typer.Option(help="Only these graphs, comma-separated.")] = None,
    data: Data = None,
    force: Annotated[bool, typer.Option("--force", help="Export again what is there.")] = False,
    accept_drift: Annotated[
        str | None, typer.Option(help="Why a graph that the gate refuses is published; recorded in its gate.json.")
    ] = None,
    container: Annotated[
        str | None, typer.Option(help="Release of NVIDIA's container that has to understand the graphs, as 24.10.")
    ] = None,
    device: Annotated[str, typer.Option(help="What Triton computes on: cpu, or gpu for NVIDIA's container.")] = "cpu",
    quiet: Quiet = False,
) -> None:
    """Export a model's checkpoints to ONNX through Optimum, check them, publish them to Triton's repository."""
    wanted = {
        "variants": tuple(_names(variant)),
        "finetunes": tuple(_names(finetune)),
        "force": force,
        "accept_drift": accept_drift,
        "container": container,
        "device": device,
    }
    _export(model, wanted, data, _progress(quiet))


@app.command()
def serve(
    models: Annotated[str | None, typer.Option(help="Models or served names, comma-separated; all of them.")] = None,
    http_port: Annotated[int | None, typer.Option(min=1, max=65535, help="HTTP port; a free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option(min=1, max=65535, help="gRPC port; a free one.")] = None,
    metrics_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Prometheus port; a free one.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; this machine only by default.")] = "127.0.0.1",
    profile: Annotated[
        str, typer.Option(help="online, text models included, or evaluation for `harness eval --endpoint`.")
    ] = "online",
    log: Annotated[Path | None, typer.Option(help="Where the server's own log goes; a new file under runs/.")] = None,
    quiet: Quiet = False,
) -> None:
    """Serve the model repository with a local Triton until Ctrl-C, and follow `harness models promote`."""
    import os

    from harness.artifacts.workspace import Workspace
    from harness.serving.access import Access
    from harness.serving.server import service

    workspace = Workspace.current()
    lines = service.serve(
        workspace.model_repository,
        _names(models),
        ports=service.Ports(http=http_port, grpc=grpc_port, metrics=metrics_port),
        host=host,
        profile=service.check_profile(profile),
        access=Access.from_environment(os.environ),
        # Its process in the name: two services must not write into one file.
        log=log or workspace.runs / f"triton-{os.getpid()}.log",
        progress=_progress(quiet),
    )
    for line in lines:
        typer.echo(line)


@app.command(name="eval")
def eval_command(
    model: Model,
    tasks: Annotated[str, typer.Option(help="Tasks, comma-separated, or all.")] = "all",
    suite: Annotated[str | None, typer.Option(help="xtreme or xtreme-r: its languages, order and groups.")] = None,
    languages: Annotated[str | None, typer.Option(help="Only these languages, comma-separated.")] = None,
    scripts: Annotated[str | None, typer.Option(help="Only languages of these scripts, comma-separated.")] = None,
    split: Annotated[str, typer.Option(help="A split for all tasks, or TASK=SPLIT,...")] = "test",
    data: Data = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="onnx, or triton[s]://host:port[,host:port]; what `harness tune` found, or a local Triton of its own."
        ),
    ] = None,
    variant: Annotated[
        str, typer.Option(help="Precision of the graphs; tuned is the fastest of each that `harness tune` found.")
    ] = "fp32",
    limit: Annotated[int | None, typer.Option(min=1, help="Examples of each language at most.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the run; a new one under runs/.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="TASK=ALTERNATIVE,... where sources disagree; `harness tasks TASK` lists them.")
    ] = None,
    available: Annotated[
        bool, typer.Option("--available", help="Score what the data folder has; say what it lacks, never refuse.")
    ] = False,
    submission: Annotated[
        Path | None, typer.Option(help="Also write the predictions there, in the official layout.")
    ] = None,
    tuning: Annotated[
        bool, typer.Option("--tuning/--no-tuning", help="Use what `harness tune` found on this machine, or not.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run, and stop.")] = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate models on tasks through an endpoint, and print scores per language and per script."""
    from harness import api
    from harness.artifacts.workspace import Workspace
    from harness.commands import evaluate
    from harness.evaluation.request import EvaluationRequest

    request = EvaluationRequest(
        models=tuple(dict.fromkeys(model)),
        tasks=tuple(_names(tasks)),
        suite=suite,
        languages=tuple(_names(languages)),
        scripts=tuple(_names(scripts)),
        split=split,
        data=data,
        endpoint=endpoint,
        variant=variant,
        limit=limit,
        output=output,
        protocols=tuple(_names(protocol)),
        available=available,
        submission=submission,
        tuning=tuning,
    )
    progress, workspace = _progress(quiet), Workspace.current()
    lines = (
        evaluate.dry_run(request, workspace, progress)
        if dry_run
        else evaluate.report(api.evaluate_request(request, workspace, progress))
    )
    for line in lines:
        typer.echo(line)


@app.command()
def tune(
    model: Annotated[str, typer.Option(help="An exported model.")],
    tasks: Annotated[str, typer.Option(help="Tasks whose graphs are tuned, comma-separated, or all.")] = "all",
    variant: Annotated[
        str | None, typer.Option(help="Variants beside fp32, comma-separated; all that are published.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="triton is a local one, onnx is this process; comma-separated.")
    ] = "triton,onnx",
    data: Data = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Examples of each language; as many as take two seconds.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Search the fastest way to ask each graph of a model on this machine; `harness eval` uses it."""
    from harness.artifacts.workspace import Workspace
    from harness.commands import tune as search

    request = search.TuneRequest(
        model=model,
        tasks=tuple(_names(tasks)),
        variants=tuple(_names(variant)),
        engines=tuple(_names(engine)),
        data=data,
        limit=limit,
    )
    for line in search.run(request, Workspace.current(), _progress(quiet)):
        typer.echo(line)


@app.command()
def predict(
    model: Annotated[str, typer.Option(help="An exported model.")],
    task: Annotated[str, typer.Option(help="The task whose graph answers; `harness tasks` lists them.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="The texts of one question, in the order of docs/serving.md.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="One JSON object of fields a line; - is standard input.")] = None,
    variant: Variant = "fp32",
    endpoint: Annotated[
        str | None, typer.Option(help="triton://host:port asks its text model; this process answers.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each answer as one line of JSON.")] = False,
) -> None:
    """Answer questions about your own texts."""
    from harness.artifacts.workspace import Workspace
    from harness.commands import predict as prediction

    request = prediction.PredictionRequest(
        model=model, task=task, texts=tuple(texts or ()), file=file, variant=variant, endpoint=endpoint
    )
    for question, answer in prediction.run(request, Workspace.current()):
        for line in [prediction.as_json(answer)] if as_json else prediction.readable(question, answer):
            typer.echo(line)


@app.command()
def rescore(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    submission: Annotated[
        Path | None, typer.Option(help="Also write the predictions there, in the official layout.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compute a run's scores again from its journal; no graph is queried."""
    from harness.artifacts.workspace import Workspace
    from harness.commands import evaluate

    for line in evaluate.report_rescored(evaluate.rescore(run, submission, Workspace.current(), _progress(quiet))):
        typer.echo(line)


@app.command()
def score(
    predictions: Annotated[Path, typer.Option(help="Folder of TASK/test-LANGUAGE files, the official layout.")],
    labels: Annotated[Path, typer.Option(help="Folder of the labels, with the same paths.")],
    suite: Annotated[str, typer.Option(help="xtreme or xtreme-r: its tasks, languages and groups.")],
    output: Annotated[Path, typer.Option(help="JSON file of the scores, written whole or not at all.")],
    seqeval: Annotated[
        str, typer.Option(help="How chunks of tags are read: legacy is seqeval up to 0.0.13, current from 0.0.18.")
    ] = "legacy",
    tasks: Annotated[
        str | None, typer.Option(help="Tasks, comma-separated, or all; those with a folder of predictions.")
    ] = None,
    official_missing: Annotated[
        bool,
        typer.Option("--official-missing", help="Count missing and extra predictions as the official scorer does."),
    ] = False,
) -> None:
    """Score prediction files as the official XTREME scorer does; no model is needed."""
    from harness.commands import scoring

    request = scoring.ScoringRequest(
        predictions=predictions,
        labels=labels,
        suite=suite,
        tasks=None if tasks is None else tuple(_names(tasks)),
        seqeval=seqeval,
        official_missing=official_missing,
        output=output,
    )
    for line in scoring.run(request):
        typer.echo(line)


@app.command(name="sweep-layers")
def sweep_layers_command(
    model: Annotated[str, typer.Option(help="A trained model.")],
    task: Annotated[str, typer.Option(help="A retrieval task whose graph is an untrained encoder.")] = "tatoeba",
    split: Annotated[str, typer.Option(help="What is scored; the layer is selected on it.")] = "test",
    languages: Annotated[str | None, typer.Option(help="Only these languages, comma-separated.")] = None,
    data: Data = None,
    quiet: Quiet = False,
) -> None:
    """Score a retrieval task at every hidden state of a model, in PyTorch; sets no default."""
    from harness.artifacts.workspace import Workspace

    try:
        from training.sweep import sweep_layers
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "train") from error
    found = sweep_layers(
        model,
        task,
        Workspace.current(),
        data=data,
        split=split,
        languages=_names(languages),
        progress=_progress(quiet),
    )
    typer.echo(found.table().text())
    typer.echo(found.warning)


@data_app.command(name="list")
def data_list() -> None:
    """List what each task and training set needs, and where it comes from."""
    from harness.commands.data import list_data

    for line in list_data().lines:
        typer.echo(line)


@data_app.command(name="check")
def data_check(
    data: Dest = None,
    tasks: Annotated[str, typer.Option(help="Tasks or training sets, comma-separated, or all.")] = "all",
    languages: Annotated[str | None, typer.Option(help="Only these languages, comma-separated.")] = None,
    splits: Annotated[str | None, typer.Option(help="Only these splits, comma-separated.")] = None,
    quiet: Quiet = False,
) -> None:
    """Check which files are there and whole; exit code 1 if something is missing."""
    from harness.commands.data import check_data

    answer = check_data(data, _names(tasks), _names(languages), _names(splits), _progress(quiet))
    for line in answer.lines:
        typer.echo(line)
    raise typer.Exit(0 if answer.complete else 1)


@data_app.command(name="get")
def data_get(
    names: Annotated[list[str], typer.Argument(help="Tasks or training sets, or all.")],
    data: Dest = None,
    origin: Annotated[
        Path | None, typer.Option("--from", help="A folder in the official or the hub's layout; the hub.")
    ] = None,
    languages: Annotated[str | None, typer.Option(help="Only these languages, comma-separated.")] = None,
    repository: Annotated[
        str | None, typer.Option(help="Take the rows from this hub repository, even if they are not official.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Another commit, branch or tag than the pinned one.")] = None,
    quiet: Quiet = False,
) -> None:
    """Get data from the hub or a local folder into the one layout; what is there and whole is kept."""
    from harness.commands.data import get_data

    answer = get_data(names, data, origin, _names(languages), repository, revision, _progress(quiet))
    for line in answer.lines:
        typer.echo(line)
    raise typer.Exit(0 if answer.complete else 1)


@app.command()
def tasks(name: Annotated[str | None, typer.Argument(help="A task to explain.")] = None) -> None:
    """List the tasks, or explain one."""
    from harness.commands.listing import explain, task_table

    typer.echo(task_table().text() if name is None else explain(name))


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models: their checkpoints, graphs and served versions."""
    from harness.artifacts.workspace import Workspace
    from harness.commands.listing import model_table

    if context.invoked_subcommand is not None:
        return
    typer.echo(model_table(Workspace.current()).text())


@models_app.command()
def promote(
    model: Annotated[str, typer.Argument(help="A published model.")],
    variant: Annotated[str | None, typer.Option(help="Only its graphs of this precision.")] = None,
    finetune: Annotated[str | None, typer.Option(help="Only its graph of this training set.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="The version; the newest of each graph.")] = None,
) -> None:
    """Serve a published version of a model's graphs; a server that runs follows."""
    from harness.artifacts.workspace import Workspace
    from harness.serving.repository import releases

    repository = Workspace.current().model_repository
    for move in releases.promote(repository, model, variant=variant, finetune=finetune, version=version):
        typer.echo(move.describe())


@models_app.command()
def rollback(
    model: Annotated[str, typer.Argument(help="A published model.")],
    variant: Annotated[str | None, typer.Option(help="Only its graphs of this precision.")] = None,
    finetune: Annotated[str | None, typer.Option(help="Only its graph of this training set.")] = None,
) -> None:
    """Serve the version before the served one; a server that runs follows."""
    from harness.artifacts.workspace import Workspace
    from harness.serving.repository import releases

    for move in releases.rollback(Workspace.current().model_repository, model, variant=variant, finetune=finetune):
        typer.echo(move.describe())


@app.command()
def verify(
    target: Annotated[str, typer.Argument(help="Folder or name of a run, or a model.")],
    quiet: Quiet = False,
) -> None:
    """Recompute the chain of digests from checkpoints to scores; exit code 2 at the first broken link."""
    from harness.artifacts.workspace import Workspace
    from harness.commands import verify as chain

    for line in chain.verify(target, Workspace.current(), _progress(quiet)):
        typer.echo(line)


@app.command(
    # A benchmark's options are its own, `--help` included: what comes after its name is not looked at here.
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
)
def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A benchmark; its options follow. All are listed without.")] = None,
) -> None:
    """Measure: run a benchmark, or list them."""
    from harness.commands import bench as benches

    if name is not None:
        benches.run(name, context.args)
        return
    for line in benches.listing():
        typer.echo(line)


@app.command()
def doctor() -> None:
    """Check that this machine can evaluate and serve; exit code 1 if it cannot."""
    from harness.serving.doctor import checks

    failed = False
    for check in checks():
        failed = failed or (check.required and not check.ok)
        mark = "ok  " if check.ok else ("FAIL" if check.required else "warn")
        typer.echo(f"{mark} {check.name}: {check.detail}" + (f"; {check.remedy}" if check.remedy else ""))
    raise typer.Exit(1 if failed else 0)
