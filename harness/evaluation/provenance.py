"""What a result needs so that it can be repeated: versions, commit, and digests of data and graphs."""

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.artifacts.store import Artifact
from harness.core import machine
from harness.core.files import content_sha256
from harness.core.heads import is_retrieval
from harness.core.layout import Layout
from harness.core.version import packages
from harness.evaluation.workload import Job, by_task


def commit() -> dict[str, Any]:
    """Return the git commit of the package's checkout and whether it has changes, or nulls outside of one."""
    folder = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str | None:
        try:
            result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "harness/__init__.py") is None:
        return {"commit": None, "dirty": None}
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}


def data_sha256(jobs: Sequence[Job], layout: Layout) -> dict[str, str]:
    """Return for each task a digest over the names and contents of the files it is scored on."""
    digests = {}
    for task, members in by_task(jobs).items():
        digest = sha256()
        for job in members:
            for path in job.paths(layout):
                digest.update(f"{path.name} {content_sha256(path)}\n".encode())
        digests[task] = digest.hexdigest()
    return digests


def _search(jobs: Sequence[Job]) -> dict[str, str]:
    """Return what searched neighbours, where a task is one of retrieval."""
    if not any(is_retrieval(job.task.finetune.head) for job in jobs):
        return {}
    from harness.benchmark.postprocessors import neighbours

    return {"search": neighbours.backend()}


def provenance(jobs: Sequence[Job], layout: Layout, artifacts: Sequence[Artifact], backend: str) -> dict[str, Any]:
    """Return the provenance of a run, as `scores.json` holds it."""
    return {
        "packages": packages(),
        "git": commit(),
        "data": str(layout.xtreme),
        "data_sha256": data_sha256(jobs, layout),
        # A retrieval task may be answered by the exact graph where the run's variant has none.
        "variant": {artifact.finetune: artifact.variant for artifact in artifacts},
        "graph_sha256": {artifact.finetune: artifact.graph_sha256 for artifact in artifacts},
        "tokenizer_sha256": artifacts[0].tokenizer_sha256,
        "checkpoint_sha256": {artifact.finetune: artifact.manifest.checkpoint.digest for artifact in artifacts},
        "backend": backend,
        **_search(jobs),
        "machine": machine.describe(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
