"""Which variants and settings an evaluation takes: those of this machine's records, or those of a finished run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.artifacts.run import ProvenanceRecord
from harness.artifacts.store import Artifact, ArtifactStore
from harness.core import machine
from harness.core.errors import UsageError
from harness.core.version import packages
from harness.evaluation.tuning.applied import TUNED, AppliedTuning, ModelTuning, fastest_engine, load_tuning
from harness.evaluation.tuning.record import ENDPOINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSettings:
    """How the graphs of some models are queried."""

    #: As `--endpoint` names it; None is a local Triton.
    endpoint: str | None
    #: By model; the defaults where a model is missing.
    applied: Mapping[str, AppliedTuning] = field(default_factory=dict)
    #: Lines for the report.
    remarks: tuple[str, ...] = ()


class TuningChoice(Protocol):
    """Answers both questions that tuning decides."""

    def variant(self, model: str, finetune: str) -> str:
        """Return the variant that stands for ``tuned``.

        Raises:
            UsageError: nothing is known of the model on this machine.
        """
        ...

    def settings(self, graphs: Mapping[str, Sequence[Artifact]], endpoint: str | None) -> ChosenSettings:
        """Return how the graphs of each model are queried.

        Args:
            graphs: the graphs of each model.
            endpoint: what the user asked for; None leaves the engine to the records.
        """
        ...


@dataclass(frozen=True, slots=True)
class MachineTuning:
    """What `harness tune` found on this machine."""

    models: Mapping[str, ModelTuning]

    @staticmethod
    def load(models: Sequence[str], store: ArtifactStore, *, use: bool, variant: str) -> "MachineTuning":
        """Return the records of some models; empty ones where they are not to be used.

        Raises:
            UsageError: a record is damaged, or its variants are asked for and its use is not.
        """
        if not use and variant == TUNED:
            message = (
                f"`--variant {TUNED}` takes the variants of `harness tune`, and `--no-tuning` leaves them out; "
                "drop one of the two"
            )
            raise UsageError(message)
        if not use:
            return MachineTuning({model: ModelTuning(model=model, store=store, record=None) for model in models})
        here, installed = machine.describe(), packages()
        return MachineTuning({model: load_tuning(store, model, here, installed) for model in models})

    def variant(self, model: str, finetune: str) -> str:
        """See `TuningChoice.variant`."""
        return self.models[model].variant(finetune)

    def settings(self, graphs: Mapping[str, Sequence[Artifact]], endpoint: str | None) -> ChosenSettings:
        """See `TuningChoice.settings`; one connection answers for all models, so they share one engine."""
        if endpoint is None:
            engine = fastest_engine((self.models[model], members) for model, members in graphs.items())
        elif endpoint in ENDPOINTS.values():
            engine = next(engine for engine, name in ENDPOINTS.items() if name == endpoint)
        else:
            # A GPU, or a server that somebody else configured.
            return ChosenSettings(endpoint=endpoint)
        applied, remarks = {}, []
        for model, members in graphs.items():
            found = self.models[model].applied(members, engine)
            if found is not None:
                applied[model] = found
                remarks.append(found.describe())
            remarks += filter(None, [self.models[model].untuned(members)])
        return ChosenSettings(endpoint=ENDPOINTS[engine], applied=applied, remarks=tuple(remarks))


@dataclass(frozen=True, slots=True)
class RunTuning:
    """What a finished run was made with: its scores are computed again from the same graphs and plans."""

    #: By finetune.
    variants: Mapping[str, str]
    applied: AppliedTuning | None

    @staticmethod
    def of(provenance: ProvenanceRecord) -> "RunTuning":
        """Return the choice that the provenance of a run records."""
        recorded = provenance.tuning
        return RunTuning(provenance.variant, None if recorded is None else AppliedTuning.from_json(recorded))

    def variant(self, model: str, finetune: str) -> str:
        """See `TuningChoice.variant`."""
        return self.variants[finetune]

    def settings(self, graphs: Mapping[str, Sequence[Artifact]], endpoint: str | None) -> ChosenSettings:
        """See `TuningChoice.settings`; nothing is queried again, so there is no endpoint."""
        applied = self.applied
        return ChosenSettings(endpoint=None, applied={} if applied is None else dict.fromkeys(graphs, applied))
