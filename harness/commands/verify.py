"""`harness verify`: the chain of digests from checkpoints to scores, computed again link by link.

::

    checkpoints   each file against phase.json, each parent against the child's metadata
    artifact      graph and tokenizer against manifest.json, the checkpoint against its digest there
    repository    the published files against the manifest, the configs against the version they select
    run           graphs, checkpoints and data against the provenance in scores.json
    scores        computed again from the journal

Everything is only read; scores are computed on a copy of the run.
"""

import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_args

from harness.artifacts.checkpoint import PHASE_FILE, Checkpoint, read_checkpoint, read_metadata
from harness.artifacts.gate import GATE
from harness.artifacts.manifest import MANIFEST, differing_metadata
from harness.artifacts.run import SCORES, RunRecord, read_run
from harness.artifacts.store import Artifact, read_artifact
from harness.artifacts.workspace import Workspace
from harness.commands.evaluate import report_rescored, rescore
from harness.core.errors import ArtifactError, HarnessError, UsageError, nearest
from harness.core.files import file_sha256
from harness.core.layout import Layout
from harness.core.progress import Progress
from harness.core.records import to_json
from harness.evaluation.provenance import data_sha256
from harness.evaluation.request import JOURNAL
from harness.evaluation.selection import check_suite, choose_protocols, choose_tasks
from harness.evaluation.workload import Job
from harness.serving.repository.config import Profile
from harness.serving.repository.store import (
    CONFIG,
    CONFIGS,
    check_version,
    config_path,
    selected,
    text_name,
    version_manifest,
    versions,
)

#: Relative and absolute: the same sums in another order, on another machine. A changed answer moves more.
_SCORE_TOLERANCE = 1e-9
_SHORT = 12


