"""Which lossy variant of a model's graph may be measured: the fastest that the gate let pass, or none."""

from dataclasses import dataclass

from harness.artifacts.gate import GATE, read_gate
from harness.artifacts.store import Artifact, ArtifactStore

#: Fastest first (docs/export.md).
LOSSY = ("int8", "int8_block")


@dataclass(frozen=True, slots=True)
class Choice:
    """The fastest gated variant of one finetune's graph."""

    #: None where the gate let none pass.
    artifact: Artifact | None
    #: Why faster ones, or all, are not measured; one sentence for each.
    reasons: tuple[str, ...]


def fastest(store: ArtifactStore, model: str, exact: Artifact) -> Choice:
    """Return the fastest variant that the gate passed for the checkpoint that an fp32 graph came from.

    Args:
        store: the exported graphs.
        model: its name.
        exact: the fp32 graph.

    Raises:
        ArtifactError: a published graph is damaged.
    """
    reasons: list[str] = []
    for variant in LOSSY:
        reason = _against(store, model, exact, variant)
        if reason is None:
            return Choice(store.find(model, exact.finetune, variant), tuple(reasons))
        reasons.append(reason)
    return Choice(None, tuple(reasons))


def _against(store: ArtifactStore, model: str, exact: Artifact, variant: str) -> str | None:
    """Return why a variant is not measured; None if the gate passed it."""
    folder = store.directory(model, exact.finetune, variant)
    refused = folder.with_name(f"{folder.name}.refused") / GATE
    command = f"harness export --model {model} --variant {variant} --finetune {exact.finetune}"
    name = f"{model}/{exact.finetune} in {variant}"
    if not folder.is_dir():
        refusal = read_gate(refused, model)
        if refusal is not None and refusal.problems:
            return f"{name} is refused by the gate: {refusal.problems[0]}"
        return f"{name} was never exported; `{command}` makes it"
    verdict = read_gate(folder / GATE, model)
    if verdict is None or not verdict.passed:
        return f"{name} was published although the gate did not pass it; `{command} --force` runs the gate again"
    found = store.find(model, exact.finetune, variant)
    if found.manifest.checkpoint.digest != exact.manifest.checkpoint.digest:
        return f"{name} is from another checkpoint than the fp32 graph; `{command}` brings it up to date"
    return None
