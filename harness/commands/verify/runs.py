"""The links of a run: its graphs and data against the provenance in scores.json, and its scores."""

import math
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.artifacts.run import SCORES, RunRecord, read_run
from harness.artifacts.store import Artifact, read_artifact
from harness.artifacts.workspace import Workspace
from harness.commands.evaluate import rescore
from harness.commands.verify.check import link, require
from harness.core.errors import ArtifactError, HarnessError
from harness.core.features import Feature, pad_features
from harness.core.layout import Layout
from harness.core.progress import Progress, Silent
from harness.core.records import to_json
from harness.evaluation.answers import pack, unpack
from harness.evaluation.journal import ANSWERS, Journal
from harness.evaluation.plan import featurize, plan
from harness.evaluation.provenance import data_sha256
from harness.evaluation.request import JOURNAL
from harness.evaluation.resolve import resolve_run
from harness.evaluation.selection import check_suite, choose_protocols, choose_tasks
from harness.evaluation.workload import Job, sample_of
from harness.inference.endpoints.numerics import onnxruntime

#: Relative and absolute: the same sums in another order, on another machine. A changed answer moves more.
_SCORE_TOLERANCE = 1e-9
#: Of logits and vectors: the same graph, engine and batch, with other threads.
_ANSWER_TOLERANCE = 1e-4
#: One batch of so many is asked again.
_SHARE = 100


def read_whole(run: Path) -> RunRecord:
    """Return the record of a run whose provenance leaves nothing out.

    Raises:
        ArtifactError: the record is damaged, or leaves out a graph or the data of a task that was scored.
    """
    with link(f"run {run}"):
        recorded = read_run(run, ArtifactError)
        _check_whole(run / SCORES, recorded)
    return recorded


def scored_graph(run: Path, recorded: RunRecord, finetune: str, workspace: Workspace) -> Artifact:
    """Return the exported graph that a run was scored with.

    Raises:
        ArtifactError: it is gone, or is not the one of the run any more.
    """
    provenance = recorded.provenance
    # Without its own, of a run that is older than that, the variant is the run's.
    variant = provenance.variant.get(finetune, recorded.variant)
    with link(f"run {run}"):
        artifact = read_artifact(workspace.artifacts.directory(recorded.model, finetune, variant))
        fix = "it was exported again since; evaluate again with `harness eval`"
        require(provenance.graph_sha256[finetune], artifact.graph_sha256, f"the graph of {artifact.name}", fix)
        require(provenance.tokenizer_sha256, artifact.tokenizer_sha256, "its tokenizer", fix)
        ancestor = artifact.manifest.checkpoint.digest
        require(provenance.checkpoint_sha256.get(finetune), ancestor, "its checkpoint", fix)
    return artifact


def verify_data(run: Path, recorded: RunRecord) -> Iterator[str]:
    """Yield a line for the data of each task."""
    expected = recorded.provenance.data_sha256
    with link(f"data of run {run}"):
        layout, jobs = Layout.at(Path(recorded.request.data)), _jobs(recorded)
    for task in expected:
        with link(f"data of {task}"):
            try:
                (found,) = data_sha256([job for job in jobs if job.task.name == task], layout).values()
            except FileNotFoundError as error:
                message = f"{error.filename} is missing; get it with `harness data get {task}`"
                raise ArtifactError(message) from error
            fix = f"the files under {layout.xtreme} are not those of the run"
            require(expected[task], found, "their digest", fix)
    yield f"ok  data of {len(expected)} tasks under {layout.xtreme}"


def verify_scores(run: Path, recorded: RunRecord, workspace: Workspace, progress: Progress) -> str:
    """Return the line of a run's scores, which are computed again from its journal.

    Raises:
        ArtifactError: the journal is missing or lacks answers, or a score differs.
    """
    with link(f"scores of run {run}"):
        if not (run / JOURNAL).is_file():
            message = f"{run / JOURNAL} is missing, so that its scores cannot be computed again"
            raise ArtifactError(message)
        again = _rescored(run, workspace, progress)
        for key in ("tasks", "groups", "overall"):
            before, after = (_compared(record, key, recorded.format) for record in (recorded, again))
            if different := _first_difference(before, after, key):
                message = f"{different} in its journal and data; compute them anew with `harness rescore {run}`"
                raise ArtifactError(message)
    return f"ok  scores of run {run}: {len(recorded.tasks)} tasks, the same from its journal"


def verify_answers(run: Path, recorded: RunRecord, workspace: Workspace) -> Iterator[str]:
    """Ask 1 % of the batches of each graph again, and yield a line for each graph.

    Raises:
        ArtifactError: an answer differs from the one that is kept.
    """
    (evaluation,) = resolve_run(run, None, workspace).evaluations
    planned = plan(evaluation)
    featurize(evaluation, planned.rows, Silent())
    with tempfile.TemporaryDirectory(prefix="harness-verify-") as scratch:
        copy = Path(scratch) / JOURNAL
        for path in run.glob(f"{JOURNAL}*"):
            shutil.copyfile(path, copy.with_name(path.name))
        with link(f"answers of run {run}"), Journal(copy, evaluation.answers or run / ANSWERS) as journal:
            for workload in evaluation.workloads:
                rows = {row.key: row for block in workload.blocks(planned.rows) for row in block}
                yield _asked_again(workload.artifact, rows, journal, recorded.fingerprint)


