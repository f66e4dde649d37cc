"""What `harness tune` found for a model on one machine, and what an evaluation takes of it.

The record is `artifacts/<model>/tuning.json`, beside the graphs that it is about: for each of them the
settings that were tried with their rates, and those that won. It counts on the machine that it was
measured on, and for the graphs with the digests that it names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias, get_args

from harness.artifacts.store import ArtifactStore
from harness.core.errors import UsageError
from harness.core.files import write_json
from harness.inference.planner import BatchPlanner

TUNING = "tuning.json"
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
    def placement(self) -> str:
        """Return engine, instances and threads, as people read them."""
        if self.engine == "onnx":
            at_once = "" if self.instances == 1 else f"{self.instances} calls x "
            return f"onnx in process, {at_once}{_counted(self.threads, 'thread')}"
        return f"triton (local), {_counted(self.instances, 'instance')} x {_counted(self.threads, 'thread')}"

    def describe(self) -> str:
        """Return the whole setting: ``onnx in process, 2 threads, budget 2048``."""
        return f"{self.placement}, budget {self.max_tokens}"


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
        """Return whether the repeats do not separate two trials: the medians differ by no more than they do."""
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
class FinetuneTuning:
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
    metadata: Mapping[str, Any]
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
            "account": dict(self.metadata),
            "table": [trial.to_json() for trial in self.table],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "FinetuneTuning":
        """Return what `to_json` gave."""
        entry = FinetuneTuning(
            variant=value["winner"]["variant"],
            default=Trial.from_json(value["default"]),
            graphs={
                variant: TunedGraph(
                    graph_sha256=fields["graph_sha256"],
                    engine=fields["engine"],
                    best={engine: Trial.from_json(trial) for engine, trial in fields["best"].items()},
                )
                for variant, fields in value["graphs"].items()
            },
            useful_tokens=int(value["useful_tokens"]),
            metadata={**value["account"], "created": str(value["account"]["created"])},
            table=[Trial.from_json(trial) for trial in value["table"]],
        )
        # Each graph's winner is looked up, so that what is read is whole.
        if any(graph.winner.rate <= 0 for graph in entry.graphs.values()) or entry.winner.rate <= 0:
            message = "a rate is not above zero"
            raise ValueError(message)
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRecord:
    """What was found for one model on one machine."""

    model: str
    #: As `harness.core.machine.describe` gives it.
    machine: Mapping[str, Any]
    #: As `harness.evaluation.provenance.packages` gives them.
    packages: Mapping[str, str]
    #: By finetune.
    entries: Mapping[str, FinetuneTuning]

    def mismatch(self, machine: Mapping[str, Any], packages: Mapping[str, str]) -> str:
        """Return the machine and onnxruntime of the record where they differ from these; empty otherwise."""
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


def write(store: ArtifactStore, record: TuningRecord) -> Path:
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


def read(store: ArtifactStore, model: str) -> TuningRecord | None:
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
        return TuningRecord(
            model=value["model"],
            machine=dict(value["machine"]),
            packages=dict(value["packages"]),
            entries={finetune: FinetuneTuning.from_json(fields) for finetune, fields in value["finetunes"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is damaged ({error!r}); {fix}"
        raise UsageError(message) from error
