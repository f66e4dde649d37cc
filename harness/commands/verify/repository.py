"""The links of a published graph: a version's files against its manifest, and the configs that select it."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from harness.artifacts.gate import GATE
from harness.artifacts.manifest import MANIFEST
from harness.artifacts.store import Artifact
from harness.commands.verify.check import digest, link, require
from harness.core.errors import ArtifactError
from harness.serving.repository.check import check_version, version_manifest
from harness.serving.repository.layout import CONFIG, CONFIGS, Profile, config_path, selected, text_name, versions


def verify_served(artifact: Artifact, repository: Path) -> str:
    """Return the line of the version that is served under an artifact's name."""
    name = artifact.name
    numbers = versions(repository / name)
    if not numbers and not (repository / name / CONFIG).exists():
        return f"--  {name} is not published"
    with link(f"model repository, {name}"):
        version = selected(repository / name / CONFIG)
        if version is None:
            message = (
                f"{repository / name / CONFIG} is missing or selects no version, of {len(numbers)} that are there; "
                f"select one with `harness models promote {artifact.model}`, or publish with `harness export`"
            )
            raise ArtifactError(message)
        _check_version(artifact, repository, version)
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


def verify_published(artifact: Artifact, repository: Path, endpoint: str) -> str:
    """Return the line of the published version that holds a run's graph, served now or not."""
    name = artifact.name
    for version in reversed(versions(repository / name)):
        manifest = version_manifest(repository / name / str(version))
        if manifest is not None and manifest.graph_sha256 == artifact.graph_sha256:
            with link(f"model repository, {name}"):
                _check_version(artifact, repository, version)
            return f"ok  model repository, {name}: version {version} is the graph of the run"
    if endpoint == "onnx" or "://" in endpoint:
        return f"--  {name} is not in the model repository; the run's endpoint was {endpoint}"
    with link(f"model repository, {name}"):
        message = (
            f"no version in {repository} is the graph of the run; "
            f"it was deleted or damaged, publish it with `harness export --model {artifact.model}`"
        )
        raise ArtifactError(message)


def _check_version(artifact: Artifact, repository: Path, version: int) -> None:
    manifest = check_version(repository, artifact.name, version)
    fix = f"publish the artifact with `harness export --model {artifact.model}`, or promote its version"
    require(artifact.graph_sha256, manifest.graph_sha256, f"the graph of version {version}", fix)
    folder = repository / artifact.name / str(version)
    for name in (MANIFEST, GATE):
        ours, theirs = artifact.directory / name, folder / name
        require(digest(ours), digest(theirs), f"{name} of version {version}", fix)
    text = (folder / CONFIGS / "evaluation.pbtxt").read_text(encoding="utf-8")
    if artifact.graph_sha256 not in text:
        message = f"the config of version {version} names another graph; {fix}"
        raise ArtifactError(message)


def _profiles() -> Sequence[Profile]:
    return cast("tuple[Profile, ...]", get_args(Profile))