def verify(target: str, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield one line for each link that holds, and fail at the first that does not.

    Args:
        target: the folder of a run, a run's name under runs/, or a model.
        workspace: where checkpoints, graphs, the model repository and runs are.
        progress: told while scores are computed.

    Raises:
        UsageError: there is no such run or model.
        ArtifactError: a link is broken; names it and says why.
    """
    for run in (Path(target), workspace.runs / target):
        if (run / SCORES).is_file():
            yield from _Chain(workspace).run(run, progress)
            return
    known = sorted({*workspace.artifacts.models(), *(path.parents[2].name for path in _targets(workspace, "*"))})
    if target in known:
        yield from _Chain(workspace).model(target)
        return
    runs = [path.parent.name for path in workspace.runs.glob(f"*/{SCORES}")]
    message = (
        f"{target!r} is no run and no model under {workspace.root}{nearest(target, [*known, *runs])}; "
        "`harness models` lists the models, a run is a folder with scores.json"
    )
    raise UsageError(message)


def _targets(workspace: Workspace, model: str) -> list[Path]:
    return _finished(workspace, f"{model}/target/*/{PHASE_FILE}")


def _finished(workspace: Workspace, pattern: str) -> list[Path]:
    """Return the accounts of checkpoints, without the hidden drafts of one that is being written."""
    found = workspace.checkpoints.glob(pattern)
    return sorted(path for path in found if not path.parent.name.startswith("."))


@contextmanager
def _link(name: str) -> Iterator[None]:
    """Name the link that breaks inside."""
    try:
        yield
    except HarnessError as error:
        message = f"the chain breaks at {name}: {error}"
        raise ArtifactError(message) from error


def _require(expected: object, found: object, what: str, fix: str) -> None:
    if expected != found:
        message = f"{what} is {_short(found)}, {_short(expected)} is expected; {fix}"
        raise ArtifactError(message)


def _short(value: object) -> str:
    return str(value)[:_SHORT] if value is not None else "missing"


class _Chain:
    """One verification: what was checked once is not checked again."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._done: set[str] = set()
        self._by_digest: dict[str, Checkpoint] = {}
        for path in _finished(workspace, f"**/{PHASE_FILE}"):
            try:
                found = read_metadata(path.parent)
            except HarnessError:
                continue  # said where the chain leads there: its digest is then not to be found
            self._by_digest[found.digest] = found

    def model(self, model: str) -> Iterator[str]:
        """Yield the links of a model: its checkpoints, its graphs, and what is served of them."""
        workspace = self._workspace
        for path in _targets(workspace, model):
            with _link(f"checkpoint {self._place(path.parent)}"):
                checkpoint = read_metadata(path.parent)
            yield from self._ancestry(checkpoint)
        artifacts = []
        for manifest in sorted((workspace.artifacts.root / model).glob(f"*/*/{MANIFEST}")):
            with _link(f"artifact {self._place(manifest.parent)}"):
                artifacts.append(read_artifact(manifest.parent))
        for artifact in artifacts:
            yield from self._artifact(artifact)
            yield self._served(artifact)

    def run(self, run: Path, progress: Progress) -> Iterator[str]:
        """Yield the links of a run, from its checkpoints to its scores."""
        with _link(f"run {run}"):
            recorded = read_run(run, ArtifactError)
            provenance = recorded.provenance
            _check_whole(run / SCORES, recorded)
        for finetune, digest in provenance.graph_sha256.items():
            # Without its own, of a run that is older than that, the variant is the run's.
            variant = provenance.variant.get(finetune, recorded.variant)
            directory = self._workspace.artifacts.directory(recorded.model, finetune, variant)
            with _link(f"run {run}"):
                artifact = read_artifact(directory)
                fix = "it was exported again since; evaluate again with `harness eval`"
                _require(digest, artifact.graph_sha256, f"the graph of {artifact.name}", fix)
                _require(provenance.tokenizer_sha256, artifact.tokenizer_sha256, "its tokenizer", fix)
                _require(provenance.checkpoint_sha256.get(finetune), _ancestor(artifact), "its checkpoint", fix)
            yield from self._artifact(artifact)
            yield self._published(artifact, recorded.endpoint)
        yield f"ok  run {run}: {len(provenance.graph_sha256)} graphs as in its provenance"
        yield from self._data(run, recorded)
        yield self._scores(run, recorded, progress)

    def _place(self, path: Path) -> str:
        root = self._workspace.root
        return str(path.relative_to(root) if path.is_relative_to(root) else path)

    def _ancestry(self, checkpoint: Checkpoint) -> Iterator[str]:
        """Yield the checkpoints that a checkpoint comes from, and itself."""
        place = self._place(checkpoint.directory)
        if checkpoint.digest in self._done:
            return
        self._done.add(checkpoint.digest)
        parents = dict(checkpoint.metadata.parents)
        body = checkpoint.metadata.body
        if body is not None:
            parents[f"body {body.finetune}"] = body.digest
        for role, digest in parents.items():
            parent = self._by_digest.get(digest)
            if parent is None:
                with _link(f"checkpoint {place}"):
                    message = (
                        f"its parent ({role}, {digest[:_SHORT]}) is not under {self._workspace.checkpoints}; "
                        "it was trained again, deleted or damaged, bring both up to date with `harness train RECIPE`"
                    )
                    raise ArtifactError(message)
            yield from self._ancestry(parent)
        with _link(f"checkpoint {place}"):
            read_checkpoint(checkpoint.directory)
        origins = ", ".join(f"{role} {digest[:_SHORT]}" for role, digest in parents.items())
        files = len(checkpoint.metadata.files)
        yield f"ok  checkpoint {place}: {files} files as written" + (f", from {origins}" if origins else "")

    def _artifact(self, artifact: Artifact) -> Iterator[str]:
        place = self._place(artifact.directory)
        with _link(f"artifact {place}"):
            checkpoint = self._by_digest.get(_ancestor(artifact))
            if checkpoint is None:
                message = (
                    f"its checkpoint {_short(_ancestor(artifact))} is not under {self._workspace.checkpoints}; "
                    f"it was trained again, deleted or damaged, export with `harness export --model {artifact.model}`"
                )
                raise ArtifactError(message)
        yield from self._ancestry(checkpoint)
        with _link(f"artifact {place}"):
            self._workspace.artifacts.find(artifact.model, artifact.finetune, artifact.variant)
            fix = f"export again with `harness export --model {artifact.model} --force`"
            written = checkpoint.metadata.files.get("tokenizer.json")
            _require(written, artifact.tokenizer_sha256, "its tokenizer", fix)
            _require_origin(artifact, checkpoint, fix)
            # Graphs from before the gate, and those written without it, name none.
            _require(artifact.manifest.gate_sha256, _digest(artifact.directory / GATE), f"its {GATE}", fix)
        yield f"ok  artifact {place}: graph and tokenizer as in its manifest, from {_short(checkpoint.digest)}"

    def _served(self, artifact: Artifact) -> str:
        """Return the line of the version that is served under an artifact's name."""
        repository, name = self._workspace.model_repository, artifact.name
        numbers = versions(repository / name)
        if not numbers and not (repository / name / CONFIG).exists():
            return f"--  {name} is not published"
        with _link(f"model repository, {name}"):
            version = selected(repository / name / CONFIG)
            if version is None:
                message = (
                    f"{repository / name / CONFIG} is missing or selects no version, of {len(numbers)} that are there; "
                    f"select one with `harness models promote {artifact.model}`, or publish with `harness export`"
                )
                raise ArtifactError(message)
            self._version(artifact, version)
            kept = repository / name / str(version) / CONFIGS
            pairs = [(config_path(repository, name, profile), kept / f"{profile}.pbtxt") for profile in _profiles()]
            text = repository / text_name(name)
            if text.is_dir():
                pairs.append((text / CONFIG, text / str(version) / CONFIGS / "online.pbtxt"))
            for path, right in pairs:
                if not path.is_file() or path.read_bytes() != right.read_bytes():
                    message = (
                        f"{path} is not the config of version {version}; select it again with "
                        f"`harness models promote {artifact.model} --finetune {artifact.finetune} --version {version}`"
                    )
                    raise ArtifactError(message)
        return f"ok  model repository, {name}: version {version} is the artifact, and what the configs select"

    def _version(self, artifact: Artifact, version: int) -> None:
        repository = self._workspace.model_repository
        manifest = check_version(repository, artifact.name, version)
        fix = f"publish the artifact with `harness export --model {artifact.model}`, or promote its version"
        _require(artifact.graph_sha256, manifest.graph_sha256, f"the graph of version {version}", fix)
        folder = repository / artifact.name / str(version)
        for name in (MANIFEST, GATE):
            ours, theirs = artifact.directory / name, folder / name
            _require(_digest(ours), _digest(theirs), f"{name} of version {version}", fix)
        text = (folder / CONFIGS / "evaluation.pbtxt").read_text(encoding="utf-8")
        if artifact.graph_sha256 not in text:
            message = f"the config of version {version} names another graph; {fix}"
            raise ArtifactError(message)

    def _published(self, artifact: Artifact, endpoint: str) -> str:
        """Return the line of the published version that holds a run's graph, served now or not."""
        repository, name = self._workspace.model_repository, artifact.name
        for version in reversed(versions(repository / name)):
            manifest = version_manifest(repository / name / str(version))
            if manifest is not None and manifest.graph_sha256 == artifact.graph_sha256:
                with _link(f"model repository, {name}"):
                    self._version(artifact, version)
                return f"ok  model repository, {name}: version {version} is the graph of the run"
        if endpoint == "onnx" or "://" in endpoint:
            return f"--  {name} is not in the model repository; the run's endpoint was {endpoint}"
        with _link(f"model repository, {name}"):
            message = (
                f"no version in {repository} is the graph of the run; "
                f"it was deleted or damaged, publish it with `harness export --model {artifact.model}`"
            )
            raise ArtifactError(message)

    def _data(self, run: Path, recorded: RunRecord) -> Iterator[str]:
        """Yield a line for the data of each task."""
        expected = recorded.provenance.data_sha256
        with _link(f"data of run {run}"):
            layout, jobs = Layout.at(Path(recorded.request.data)), _jobs(recorded)
        for task in expected:
            with _link(f"data of {task}"):
                try:
                    (found,) = data_sha256([job for job in jobs if job.task.name == task], layout).values()
                except FileNotFoundError as error:
                    message = f"{error.filename} is missing; get it with `harness data get {task}`"
                    raise ArtifactError(message) from error
                fix = f"the files under {layout.xtreme} are not those of the run"
                _require(expected[task], found, "their digest", fix)
        yield f"ok  data of {len(expected)} tasks under {layout.xtreme}"

    def _scores(self, run: Path, recorded: RunRecord, progress: Progress) -> str:
        with _link(f"scores of run {run}"):
            if not (run / JOURNAL).is_file():
                message = f"{run / JOURNAL} is missing, so that its scores cannot be computed again"
                raise ArtifactError(message)
            again = self._rescored(run, progress)
            for key in ("tasks", "groups", "overall"):
                before, after = (to_json(getattr(record, key)) for record in (recorded, again))
                if different := _first_difference(before, after, key):
                    message = f"{different} in its journal and data; compute them anew with `harness rescore {run}`"
                    raise ArtifactError(message)
        return f"ok  scores of run {run}: {len(recorded.tasks)} tasks, the same from its journal"

    def _rescored(self, run: Path, progress: Progress) -> RunRecord:
        """Return what a run's journal scores now; computing it writes into both files, hence into copies."""
        # Not beside the run: its folder may be read-only.
        with tempfile.TemporaryDirectory(prefix="harness-verify-") as scratch:
            copy = Path(scratch) / run.name
            copy.mkdir()
            for path in run.glob("*"):
                if path.name == SCORES or path.name.startswith(JOURNAL):
                    shutil.copyfile(path, copy / path.name)
            try:
                for _ in report_rescored(rescore(copy, None, self._workspace, progress)):
                    pass
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


def _require_origin(artifact: Artifact, checkpoint: Checkpoint, fix: str) -> None:
    """Compare what is recorded elsewhere too: where the artifact lies, and its checkpoint's metadata."""
    place = "/".join(artifact.directory.parts[-3:])
    _require("/".join((artifact.model, artifact.finetune, artifact.variant)), place, "its folder", fix)
    if key := differing_metadata(artifact.directory / MANIFEST, checkpoint):
        message = f"its manifest has another {key} than its checkpoint; {fix}"
        raise ArtifactError(message)


def _profiles() -> Sequence[Profile]:
    return cast("tuple[Profile, ...]", get_args(Profile))


def _ancestor(artifact: Artifact) -> str:
    return artifact.manifest.checkpoint.digest


def _digest(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None


def _jobs(recorded: RunRecord) -> list[Job]:
    """Return the jobs of a run, in the order in which their data was hashed."""
    request = recorded.request
    chosen = choose_tasks(tuple(recorded.tasks), check_suite(request.suite))
    return [
        Job(task, code, row["split"], request.limit)
        for task in choose_protocols(chosen, tuple(request.protocols))
        for code, row in recorded.tasks[task.name].languages.items()
    ]


def _first_difference(recorded: Any, found: Any, place: str) -> str:
    """Return the first value that differs, as people write it, or nothing."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in dict.fromkeys((*recorded, *found)):
            if key not in recorded or key not in found:
                return f"{place} {key} is only in {'scores.json, not' if key in recorded else 'what is'}"
            if different := _first_difference(recorded[key], found[key], f"{place} {key}"):
                return different
        return ""
    if isinstance(recorded, float) and isinstance(found, int | float):
        same = math.isclose(recorded, found, rel_tol=_SCORE_TOLERANCE, abs_tol=_SCORE_TOLERANCE)
    else:
        same = recorded == found
    return "" if same else f"{place} is {recorded} in scores.json and {found}"
