"""Whether an endpoint gives the answer that a graph was published with, before it is asked anything else.

A digest says that a file is the one its manifest names; it does not say that a server computes with that file, nor
that the outputs stand in the order of the manifest's labels. The stored answer of the published version does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.artifacts.manifest import ArtifactManifest
from harness.artifacts.store import EXACT, Artifact
from harness.core.errors import EndpointError
from harness.inference.endpoints import Endpoint
from harness.serving.repository.check import version_manifest
from harness.serving.repository.known_answer import FILE, TOLERANCE, KnownAnswer, read_known_answer
from harness.serving.repository.layout import versions

#: For graphs in lower precision, whose values depend on the processor and on the GPU: int8 with and without VNNI,
#: fp16 on either. Logits of another order, or of another network, differ by more.
LOSSY_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The known answer of a published version, in the order of an artifact's labels."""

    answer: KnownAnswer
    #: The version's folder.
    version: Path


def stored_answer(artifact: Artifact, repository: Path) -> StoredAnswer | None:
    """Return what a graph must answer: the stored answer of the version that was published from it.

    Where no version has this very graph, an export of the same checkpoint in the same precision counts: it computes
    the same function. Its outputs are put into the order of the artifact's label names.

    Args:
        artifact: the graph.
        repository: the model repository of this workspace.

    Returns:
        None where neither was published here, so that nothing is known.

    Raises:
        EndpointError: the version's known answer is missing or damaged.
    """
    folders = [repository / artifact.name / str(number) for number in reversed(versions(repository / artifact.name))]
    found = [(folder, manifest) for folder in folders if (manifest := version_manifest(folder)) is not None]
    same = [pair for pair in found if pair[1].graph_sha256 == artifact.graph_sha256]
    alike = [pair for pair in found if _is_alike(pair[1], artifact.manifest)]
    for folder, manifest in (*same, *alike):
        answer = read_known_answer(folder / FILE)
        return StoredAnswer(_by_name(answer, _labels(manifest), _labels(artifact.manifest)), folder)
    return None


def check_answer(endpoint: Endpoint, artifact: Artifact, repository: Path) -> None:
    """Refuse an endpoint that does not give the stored answer of an artifact's published version.

    Raises:
        EndpointError: it answers otherwise; says what differs, from which version.
    """
    stored = stored_answer(artifact, repository)
    if stored is None:
        return
    asked = {name: np.asarray(rows, dtype=np.int64) for name, rows in stored.answer.inputs.items()}
    given = {name: value.tolist() for name, value in endpoint.infer(asked).items()}
    tolerance = TOLERANCE if artifact.variant == EXACT else LOSSY_TOLERANCE
    if wrong := stored.answer.difference(given, tolerance):
        labels = _labels(artifact.manifest)
        order = f"; its outputs are not those of {', '.join(labels)} in this order" if labels else ""
        message = (
            f"graph {artifact.name!r} does not give its known answer, which is stored in {stored.version / FILE}: "
            f"{wrong} ({endpoint.where}){order}; export it again with `harness export --model {artifact.model} "
            f"--force`, and restart the server if one answers"
        )
        raise EndpointError(message)


def _is_alike(one: ArtifactManifest, other: ArtifactManifest) -> bool:
    """Return whether two manifests are of exports that compute one function."""
    return (one.checkpoint.digest, one.variant, one.steps, one.retrieval_layer, one.signature) == (
        other.checkpoint.digest,
        other.variant,
        other.steps,
        other.retrieval_layer,
        other.signature,
    )


def _labels(manifest: ArtifactManifest) -> tuple[str, ...]:
    return tuple(manifest.head.labels or ()) if manifest.head is not None else ()


def _by_name(answer: KnownAnswer, own: Sequence[str], wanted: Sequence[str]) -> KnownAnswer:
    """Return an answer whose last axes are in the order of other label names."""
    if tuple(own) == tuple(wanted) or sorted(own) != sorted(wanted):
        return answer
    order = [list(own).index(label) for label in wanted]

    def moved(value: Any) -> Any:
        return np.asarray(value)[..., order].tolist()

    return replace(answer, outputs={name: moved(value) for name, value in answer.outputs.items()})
