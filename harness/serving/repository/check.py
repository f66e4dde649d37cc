"""Whether the files of a published version are those that were published.

The digest of each is in the version's files.json; those of graph and tokenizer are in its manifest too.
"""

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import NoReturn, get_args

from harness.artifacts.manifest import MANIFEST, ArtifactManifest, read_manifest
from harness.artifacts.store import GRAPH, TOKENIZER, WEIGHTS, Artifact, graph_digests, joined_sha256
from harness.core.errors import ArtifactError, UsageError
from harness.core.files import file_sha256
from harness.serving.repository.known_answer import FILE
from harness.serving.repository.layout import CONFIG, CONFIGS, Profile, selected, text_name, versions

#: Of each file of a version the digest, by its path from the version's folder; written last.
FILES = "files.json"
_PROFILES = get_args(Profile)


def serves(artifact: Artifact, repository: Path) -> bool:
    """Return whether the version that is selected under an artifact's name is the artifact's graph."""
    model = repository / artifact.name
    version = selected(model / CONFIG)
    return version is not None and holds(model / str(version), artifact)


def holds(version: Path, artifact: Artifact) -> bool:
    """Return whether a version is an artifact's graph with its tokenizer, whole."""
    if not all((version / path.name).is_file() for path in artifact.graph_files):
        return False
    manifest = version_manifest(version)
    if manifest is not None and (manifest.graph_sha256, manifest.tokenizer_sha256) != (
        artifact.graph_sha256,
        artifact.tokenizer_sha256,
    ):
        return False
    return graph_digests(version / GRAPH)["graph_sha256"] == artifact.graph_sha256


def version_manifest(version: Path) -> ArtifactManifest | None:
    """Return a version's manifest; None where it is missing or damaged."""
    try:
        return read_manifest(version / MANIFEST)
    except (OSError, ArtifactError):
        return None


def check_version(repository: Path, name: str, version: int) -> ArtifactManifest:
    """Return the manifest of a published version after comparing its files with it.

    Args:
        repository: the model repository.
        name: a graph's served name; the same version of its text model is checked with it.
        version: its number.

    Raises:
        UsageError: the graph has no such version; names those it has.
        ArtifactError: a file is missing, or is not the one that was published.
    """
    model = repository / name
    numbers = versions(model)
    if version not in numbers:
        there = ", ".join(map(str, numbers)) or "none"
        message = f"{name} has no version {version} in {repository}; it has {there}, `harness models` lists them"
        raise UsageError(message)
    folder, text = model / str(version), repository / text_name(name) / str(version)
    manifest = version_manifest(folder)
    if manifest is None:
        _refuse(folder / MANIFEST, "is missing or damaged")
    weights = {} if manifest.weights_sha256 is None else {WEIGHTS: manifest.weights_sha256}
    needed = {GRAPH, *weights, FILE, *(f"{CONFIGS}/{profile}.pbtxt" for profile in _PROFILES)}
    found = _check_files(folder, weights, needed)
    if joined_sha256(found[GRAPH], found.get(WEIGHTS)) != manifest.graph_sha256:
        _refuse(folder / GRAPH, "is not the file that was published")
    if text.parent.is_dir():
        _check_files(text, {TOKENIZER: manifest.tokenizer_sha256}, {FILE, f"{CONFIGS}/online.pbtxt"})
    return manifest


def _check_files(version: Path, known: Mapping[str, object], needed: Set[str]) -> dict[str, str]:
    """Return the digest of each file of a version after comparing it with the one it was published with.

    Args:
        version: the version's folder.
        known: digests from the manifest, which come before those of files.json.
        needed: files that must be there besides.
    """
    recorded = digests_of(version)
    if recorded is None or needed - recorded.keys():
        _refuse(version / FILES, "is missing or damaged")
    found = {}
    for name, digest in {**recorded, **known}.items():
        path = version / name
        if not path.is_file():
            _refuse(path, "is missing")
        found[name] = file_sha256(path)
        if found[name] != digest:
            _refuse(path, "is not the file that was published")
    return found


def digests_of(version: Path) -> dict[str, str] | None:
    """Return the digest of each file of a version, by its path from there; None where files.json is damaged."""
    try:
        value = json.loads((version / FILES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(path: Path, what: str) -> NoReturn:
    message = f"{path} {what}; publish the model again with `harness export`"
    raise ArtifactError(message)
