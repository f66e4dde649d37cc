"""What an evaluation has to do: whether it was finished before, its rows, and the batches that are pending."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from harness.artifacts.manifest import MANIFEST
from harness.artifacts.run import SCORES, read_run
from harness.artifacts.store import Artifact
from harness.core.errors import ArtifactError
from harness.core.features import Feature
from harness.core.files import code_sha256, file_sha256
from harness.core.progress import Progress
from harness.core.registry import plugin_code
from harness.core.version import packages
from harness.evaluation.answers import batch_keys
from harness.evaluation.provenance import data_sha256
from harness.evaluation.request import JOURNAL, Evaluation
from harness.evaluation.results import RunResult, TaskScore
from harness.evaluation.workload import unanswered
from harness.inference.endpoints.numerics import MERGED
from harness.inference.planner import Batch, BatchPlanner
from harness.tokenization.cache import TokenCache
from harness.tokenization.rows import Rows

#: The sources that turn data and answers into scores.
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Plan:
    """One evaluation and what is known before any graph is queried."""

    evaluation: Evaluation
    #: What the same evaluation scored before, in the same folder; None where it has to run.
    finished: RunResult | None
    rows: Rows


def plan(evaluation: Evaluation) -> Plan:
    """Return the plan of an evaluation; nothing is tokenized yet.

    Raises:
        ArtifactError: the graphs of the model do not share one tokenizer.
        UsageError: the `scores.json` of an earlier run is damaged.
    """
    return Plan(evaluation, finished(evaluation), rows_of(evaluation))


def fingerprint(evaluation: Evaluation) -> str:
    """Return a digest of everything that the scores of an evaluation depend on: equal ones score alike."""
    inputs = {
        "request": evaluation.request,
        "tuning": None if evaluation.tuning is None else evaluation.tuning.answer_settings(),
        "graphs": [file_sha256(artifact.directory / MANIFEST) for artifact in evaluation.artifacts],
        "data": data_sha256(evaluation.jobs, evaluation.layout),
        "code": [code_sha256(_PACKAGE), plugin_code()],
        "packages": packages(),
    }
    return sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def finished(evaluation: Evaluation) -> RunResult | None:
    """Return the result of an earlier run of the very same evaluation in the same folder, if there was one.

    Anything that could change a score makes it another evaluation: data, graphs, code, packages or request.

    Raises:
        UsageError: its `scores.json` is damaged.
    """
    path = evaluation.output / SCORES
    if evaluation.submission is not None or not path.is_file() or not (evaluation.output / JOURNAL).is_file():
        return None
    recorded = read_run(evaluation.output)
    if recorded.fingerprint != fingerprint(evaluation):
        return None
    chosen = {job.task.name: job.task for job in evaluation.jobs}
    tasks = [
        TaskScore.from_record(
            chosen[name], chosen[name].all_languages(evaluation.suite), value, recorded.plausibility.get(name)
        )
        for name, value in recorded.tasks.items()
    ]
    return RunResult(
        evaluation.model, evaluation.output, tasks, recorded.padding, recorded.warnings, {}, recorded.repeats
    )


def rows_of(evaluation: Evaluation) -> Rows:
    """Return what makes the rows of an evaluation.

    Raises:
        ArtifactError: the graphs of the model do not share one tokenizer.
    """
    digests = {artifact.tokenizer_sha256 for artifact in evaluation.artifacts}
    if len(digests) > 1:
        message = f"the graphs of {evaluation.model!r} have {len(digests)} tokenizers; train and export the model again"
        raise ArtifactError(message)
    first = evaluation.artifacts[0]
    cache = None if evaluation.cache is None else TokenCache(evaluation.cache / "tokens")
    return Rows(evaluation.layout, first.tokenizer, first.tokenizer_sha256, cache)


def read(evaluation: Evaluation, rows: Rows, progress: Progress) -> None:
    """Read what has to be tokenized, so that a malformed file shows before any graph is queried.

    Raises:
        DataError: a file is malformed.
    """
    with progress.step(f"{evaluation.model}: reading", len(evaluation.jobs), "files") as advance:
        for workload in evaluation.workloads:
            workload.read(evaluation.layout, rows, advance)


def featurize(evaluation: Evaluation, rows: Rows, progress: Progress) -> None:
    """Read and tokenize every job of every graph, for what needs all rows at once.

    Raises:
        DataError: a file is malformed.
    """
    read(evaluation, rows, progress)
    with progress.step(f"{evaluation.model}: tokenizing", len(evaluation.jobs), "files") as advance:
        for workload in evaluation.workloads:
            workload.featurize(rows, advance)


@dataclass(frozen=True, slots=True)
class GraphEstimate:
    """What one graph would have to answer, and about how long that takes in this process."""

    artifact: Artifact
    tasks: tuple[str, ...]
    files: int
    rows: int
    #: Rows after equal ones are counted once.
    pending: int
    useful_tokens: int
    padded_tokens: int
    batches: int
    seconds: float

    def describe(self) -> str:
        """Return one line for people."""
        return (
            f"{self.artifact.name} ({', '.join(self.tasks)}): {self.files} files, {self.rows:,} rows, "
            f"{self.pending:,} after de-duplication, {self.useful_tokens:,} tokens, "
            f"{self.padded_tokens / self.useful_tokens:.3f} padded/useful, "
            f"{self.batches} batches, about {self.seconds:.1f} s"
        )


def estimate(
    planned: Plan, seconds_of: Callable[[Artifact, Sequence[Feature], Sequence[Batch]], float]
) -> list[GraphEstimate]:
    """Return what each graph of a plan would have to answer; its rows are there already (`featurize`).

    Args:
        planned: the plan.
        seconds_of: gives about how many seconds a graph needs for the batches of some rows.
    """
    evaluation, found = planned.evaluation, []
    for workload in evaluation.workloads:
        artifact = workload.artifact
        rows = [row for block in workload.blocks(planned.rows) for row in block]
        pending, batches = pending_batches(artifact, rows, set(), evaluation.planner_of(artifact))
        found.append(
            GraphEstimate(
                artifact=artifact,
                tasks=tuple(dict.fromkeys(job.task.name for job in workload.jobs)),
                files=len(workload.jobs),
                rows=len(rows),
                pending=len(pending),
                useful_tokens=sum(len(feature.input_ids) for feature in pending),
                padded_tokens=sum(batch.padded_tokens for batch in batches),
                batches=len(batches),
                seconds=seconds_of(artifact, pending, batches),
            )
        )
    return found


def pending_batches(
    artifact: Artifact, block: Sequence[Feature], stored: set[bytes], planner: BatchPlanner
) -> tuple[list[Feature], list[Batch]]:
    """Return the rows that a graph has to answer, and the batches of those still pending.

    Where an answer depends on its batch, as with int8 that scales whole batches, the plan is that of a
    run from the start, and a batch is pending unless it was answered as it is: so the answers follow from the data,
    and not from what was asked before.

    Args:
        artifact: the graph.
        block: the rows that are wanted.
        stored: the keys of the answers that are there; see `AnswerStore.keys`.
        planner: cuts rows into batches.
    """
    if not artifact.batch_dependent:
        rows = unanswered(block, stored)
        return rows, planner.plan([len(feature.input_ids) for feature in rows])
    rows = unanswered(block, set())
    batches = planner.plan([len(feature.input_ids) for feature in rows])
    return rows, [
        batch for batch in batches if batch_keys([rows[row].key for row in batch.rows], batch.width)[0] not in stored
    ]


def repeats(artifacts: Sequence[Artifact], numerics: Mapping[str, str]) -> str:
    """Return whether and why the same evaluation gives the same answers again.

    Args:
        artifacts: the graphs.
        numerics: what computed each graph's answers, by the graph's digest.
    """
    dependent = [artifact.name for artifact in artifacts if artifact.batch_dependent]
    if not dependent:
        return "each row's answer is its own, whatever it is batched with"
    merged = [artifact.name for artifact in artifacts if numerics.get(artifact.graph_sha256, "").endswith(MERGED)]
    if merged:
        return (
            f"{', '.join(merged)} scale whole batches, and the server merges requests of all its clients into one: the "
            "same evaluation may give other answers; serve with `harness serve --profile evaluation`"
        )
    return (
        f"{', '.join(dependent)} scale whole batches: answers repeat since the plan follows from the data alone, "
        f"one batch is one call, and the server merges nothing"
    )
