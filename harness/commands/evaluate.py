"""One evaluation from request to report: resolve, plan, execute, score, report.

Each step takes the value of the step before. `harness eval` runs all of them, a dry run stops after the
plan, and `harness rescore` starts at the scores of a run whose answers are there.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.artifacts.known_runs import note_run
from harness.artifacts.run import SCORES, read_run
from harness.artifacts.workspace import Workspace
from harness.commands import cache
from harness.comparison.evaluated import intervals, run_differences, seed_lines, signature_line
from harness.core.errors import UsageError, nearest
from harness.core.progress import Progress, counted
from harness.evaluation.answers import DamagedAnswers
from harness.evaluation.connection import Connection, connection
from harness.evaluation.dispatch import answer_seconds
from harness.evaluation.execute import Asked, execute
from harness.evaluation.journal import Journal, claimed
from harness.evaluation.plan import Plan, estimate, featurize, fingerprint, plan
from harness.evaluation.record import check_answered, write_run
from harness.evaluation.report import (
    Halves,
    absent_lines,
    equal_line,
    equal_rows,
    protocol_lines,
    result_lines,
    warning_lines,
)
from harness.evaluation.request import JOURNAL, Evaluation, EvaluationRequest
from harness.evaluation.resolve import Resolved, phase_2, resolve, resolve_run
from harness.evaluation.results import RunResult, TaskScore
from harness.evaluation.scoring import score_run
from harness.evaluation.stages import Stages, process_age

#: Damage that comes back after it was mended is the disk's.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What a request came to."""

    resolved: Resolved
    #: One for each model.
    results: Sequence[RunResult]
    #: Whether each result was there before, so that no graph was queried.
    finished: Sequence[bool]

    @property
    def doubtful(self) -> bool:
        """Return whether any score has a warning."""
        return any(result.warnings for result in self.results)


def evaluate(request: EvaluationRequest, workspace: Workspace, progress: Progress) -> Evaluated:
    """Evaluate every model of a request through one connection.

    Raises:
        UsageError, DataError, ArtifactError: see `harness.evaluation.resolve.resolve`.
        EndpointError: a graph could not be queried; what was answered is kept, and the same command resumes.
    """
    stages, begin, size = Stages(imports=process_age()), time.time(), cache.bound()
    resolved = resolve(request, workspace)
    plans = [plan(evaluation) for evaluation in resolved.evaluations]
    results = []
    with _connected(resolved, plans, workspace, progress) as opened:
        for planned in plans:
            evaluation, result = planned.evaluation, planned.finished
            note_run(workspace, evaluation.output, (artifact.graph_sha256 for artifact in evaluation.artifacts))
            if result is None:
                result = run(planned, opened, stages, progress)
                stages = Stages()
            results.append(result)
    for line in cache.removed_lines(cache.prune(workspace, size, begin)):
        progress.say(line)
    return Evaluated(resolved=resolved, results=results, finished=[each.finished is not None for each in plans])


def run(planned: Plan, opened: Connection, stages: Stages, progress: Progress) -> RunResult:
    """Execute one plan and score its answers; leaves `journal.sqlite` and `scores.json`.

    Raises:
        UsageError: the folder holds another run.
        DataError: a file is malformed.
        EndpointError: a graph could not be queried, or answered NaN; what was answered is kept.
    """
    evaluation = planned.evaluation
    with claimed(evaluation.output), Journal(evaluation.output / JOURNAL, evaluation.answers) as journal:
        asked, tasks = _answered(planned, journal, opened, stages, progress)
        for line in planned.rows.damaged:
            progress.say(line)
        beside = {
            "stages": stages.to_json(),
            "answers": {"asked": asked.asked, "kept": asked.kept},
            "tokens": {"tokenized_rows": planned.rows.tokenized, "cached_rows": planned.rows.cached},
            "fingerprint": fingerprint(evaluation),
        }
        return write_run(planned, journal, tasks, endpoint=opened.name, backend=asked.backend, beside=beside)


