"""`harness verify`: the chain of digests from checkpoints to scores, computed again link by link.

::

    checkpoints   each file against phase.json, each parent against the child's metadata
    artifact      graph and tokenizer against manifest.json, the checkpoint against its digest there
    repository    the published files against the manifest, the configs against the version they select
    run           graphs, checkpoints and data against the provenance in scores.json
    scores        computed again from the kept answers, whose checksums are compared
    answers       1 % of each graph's batches asked again

Nothing is changed; scores are computed on a copy of the run. Answers that are damaged are dropped, and named.
"""

from collections.abc import Iterator
from pathlib import Path

from harness.artifacts.checkpoint import read_metadata
from harness.artifacts.manifest import MANIFEST
from harness.artifacts.run import SCORES
from harness.artifacts.store import read_artifact
from harness.artifacts.workspace import Workspace
from harness.commands.verify.artifacts import verify_artifact
from harness.commands.verify.check import below, link
from harness.commands.verify.checkpoints import Lineage
from harness.commands.verify.repository import verify_published, verify_served
from harness.commands.verify.runs import read_whole, scored_graph, verify_answers, verify_data, verify_scores
from harness.core.errors import UsageError, nearest
from harness.core.progress import Progress


def verify(target: str, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield one line for each link that holds, and fail at the first that does not.

    Args:
        target: the folder of a run, a run's name under runs/, or a model.
        workspace: where checkpoints, graphs, the model repository and runs are.
        progress: shows that scores are being computed.

    Raises:
        UsageError: there is no such run or model.
        ArtifactError: a link is broken; names it and says why.
    """
    for run in (Path(target), workspace.runs / target):
        if (run / SCORES).is_file():
            yield from _run(run, workspace, progress)
            return
    trained = (folder.parents[1].name for folder in workspace.finished_checkpoints("*/target/*"))
    known = sorted({*workspace.artifacts.models(), *trained})
    if target in known:
        yield from _model(target, workspace)
        return
    runs = [path.parent.name for path in workspace.runs.glob(f"*/{SCORES}")]
    message = (
        f"{target!r} is no run and no model under {workspace.root}{nearest(target, [*known, *runs])}; "
        "`harness models` lists the models, a run is a folder with scores.json"
    )
    raise UsageError(message)


def _model(model: str, workspace: Workspace) -> Iterator[str]:
    """Yield the links of a model: its checkpoints, its graphs, and the versions that are served of them."""
    lineage = Lineage(workspace)
    for folder in workspace.finished_checkpoints(f"{model}/target/*"):
        with link(f"checkpoint {below(workspace.root, folder)}"):
            checkpoint = read_metadata(folder)
        yield from lineage.verify(checkpoint)
    artifacts = []
    for manifest in sorted((workspace.artifacts.root / model).glob(f"*/*/{MANIFEST}")):
        with link(f"artifact {below(workspace.root, manifest.parent)}"):
            artifacts.append(read_artifact(manifest.parent))
    for artifact in artifacts:
        yield from verify_artifact(artifact, lineage, workspace)
        yield verify_served(artifact, workspace.model_repository)


def _run(run: Path, workspace: Workspace, progress: Progress) -> Iterator[str]:
    """Yield the links of a run, from its checkpoints to its scores."""
    lineage = Lineage(workspace)
    recorded = read_whole(run)
    for finetune in recorded.provenance.graph_sha256:
        artifact = scored_graph(run, recorded, finetune, workspace)
        yield from verify_artifact(artifact, lineage, workspace)
        yield verify_published(artifact, workspace.model_repository, recorded.endpoint)
    yield f"ok  run {run}: {len(recorded.provenance.graph_sha256)} graphs as in its provenance"
    yield from verify_data(run, recorded)
    yield verify_scores(run, recorded, workspace, progress)
    yield from verify_answers(run, recorded, workspace)