def _asked_again(artifact: Artifact, rows: Mapping[bytes, Feature], journal: Journal, seed: str) -> str:
    """Return the line of one graph; the batches are drawn by the run's fingerprint, so that they are the same again."""
    origin, graph = journal.origin(artifact.graph_sha256), artifact.graph_sha256
    if origin.numerics != onnxruntime():
        return (
            f"--  answers of {artifact.name}: not asked again, they were computed by {origin.numerics or 'unknown'}, "
            f"and this process has {onnxruntime()}"
        )
    from harness.inference.endpoints.onnx import OnnxEndpoint

    # The store has the batches of other runs too, whose rows are not known here.
    batches = [(keys, width) for keys, width in journal.batches(graph) if all(key in rows for key in keys)]
    drawn = random.Random(f"{seed} {artifact.name}").sample(batches, min(len(batches), -(-len(batches) // _SHARE)))
    asked = 0
    with OnnxEndpoint.for_batches(artifact) as endpoint:
        for keys, width in drawn:
            members = [rows[key] for key in keys]
            inputs = pad_features(members, artifact.pad_id, artifact.signature.inputs, width)
            lengths = [len(row.input_ids) for row in members]
            kept = journal.outputs(graph, keys, artifact.signature)
            for key, blob, tokens, before in zip(
                keys, pack(lengths, endpoint.infer(inputs), artifact.signature), lengths, kept, strict=True
            ):
                for name, after in unpack(blob, tokens, artifact.signature).items():
                    if not np.allclose(after, before[name], rtol=_ANSWER_TOLERANCE, atol=_ANSWER_TOLERANCE):
                        gap = float(np.abs(after - before[name]).max())
                        message = (
                            f"{artifact.name} answers row {key.hex()} with another {name} than is kept, by {gap:.2g}; "
                            "ask again with `harness eval --fresh`"
                        )
                        raise ArtifactError(message)
                asked += 1
    return f"ok  answers of {artifact.name}: {asked:,} of {len(rows):,} asked again, the same to {_ANSWER_TOLERANCE:g}"


def _rescored(run: Path, workspace: Workspace, progress: Progress) -> RunRecord:
    """Return what a run's journal scores now; computing it writes into both files, hence into copies."""
    # Not beside the run: its folder may be read-only.
    with tempfile.TemporaryDirectory(prefix="harness-verify-") as scratch:
        copy = Path(scratch) / run.name
        copy.mkdir()
        for path in run.glob("*"):
            if path.name == SCORES or path.name.startswith(JOURNAL):
                shutil.copyfile(path, copy / path.name)
        try:
            rescore(copy, None, workspace, progress)
        except HarnessError as error:
            raise ArtifactError(str(error).replace(str(copy), str(run))) from error
        return read_run(copy)


def _check_whole(path: Path, recorded: RunRecord) -> None:
    """Refuse a provenance that leaves out a graph or the data of a task that was scored."""
    jobs = _jobs(recorded)
    for key, needed in (
        ("graph_sha256", {job.task.finetune.name for job in jobs}),
        ("checkpoint_sha256", {job.task.finetune.name for job in jobs}),
        ("data_sha256", {job.task.name for job in jobs} | recorded.tasks.keys()),
    ):
        if lacking := sorted(needed - getattr(recorded.provenance, key).keys()):
            message = f"{path} provenance {key} lacks {', '.join(lacking)}; evaluate again with `harness eval`"
            raise ArtifactError(message)


def _jobs(recorded: RunRecord) -> list[Job]:
    """Return the jobs of a run, in the order in which their data was hashed."""
    request = recorded.request
    chosen = choose_tasks(tuple(recorded.tasks), check_suite(request.suite))
    return [
        Job(task, code, row.split, request.limit, sample_of(request))
        for task in choose_protocols(chosen, tuple(request.protocols))
        for code, row in recorded.tasks[task.name].rows.items()
    ]


def _compared(record: RunRecord, key: str, written: int) -> Any:
    """Return a part of a run's record as JSON values, as far as a run of a format can be compared.

    Before format 2 labels were worded otherwise; what they say is compared by `complete` and the languages.
    """
    part = to_json(getattr(record, key))
    if key == "tasks" and written < RunRecord.newest:
        for task in part.values():
            del task["label"]
    return part


#: What is counted beside a task's scores since some time; a run of before has None there.
_ADDED = frozenset({"placeholders", "gold_errors"})


def _first_difference(recorded: Any, found: Any, path: str) -> str:
    """Return the first value that differs, as people write it, or nothing."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in dict.fromkeys((*recorded, *found)):
            if key in _ADDED and recorded.get(key) is None:
                continue
            if key not in recorded or key not in found:
                return f"{path} {key} is only in {'scores.json, not' if key in recorded else 'what is'}"
            if different := _first_difference(recorded[key], found[key], f"{path} {key}"):
                return different
        return ""
    if isinstance(recorded, float) and isinstance(found, int | float):
        same = math.isclose(recorded, found, rel_tol=_SCORE_TOLERANCE, abs_tol=_SCORE_TOLERANCE)
    else:
        same = recorded == found
    return "" if same else f"{path} is {recorded} in scores.json and {found}"