def _answered(
    planned: Plan, journal: Journal, opened: Connection, stages: Stages, progress: Progress
) -> tuple[Asked, list[TaskScore]]:
    """Return what was asked, and the scores; answers that turn out damaged are asked again.

    Raises:
        DamagedAnswers: they are damaged again and again.
    """
    asked = None
    for attempt in range(_ATTEMPTS):
        asked = execute(planned, journal, opened, stages, progress).after(asked)
        try:
            with stages.stage("scoring"):
                return asked, score_run(planned.evaluation, journal, progress)
        except DamagedAnswers as error:
            if attempt + 1 == _ATTEMPTS:
                raise
            progress.say(str(error))
    raise AssertionError


def dry_run(request: EvaluationRequest, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield what would run: graphs, rows before and after de-duplication, tokens, estimated time.

    The time is extrapolated from a few batches of each graph, answered in this process.
    """
    resolved = resolve(request, workspace)
    for planned in [plan(evaluation) for evaluation in resolved.evaluations]:
        begin = time.perf_counter()
        featurize(planned.evaluation, planned.rows, progress)
        reading = time.perf_counter() - begin
        graphs = estimate(planned, answer_seconds)
        yield from (graph.describe() for graph in graphs)
        total = reading + sum(graph.seconds for graph in graphs)
        model, output = planned.evaluation.model, planned.evaluation.output
        yield f"{model}: about {total:.0f} s in process, {reading:.1f} s of them to read and tokenize"
        yield f"would write {output}"
    yield from resolved.remarks
    yield from absent_lines(resolved.absent, resolved.without_graph)


def rescore(
    folder: Path,
    submission: Path | None,
    workspace: Workspace,
    progress: Progress,
    *,
    allow_gold_errors: bool = False,
) -> Evaluated:
    """Compute the scores of a finished run again, from its journal and the data.

    Args:
        folder: of the run.
        submission: where predictions are written; nowhere where None.
        workspace: where its graphs are.
        progress: shows each step.
        allow_gold_errors: count gold answers that contradict their text, even where the run refused them.

    Raises:
        UsageError: the folder holds no run, or one that is not finished.
    """
    resolved = resolve_run(folder, submission, workspace, allow_gold_errors=allow_gold_errors)
    results = [score_again(plan(evaluation), progress) for evaluation in resolved.evaluations]
    return Evaluated(resolved=resolved, results=results, finished=[True])


def find_run(name: str, workspace: Workspace) -> Path:
    """Return the folder of a run from its path, or from its name under `runs/`.

    Raises:
        UsageError: there is no such run; names those of a model that is called so, or the nearest.
    """
    for folder in (Path(name), workspace.runs / name):
        if (folder / SCORES).is_file():
            return folder
    runs = sorted((path.parent for path in workspace.runs.glob(f"*/{SCORES}")), key=lambda path: path.stat().st_mtime)
    own = [path.name for path in runs if path.name.startswith(f"{name}-")]
    hint = f"; the newest run of that model is {own[-1]}" if own else nearest(name, [path.name for path in runs])
    message = f"{name!r} is no run: no folder with {SCORES}, here or under {workspace.runs}{hint}"
    raise UsageError(message)


def score_again(planned: Plan, progress: Progress) -> RunResult:
    """Score the answers that a run's journal holds, and write its record again.

    Raises:
        UsageError: the run has not answered everything.
    """
    evaluation = planned.evaluation
    featurize(evaluation, planned.rows, progress)
    recorded = read_run(evaluation.output)
    with claimed(evaluation.output), Journal(evaluation.output / JOURNAL, evaluation.answers) as journal:
        check_answered(planned, journal)
        tasks = score_run(evaluation, journal, progress)
        # How it was answered stays as it was.
        beside = {
            "stages": recorded.stages,
            "answers": recorded.answers,
            "tokens": recorded.tokens,
            "fingerprint": recorded.fingerprint,
        }
        return write_run(
            planned,
            journal,
            tasks,
            endpoint=recorded.endpoint,
            backend=recorded.provenance.backend,
            beside=beside,
            answered=recorded.provenance,
        )


def report(evaluated: Evaluated, workspace: Workspace, progress: Progress, *, seeds: bool = False) -> Iterator[str]:
    """Yield the lines of the report: tables of each model, differences from the first one, folders of the runs.

    Args:
        evaluated: what the request came to.
        workspace: where data and graphs are.
        progress: shows what is read for intervals.
        seeds: the models are seeds of recipes; then means over seeds stand for the tables of each.
    """
    resolved, results = evaluated.resolved, evaluated.results
    yield from absent_lines(resolved.absent, resolved.without_graph)
    yield from resolved.remarks
    if seeds:
        yield from seed_lines([result.directory for result in results], workspace, progress)
        yield from protocol_lines(results[0].tasks)
        for result in results:
            yield from (f"{result.model}: {line}" for line in warning_lines(result.warnings))
    else:
        yield from _each(evaluated, workspace, progress)
    yield ""
    for result, was_finished in zip(results, evaluated.finished, strict=True):
        remark = " (finished before, no graph was queried again)" if was_finished else _asked(result)
        yield f"run of {result.model}: {result.directory}{remark}"


def _asked(result: RunResult) -> str:
    """Return how many rows were asked, and how many answers were kept from before."""
    asked, kept = (result.answers.get(name, 0) for name in ("asked", "kept"))
    return f" ({counted(asked, 'rows')} asked, {counted(kept, 'answers')} kept from before)"


def _each(evaluated: Evaluated, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield the tables of each model, and the differences from the first one."""
    resolved, results = evaluated.resolved, evaluated.results
    for evaluation, result in zip(resolved.evaluations, results, strict=True):
        yield from _tables(evaluation, result, resolved.is_sample, workspace, progress)
    first = resolved.evaluations[0]
    for evaluation, result in zip(resolved.evaluations[1:], results[1:], strict=True):
        yield ""
        yield from run_differences(results[0].directory, result.directory, workspace, progress)
        yield equal_line(phase_2(first), phase_2(evaluation))
        yield from equal_rows(results[0], result, (first, evaluation))


def report_rescored(evaluated: Evaluated, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield the tables of a run whose scores were computed again."""
    for evaluation, result in zip(evaluated.resolved.evaluations, evaluated.results, strict=True):
        yield from _tables(evaluation, result, evaluated.resolved.is_sample, workspace, progress)


def _tables(
    evaluation: Evaluation, result: RunResult, is_sample: bool, workspace: Workspace, progress: Progress
) -> Iterator[str]:
    """Yield the tables of one model with their intervals, and the signature of its run."""
    found = intervals(result.directory, workspace, progress)
    yield from result_lines(evaluation, result, is_sample, Halves(of=found.halves))
    yield from found.problems
    yield signature_line(result.directory, workspace)


@contextmanager
def _connected(
    resolved: Resolved, plans: Sequence[Plan], workspace: Workspace, progress: Progress
) -> Iterator[Connection]:
    """Give the connection for the graphs of the plans that have to run."""
    pending = [planned.evaluation for planned in plans if planned.finished is None]
    artifacts = [artifact for evaluation in pending for artifact in evaluation.artifacts]
    settings = {
        artifact.name: setting
        for evaluation in resolved.evaluations
        for artifact in evaluation.artifacts
        if (setting := evaluation.setting(artifact)) is not None
    }
    with connection(resolved.endpoint, artifacts, workspace.model_repository, progress, settings) as opened:
        # A server that is down or lacks a model shows before anything is read or written.
        for artifact in artifacts if opened.remote else ():
            opened.open(artifact).close()
        yield opened
