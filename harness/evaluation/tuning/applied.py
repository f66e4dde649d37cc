"""What an evaluation takes of a tuning record: the settings of each graph, the engine, the variants."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.artifacts.store import EXACT, Artifact, ArtifactStore, read_artifact
from harness.core.errors import ArtifactError, UsageError
from harness.evaluation.tuning.record import (
    DEFAULT_ENGINE,
    ENGINES,
    TUNING,
    Engine,
    FinetuneTuning,
    Setting,
    TunedGraph,
    TuningRecord,
    read,
    record_path,
)

#: What `--variant` takes for the fastest variant of each graph.
TUNED = "tuned"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedTuning:
    """What an evaluation of one model takes of its record."""

    engine: Engine
    #: By finetune; a graph that is not in it is queried with the defaults.
    settings: Mapping[str, Setting]
    #: When the newest of them was found, ISO 8601.
    created: str

    def describe(self) -> str:
        """Return one line: ``tuned: onnx in process, 2 threads, budget 2048 (tuning.json of 2026-11-22)``."""
        groups: dict[str, list[str]] = {}
        for finetune, setting in self.settings.items():
            groups.setdefault(setting.describe(), []).append(finetune)
        alone = len(groups) == 1
        shown = "; ".join(text if alone else f"{text} for {', '.join(names)}" for text, names in groups.items())
        return f"tuned: {shown} ({TUNING} of {self.created[:10]})"

    def answer_settings(self) -> dict[str, Any]:
        """Return what an answer may depend on, as JSON values: not when it was found."""
        return {"engine": self.engine, "settings": {name: asdict(each) for name, each in self.settings.items()}}

    def to_json(self) -> dict[str, Any]:
        """Return the form of `scores.json`."""
        return {**self.answer_settings(), "created": self.created}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "AppliedTuning":
        """Return what `to_json` gave."""
        settings = {name: Setting(**fields) for name, fields in value["settings"].items()}
        return AppliedTuning(engine=value["engine"], settings=settings, created=value["created"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTuning:
    """What was found for a model, as far as it applies to this machine and these graphs."""

    model: str
    store: ArtifactStore
    #: None where the model was never tuned, or on another machine.
    record: TuningRecord | None
    #: Why a record that is there does not count; empty where it does.
    remark: str = ""

    def graph(self, artifact: Artifact) -> TunedGraph | None:
        """Return what was found for a graph; None where nothing was, or for another export of it."""
        entry = self._entry(artifact.finetune)
        found = None if entry is None else entry.graphs.get(artifact.variant)
        return found if found is not None and found.graph_sha256 == artifact.graph_sha256 else None

    def _entry(self, finetune: str) -> FinetuneTuning | None:
        return None if self.record is None else self.record.entries.get(finetune)

    def variant(self, finetune: str) -> str:
        """Return the fastest variant of a finetune whose gate passed; fp32 where that graph was exported again.

        Raises:
            UsageError: nothing is known of the model on this machine.
        """
        if self.record is None:
            why = self.remark or f"model {self.model!r} was never tuned"
            message = f"`--variant {TUNED}` needs a search: {why}; make it with `harness tune --model {self.model}`"
            raise UsageError(message)
        entry = self._entry(finetune)
        if entry is None:
            return EXACT
        try:
            artifact = read_artifact(self.store.directory(self.model, finetune, entry.variant))
        except ArtifactError:
            return EXACT
        return EXACT if self.graph(artifact) is None else entry.variant

    def untuned(self, artifacts: Sequence[Artifact]) -> str:
        """Return one line that names the graphs that are queried with the defaults and why; empty if none is."""
        fix = f"`harness tune --model {self.model}`"
        if self.remark:
            return f"not tuned: {self.remark}; {fix}"
        if self.record is None:
            return ""
        reasons = []
        for artifact in artifacts:
            entry = self._entry(artifact.finetune)
            variants = [] if entry is None else list(dict.fromkeys((artifact.variant, entry.variant)))
            left = [variant for variant in variants if self._exported_again(artifact.finetune, variant)]
            if left:
                reasons.append(f"{artifact.finetune} {' and '.join(left)} was exported again since")
            elif self.graph(artifact) is None:
                reasons.append(f"{artifact.finetune} {artifact.variant} was never tuned")
        return f"not tuned: {', '.join(reasons)}; {fix}" if reasons else ""

    def _exported_again(self, finetune: str, variant: str) -> bool:
        """Return whether what was found for a variant is of another export than the one that is there."""
        entry = self._entry(finetune)
        if entry is None or variant not in entry.graphs:
            return False
        try:
            artifact = read_artifact(self.store.directory(self.model, finetune, variant))
        except ArtifactError:
            return True
        return artifact.graph_sha256 != entry.graphs[variant].graph_sha256

    def applied(self, artifacts: Sequence[Artifact], engine: Engine) -> AppliedTuning | None:
        """Return what an evaluation of these graphs by an engine takes; None where nothing was found for any."""
        found = {
            artifact.finetune: graph.best[engine].setting
            for artifact in artifacts
            if (graph := self.graph(artifact)) is not None and engine in graph.best
        }
        if not found or self.record is None:
            return None
        created = max(self.record.entries[finetune].metadata["created"] for finetune in found)
        return AppliedTuning(engine=engine, settings=found, created=created)


def load_tuning(
    store: ArtifactStore, model: str, machine: Mapping[str, Any], packages: Mapping[str, str]
) -> ModelTuning:
    """Return what was found for a model, where it was found on this machine.

    Args:
        store: the artifacts, which the record lies beside.
        model: an exported model.
        machine: as `harness.core.machine.describe` gives it.
        packages: as `harness.evaluation.provenance.packages` gives them.

    Raises:
        UsageError: its record is damaged.
    """
    record = read(store, model)
    whose = "" if record is None else record.mismatch(machine, packages)
    if whose:
        return ModelTuning(model=model, store=store, record=None, remark=f"{record_path(store, model)} is of {whose}")
    return ModelTuning(model=model, store=store, record=record)


def fastest_engine(models: Iterable[tuple[ModelTuning, Sequence[Artifact]]]) -> Engine:
    """Return the engine that takes the least time for graphs, over the rows that each was tuned with.

    The default's where nothing is known, and where the repeats do not separate the engines. An engine
    counts only where every graph that was tuned was tuned with it.
    """
    found = [
        (known.record.entries[artifact.finetune].useful_tokens, graph)
        for known, artifacts in models
        for artifact in artifacts
        if known.record is not None and (graph := known.graph(artifact)) is not None
    ]
    seconds: dict[Engine, float] = {}
    slack: dict[Engine, float] = {}
    for engine in ENGINES:
        if not found or any(engine not in graph.best for _, graph in found):
            continue
        trials = [(tokens, graph.best[engine]) for tokens, graph in found]
        seconds[engine] = sum(tokens / trial.rate for tokens, trial in trials)
        # What the spread of the rates is in seconds, to first order.
        slack[engine] = sum(tokens / trial.rate * trial.spread / trial.rate for tokens, trial in trials)
    if not seconds:
        return DEFAULT_ENGINE
    best = min(seconds, key=lambda engine: seconds[engine])
    if DEFAULT_ENGINE not in seconds:
        return best
    gained = seconds[DEFAULT_ENGINE] - seconds[best]
    return DEFAULT_ENGINE if gained <= max(slack[DEFAULT_ENGINE], slack[best]) else best
