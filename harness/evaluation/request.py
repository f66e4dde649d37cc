"""What is evaluated: the request as a user states it, and one evaluation for each model that it names."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.artifacts.run import RequestRecord
from harness.artifacts.store import Artifact
from harness.core.layout import Layout
from harness.core.task import SuiteName
from harness.evaluation.tuning.applied import AppliedTuning
from harness.evaluation.tuning.record import Setting
from harness.evaluation.workload import GraphWorkload, Job
from harness.inference.planner import BatchPlanner

JOURNAL = "journal.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What a user asks for: names, filters and folders, nothing of it checked yet."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    suite: str | None
    languages: tuple[str, ...]
    scripts: tuple[str, ...]
    split: str
    data: Path | None
    endpoint: str | None
    variant: str
    limit: int | None
    output: Path | None
    #: ``TASK=ALTERNATIVE`` entries.
    protocols: tuple[str, ...] = ()
    #: Take what the data folder has, instead of refusing where something is missing.
    available: bool = False
    submission: Path | None = None
    #: Whether the settings that `harness tune` found on this machine are used.
    tuning: bool = True
    #: Count gold answers that contradict their text, instead of refusing them.
    allow_gold_errors: bool = False
    #: Examples of each language that are drawn at random; all where None.
    sample: int | None = None
    sample_seed: int = 1
    #: Ask for every row, and keep the answers with the run: for measuring, or where kept answers are not trusted.
    fresh: bool = False

    def to_json(self, model: str, data: Path) -> dict[str, Any]:
        """Return the request for one model as a run keeps it, the data folder resolved."""
        fields = {**asdict(self), "models": [model], "data": str(data), "output": None, "submission": None}
        if self.sample is None:
            # The folder of a run is named by its request: without a sample it stays what it was before there were any.
            del fields["sample"], fields["sample_seed"]
        if not self.fresh:
            del fields["fresh"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @staticmethod
    def from_record(record: RequestRecord, output: Path, submission: Path | None) -> "EvaluationRequest":
        """Return the request that a run was made with."""
        return EvaluationRequest(
            models=tuple(record.models),
            tasks=tuple(record.tasks),
            suite=record.suite,
            languages=tuple(record.languages),
            scripts=tuple(record.scripts),
            split=record.split,
            data=Path(record.data),
            endpoint=record.endpoint,
            variant=record.variant,
            limit=record.limit,
            output=output,
            protocols=tuple(record.protocols),
            available=record.available,
            submission=submission,
            tuning=record.tuning,
            allow_gold_errors=record.allow_gold_errors,
            sample=record.sample,
            sample_seed=record.sample_seed,
            fresh=record.fresh,
        )

    def folder(self, given: Path | None, model: str) -> Path | None:
        """Return the folder of one model below one that was given for all; the same where there is one model."""
        return given if given is None or len(self.models) == 1 else given / model


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One model's part of a request: its graphs with their jobs, the data, and where the run is written."""

    model: str
    variant: str
    workloads: Sequence[GraphWorkload]
    layout: Layout
    suite: SuiteName | None
    output: Path
    #: What was asked for, as JSON values: enough to make this evaluation again.
    request: Mapping[str, Any]
    #: Where predictions are written in the official submission layout; nowhere if None.
    submission: Path | None = None
    planner: BatchPlanner = field(default_factory=BatchPlanner)
    #: Where tokenised rows, answers and measured costs are kept; nowhere if None.
    cache: Path | None = None
    #: The fastest settings known on this machine; the defaults where None.
    tuning: AppliedTuning | None = None

    @property
    def answers(self) -> Path | None:
        """Return the folder of the answers that all runs share; None keeps them beside the run."""
        return None if self.cache is None or self.request.get("fresh") else self.cache / "answers"

    def setting(self, artifact: Artifact) -> Setting | None:
        """Return the tuned setting of a graph; None for the defaults."""
        return None if self.tuning is None else self.tuning.settings.get(artifact.finetune)

    def planner_of(self, artifact: Artifact) -> BatchPlanner:
        """Return what cuts a graph's rows into batches."""
        setting = self.setting(artifact)
        return self.planner if setting is None else replace(self.planner, max_tokens=setting.max_tokens)

    @property
    def jobs(self) -> list[Job]:
        """Return the jobs of all graphs."""
        return [job for workload in self.workloads for job in workload.jobs]

    @property
    def artifacts(self) -> list[Artifact]:
        """Return the graphs."""
        return [workload.artifact for workload in self.workloads]
