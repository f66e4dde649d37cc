"""One line that says what a run's numbers depend on, as sacrebleu prints one beside a BLEU score."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from harness.artifacts.store import Artifact, ArtifactStore
from harness.artifacts.workspace import SAMPLE
from harness.comparison.runs import FinishedRun
from harness.core.errors import HarnessError

#: "hidden state 14 of 24" in a task's representation.
_LAYER = re.compile(r"hidden state (\d+) of (\d+)")
#: Digits of a digest that a line shows.
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What is known of the network behind a run, from its graphs."""

    #: The public checkpoint or the known encoder; empty where it is not known.
    encoder: str
    seed: int | None


def network(run: FinishedRun, store: ArtifactStore) -> Network:
    """Return encoder and seed of a run, from the graphs of the workspace that have the digests it names."""
    digests = set(run.record.provenance.graph_sha256.values())
    try:
        artifacts = [each for each in store.of(run.record.model) if each.graph_sha256 in digests]
    except HarnessError:
        # A graph that is damaged today says nothing about the run; the line then names the digests alone.
        artifacts = []
    if not artifacts:
        return Network(encoder="", seed=None)
    checkpoint = artifacts[0].checkpoint
    return Network(encoder=_encoder(artifacts[0]), seed=checkpoint.seed)


def _encoder(artifact: Artifact) -> str:
    checkpoint = artifact.checkpoint
    if checkpoint.origin is not None:
        return checkpoint.origin.encoder or checkpoint.origin.name
    return checkpoint.source or checkpoint.recipe.pretrained.checkpoint or f"trained here ({checkpoint.recipe.name})"


def layer(representation: str) -> str:
    """Return ``14/24`` of what a task's record says of its vectors; empty where it says nothing."""
    found = _LAYER.search(representation)
    return f"{found.group(1)}/{found.group(2)}" if found else ""


def data_digest(run: FinishedRun, tasks: Collection[str]) -> str:
    """Return a digest over the digests of tasks' data files."""
    digests = run.record.provenance.data_sha256
    return sha256("".join(f"{task} {digests.get(task)}\n" for task in sorted(tasks)).encode()).hexdigest()


def fields(run: FinishedRun, known: Network, chosen: Collection[str] | None = None) -> Mapping[str, str]:
    """Return the parts of a run's signature by name; only some tasks may be what it is for."""
    record = run.record
    request, provenance = record.request, record.provenance
    tasks = {name: task for name, task in record.tasks.items() if chosen is None or name in chosen}
    layers = sorted({found for task in tasks.values() if (found := layer(task.representation))})
    protocols = [entry for entry in request.protocols if entry.partition("=")[0] in tasks]
    graphs = "".join(f"{name} {digest}\n" for name, digest in sorted(provenance.graph_sha256.items()))
    encoder = known.encoder or f"tokenizer {provenance.tokenizer_sha256[:_DIGITS]}"
    commit = provenance.git.get("commit")
    return {
        "suite": record.suite or "none",
        "tasks": ",".join(tasks),
        "split": request.split,
        "protocol": ",".join(protocols) or "default",
        "layer": ",".join(layers) or "none",
        "variant": record.variant,
        "encoder": encoder,
        "seed": "unknown" if known.seed is None else str(known.seed),
        "limit": "none" if request.limit is None else str(request.limit),
        **({} if request.sample is None else {"sample": f"{request.sample},seed={request.sample_seed}"}),
        "data": data_digest(run, tasks)[:_DIGITS] + (f" ({SAMPLE})" if Path(request.data).name == SAMPLE else ""),
        "graphs": sha256(graphs.encode()).hexdigest()[:_DIGITS],
        "version": provenance.packages.get("xtreme-harness", "unknown") + (f"+{commit[:8]}" if commit else ""),
    }


def signature(run: FinishedRun, store: ArtifactStore, tasks: Collection[str] | None = None) -> str:
    """Return a run's signature: ``suite:xtreme-r|tasks:xnli|split:test|...``.

    Args:
        run: the run.
        store: graphs, which know encoder and seed; a run whose graphs are not there says so.
        tasks: those that the line is for; all of the run where None.
    """
    return "|".join(f"{name}:{value}" for name, value in fields(run, network(run, store), tasks).items())
