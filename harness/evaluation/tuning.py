"""What `harness tune` found for a model on one machine, and what an evaluation takes of it.

The record is `artifacts/<model>/tuning.json`, beside the graphs that it is about: for each of them the
settings that were tried with their rates, and those that won. It counts on the machine that it was
measured on, and for the graphs with the digests that it names.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias, get_args

from harness.artifacts.store import Artifact, ArtifactStore, read_artifact
from harness.core.errors import ArtifactError, UsageError
from harness.core.files import write_json
from harness.evaluation.workload import EXACT
from harness.inference.planner import BatchPlanner

TUNING = "tuning.json"
#: What `--variant` takes for the fastest variant of each graph.
TUNED = "tuned"
#: A Triton of our own, which answers where nothing else is said, and onnxruntime in this process.
Engine: TypeAlias = Literal["triton", "onnx"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
DEFAULT_ENGINE: Engine = ENGINES[0]
#: What each engine is called as an endpoint.
ENDPOINTS: Mapping[Engine, str | None] = {"triton": None, "onnx": "onnx"}
DEFAULT_BUDGET = BatchPlanner().max_tokens
#: Counted up where the form of the file changes.
_FORMAT = 1
#: Of `harness.core.machine.describe`: what makes another machine.
_MACHINE = ("processor", "cores")
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way to ask one graph."""

    engine: Engine
    #: Of each instance.
    threads: int
    #: Backend processes of a local Triton, each with its weights; in process, calls at once that share them.
    instances: int = 1
    #: Padded tokens of a batch at most.
    max_tokens: int = DEFAULT_BUDGET

    @property
    def place(self) -> str:
        """Return engine, instances and threads, as people read them."""
        if self.engine == "onnx":
            at_once = "" if self.instances == 1 else f"{self.instances} calls x "
            return f"onnx in process, {at_once}{_counted(self.threads, 'thread')}"
        return f"triton (local), {_counted(self.instances, 'instance')} x {_counted(self.threads, 'thread')}"

    def describe(self) -> str:
        """Return the whole setting: ``onnx in process, 2 threads, budget 2048``."""
        return f"{self.place}, budget {self.max_tokens}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting of one variant, timed several times in turn with others."""

    #: What it was compared for.
    stage: str
    variant: str
    setting: Setting
    #: Useful tokens a second, of each repeat.
    rates: tuple[float, ...]
    #: Padded tokens for each useful one.
    padding: float
    #: MiB that the processes with the graph held: this one, or the backend processes.
    memory: int

    @property
    def rate(self) -> float:
        """Return the median, useful tokens a second."""
        return median(self.rates)

    @property
    def spread(self) -> float:
        """Return the largest rate less the smallest."""
        return max(self.rates) - min(self.rates)

    def ties(self, other: "Trial") -> bool:
        """Return whether the repeats do not tell two trials apart: the medians differ by no more than they do."""
        return abs(self.rate - other.rate) <= max(self.spread, other.spread)

    def to_json(self) -> dict[str, Any]:
        """Return the form of `tuning.json`, with median and spread for readers."""
        return {
            "stage": self.stage,
            "variant": self.variant,
            **asdict(self.setting),
            "useful_tokens_per_second": round(self.rate, 1),
            "spread": round(self.spread, 1),
            "rates": [round(rate, 1) for rate in self.rates],
            "padding": self.padding,
            "memory_mib": self.memory,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Trial":
        """Return what `to_json` gave."""
        setting = Setting(**{name: value[name] for name in ("engine", "threads", "instances", "max_tokens")})
        if setting.engine not in ENGINES or min(setting.threads, setting.instances, setting.max_tokens) < 1:
            message = f"no setting {setting}"
            raise ValueError(message)
        return Trial(
            stage=value["stage"],
            variant=value["variant"],
            setting=setting,
            rates=tuple(float(rate) for rate in value["rates"]),
            padding=float(value["padding"]),
            memory=int(value["memory_mib"]),
        )


def pick(trials: Sequence[Trial], default: Setting) -> Trial:
    """Return the fastest trial, or of those that tie with it the simplest one.

    Simpler is the exact variant, the default's engine, fewer instances, the default's threads, and the
    budget that is nearer to the default's, in this order.
    """
    best = max(trials, key=lambda trial: trial.rate)

    def simplicity(trial: Trial) -> tuple[bool, bool, int, bool, float]:
        setting = trial.setting
        budgets = sorted((setting.max_tokens, default.max_tokens))
        return (
            trial.variant != EXACT,
            setting.engine != default.engine,
            setting.instances,
            setting.threads != default.threads,
            budgets[1] / budgets[0],
        )

    return min((trial for trial in trials if trial.ties(best)), key=simplicity)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedGraph:
    """The settings that won for one variant of a finetune."""

    graph_sha256: str
    #: Of `best`, the one that won.
    engine: Engine
    #: By engine, all of one comparison.
    best: Mapping[Engine, Trial]

    @property
    def winner(self) -> Trial:
        """Return the best trial of all engines."""
        return self.best[self.engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was found for one finetune."""

    #: The fastest variant whose gate passed.
    variant: str
    #: What an evaluation without any tuning does, in the comparison that decided.
    default: Trial
    #: By variant.
    graphs: Mapping[str, TunedGraph]
    #: Of the rows that were answered each time.
    useful_tokens: int
    #: Rows, rows per language, tasks, data with its digests, commit, and when: what repeats the search.
    account: Mapping[str, Any]
    #: All that was tried, in order.
    table: Sequence[Trial] = field(repr=False)

    @property
    def winner(self) -> Trial:
        """Return the best trial of all variants."""
        return self.graphs[self.variant].winner

    @property
    def gain(self) -> float:
        """Return how many times as fast as the default the winner is."""
        return self.winner.rate / self.default.rate

    def to_json(self) -> dict[str, Any]:
        """Return the form of `tuning.json`."""
        return {
            "winner": {"variant": self.variant, "setting": asdict(self.winner.setting), "gain": round(self.gain, 3)},
            "default": self.default.to_json(),
            "graphs": {
                variant: {
                    "graph_sha256": graph.graph_sha256,
                    "engine": graph.engine,
                    "best": {engine: trial.to_json() for engine, trial in graph.best.items()},
                }
                for variant, graph in self.graphs.items()
            },
            "useful_tokens": self.useful_tokens,
            "account": dict(self.account),
            "table": [trial.to_json() for trial in self.table],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Entry":
        """Return what `to_json` gave."""
        entry = Entry(
            variant=value["winner"]["variant"],
            default=Trial.from_json(value["default"]),
            graphs={
                variant: TunedGraph(
                    graph_sha256=told["graph_sha256"],
                    engine=told["engine"],
                    best={engine: Trial.from_json(trial) for engine, trial in told["best"].items()},
                )
                for variant, told in value["graphs"].items()
            },
            useful_tokens=int(value["useful_tokens"]),
            account={**value["account"], "created": str(value["account"]["created"])},
            table=[Trial.from_json(trial) for trial in value["table"]],
        )
        # Each graph's winner is looked up, so that what is read is whole.
        if any(graph.winner.rate <= 0 for graph in entry.graphs.values()) or entry.winner.rate <= 0:
            message = "a rate is not above zero"
            raise ValueError(message)
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was found for one model on one machine."""

    model: str
    #: As `harness.core.machine.describe` gives it.
    machine: Mapping[str, Any]
    #: As `harness.evaluation.provenance.packages` gives them.
    packages: Mapping[str, str]
    #: By finetune.
    entries: Mapping[str, Entry]

    def stranger(self, machine: Mapping[str, Any], packages: Mapping[str, str]) -> str:
        """Return whose the record is, where it is of another machine or onnxruntime; empty where it counts here."""
        here, there = _kind(machine, packages), _kind(self.machine, self.packages)
        if here == there:
            return ""
        processor, cores, runtime = there
        return f"{processor} with {cores} cores and onnxruntime {runtime}"


def _kind(machine: Mapping[str, Any], packages: Mapping[str, str]) -> tuple[Any, ...]:
    runtime = next((packages[name] for name in _RUNTIMES if name in packages), "none")
    return (*(machine.get(key) for key in _MACHINE), runtime)


def record_path(store: ArtifactStore, model: str) -> Path:
    """Return where a model's record is, or would be."""
    return store.root / model / TUNING


def write(store: ArtifactStore, record: Record) -> Path:
    """Write a record whole or not at all, and return its file."""
    path = record_path(store, record.model)
    document = {
        "format": _FORMAT,
        "model": record.model,
        "machine": dict(record.machine),
        "packages": dict(record.packages),
        "finetunes": {finetune: entry.to_json() for finetune, entry in record.entries.items()},
    }
    write_json(path, document)
    return path


def read(store: ArtifactStore, model: str) -> Record | None:
    """Return a model's record; None where it was never tuned.

    Raises:
        UsageError: the file is damaged, or of another version of the harness.
    """
    path = record_path(store, model)
    if not path.is_file():
        return None
    fix = f"tune again with `harness tune --model {model}`, or evaluate with `--no-tuning`"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != _FORMAT:
            message = f"{path} has format {value['format']}, this version reads {_FORMAT}; {fix}"
            raise UsageError(message)
        return Record(
            model=value["model"],
            machine=dict(value["machine"]),
            packages=dict(value["packages"]),
            entries={finetune: Entry.from_json(told) for finetune, told in value["finetunes"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is damaged ({error!r}); {fix}"
        raise UsageError(message) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an evaluation of one model takes of its record."""

    engine: Engine
    #: By finetune; a graph that is not in it is asked by the defaults.
    settings: Mapping[str, Setting]
    #: When the newest of them was found, ISO 8601.
    created: str

    def describe(self) -> str:
        """Return one line: ``tuned: onnx in process, 2 threads, budget 2048 (tuning.json of 2026-11-22)``."""
        groups: dict[str, list[str]] = {}
        for finetune, setting in self.settings.items():
            groups.setdefault(setting.describe(), []).append(finetune)
        alone = len(groups) == 1
        told = "; ".join(told if alone else f"{told} for {', '.join(names)}" for told, names in groups.items())
        return f"tuned: {told} ({TUNING} of {self.created[:10]})"

    def told(self) -> dict[str, Any]:
        """Return what an answer may depend on, as JSON values: not when it was found."""
        return {"engine": self.engine, "settings": {name: asdict(each) for name, each in self.settings.items()}}

    def to_json(self) -> dict[str, Any]:
        """Return the form of `scores.json`."""
        return {**self.told(), "created": self.created}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "Applied":
        """Return what `to_json` gave."""
        settings = {name: Setting(**told) for name, told in value["settings"].items()}
        return Applied(engine=value["engine"], settings=settings, created=value["created"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a model here and now."""

    model: str
    store: ArtifactStore
    #: None where the model was never tuned, or on another machine.
    record: Record | None
    #: Why a record that is there does not count; empty where it does.
    remark: str = ""

    def graph(self, artifact: Artifact) -> TunedGraph | None:
        """Return what was found for a graph; None where nothing was, or for another export of it."""
        entry = self._entry(artifact.finetune)
        found = None if entry is None else entry.graphs.get(artifact.variant)
        return found if found is not None and found.graph_sha256 == artifact.graph_sha256 else None

    def _entry(self, finetune: str) -> Entry | None:
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
        """Return one line that names the graphs which are asked by the defaults and why; empty if none is."""
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

    def applied(self, artifacts: Sequence[Artifact], engine: Engine) -> Applied | None:
        """Return what an evaluation of these graphs by an engine takes; None where nothing was found for any."""
        found = {
            artifact.finetune: graph.best[engine].setting
            for artifact in artifacts
            if (graph := self.graph(artifact)) is not None and engine in graph.best
        }
        if not found or self.record is None:
            return None
        created = max(self.record.entries[finetune].account["created"] for finetune in found)
        return Applied(engine=engine, settings=found, created=created)


def consult(store: ArtifactStore, model: str, machine: Mapping[str, Any], packages: Mapping[str, str]) -> Known:
    """Return what is known of a model on this machine.

    Args:
        store: the artifacts, which the record lies beside.
        model: an exported model.
        machine: as `harness.core.machine.describe` gives it.
        packages: as `harness.evaluation.provenance.packages` gives them.

    Raises:
        UsageError: its record is damaged.
    """
    record = read(store, model)
    whose = "" if record is None else record.stranger(machine, packages)
    if whose:
        return Known(model=model, store=store, record=None, remark=f"{record_path(store, model)} is of {whose}")
    return Known(model=model, store=store, record=record)


def fastest_engine(asked: Iterable[tuple[Known, Sequence[Artifact]]]) -> Engine:
    """Return the engine that takes the least time for graphs, over the rows that each was tuned with.

    The default's where nothing is known, and where the repeats do not tell the engines apart. An engine
    counts only where every graph that was tuned was tuned with it.
    """
    found = [
        (known.record.entries[artifact.finetune].useful_tokens, graph)
        for known, artifacts in asked
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
