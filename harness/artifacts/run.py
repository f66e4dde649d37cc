"""The record of an evaluation run: `scores.json`, with everything that repeats it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from harness.core.errors import HarnessError, UsageError
from harness.core.layout import Split
from harness.core.records import Record, problem, read_record

SCORES = "scores.json"
#: What a model was taught before it met a task in a language; see `harness.evaluation.exposure`.
Exposure: TypeAlias = Literal["unseen", "language seen", "task and language seen"]


class LanguageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of one task in one language."""

    examples: int
    split: Split
    #: Whether the examples are as many as the official test file has.
    official: bool
    exposure: Exposure | None
    #: Each metric, in percent; in the file they stand beside the other keys.
    scores: dict[str, float] = {}


#: The keys of a language in the file that are no metric.
_NOT_METRICS = frozenset(LanguageRecord.__struct_fields__) - {"scores"}


class DrawnRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which examples of each language were drawn at random."""

    seed: int
    #: Language -> SHA-256 of the ids of the drawn examples, one a line, in the order of the file.
    ids_sha256: dict[str, str]


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of one task, in percent."""

    score: float
    #: ``test``, or what the score is of instead.
    label: str = ""
    complete: bool = False
    #: The metrics whose mean is the score.
    headline: list[str] = []
    protocol: str = ""
    representation: str = ""
    stand_in: str = ""
    leak: str = ""
    selected_on: str = ""
    exposure_declared: bool = True
    #: Language -> gold answers that contradict their text, where `--allow-gold-errors` counted them; None: refused.
    gold_errors: dict[str, int] | None = None
    #: Language -> scored examples with a text that stands for a missing one, as PAWS-X's ``NS``, where there are any;
    #: None in runs before they were counted.
    placeholders: dict[str, int] | None = None
    #: Language -> each metric in percent, and `examples`, `split`, `official`, `exposure`; see `rows`.
    languages: dict[str, dict[str, Any]]
    #: Language -> what of its rows is not as it should be, such as words without subwords; see docs/protocols.md. Not
    #: among a language's metrics, which older versions would take it for.
    counted: dict[str, dict[str, int]] = {}
    #: Seed that the examples were drawn with, and language -> SHA-256 of their ids, one a line; where `--sample` drew.
    drawn: DrawnRecord | None = None
    scripts: dict[str, float] = {}
    families: dict[str, float] = {}
    latin: float | None = msgspec.field(name="Latin", default=None)
    not_latin: float | None = msgspec.field(name="non-Latin", default=None)
    transfer_gap: float | None = None
    unseen: float | None = None

    def __post_init__(self) -> None:
        """Refuse a language without what every language has."""
        for code, fields in self.languages.items():
            try:
                _language(fields)
            except msgspec.ValidationError as error:
                message = f"language {code}: {problem(error)}"
                raise ValueError(message) from error

    @property
    def rows(self) -> dict[str, LanguageRecord]:
        """Return the scores of each language."""
        return {code: _language(fields) for code, fields in self.languages.items()}


def _language(fields: Mapping[str, Any]) -> LanguageRecord:
    scores = {name: value for name, value in fields.items() if name not in _NOT_METRICS}
    return msgspec.convert({**fields, "scores": scores}, LanguageRecord)


class GoldErrorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One gold answer that contradicts its text."""

    task: str
    language: str
    file: str
    id: str
    problem: str


class PlausibilityRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What says whether the score of one task in one language can be trusted; see docs/plausibility.md.

    None stands for what is not known: a folder of predictions has no subwords, a chosen candidate no majority.
    """

    #: What answering without looking at the text scores: the task's headline in percent.
    chance: float | None = None
    #: Standard error of the headline in points, clusters of examples allowed for.
    error: float | None = None
    #: Examples that are independent of each other: premises, paragraphs, or the examples themselves.
    independent: int = 0
    #: Share of right ones in percent that the same answers would have if they had nothing to do with the gold.
    unrelated: float | None = None
    #: Probability of so few right ones by guessing, or less.
    below_chance_p: float | None = None
    #: Whether every answer is the same, and the gold is too varied for that.
    same_answer: bool = False
    rows: int | None = None
    #: Without special tokens.
    subwords: int | None = None
    #: In percent of the subwords, and the lower end of its interval.
    unknown_share: float | None = None
    unknown_share_low: float | None = None
    words_without_subwords: int | None = None
    truncated_rows: int | None = None
    #: Rows of different texts that are the same after truncation.
    equal_rows: int | None = None
    #: Examples for which the data has no right answer.
    without_gold: int = 0
    #: Examples that were answered with nothing.
    unanswered: int = 0
    #: Candidates whose text, or id, another one before has too.
    duplicate_texts: int = 0
    duplicate_ids: int = 0


class WarningRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Something that makes a score doubtful; see docs/plausibility.md."""

    #: ``unknown subwords``, ``at chance``, ``below chance``, ``equal predictions``, ``script apart``.
    kind: str
    task: str
    #: The languages that it is about.
    languages: list[str]
    #: One line for people.
    text: str


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The request, enough to make the evaluation again; see `harness.evaluation.request.EvaluationRequest`."""

    models: list[str] = []
    tasks: list[str]
    suite: str | None = None
    languages: list[str] = []
    scripts: list[str] = []
    split: str = "test"
    data: str
    endpoint: str | None = None
    variant: str = "fp32"
    limit: int | None
    protocols: list[str]
    available: bool = False
    tuning: bool = True
    allow_gold_errors: bool = False
    sample: int | None = None
    sample_seed: int = 1
    fresh: bool = False


class ProvenanceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Where the scores come from: versions, commit, digests of data, graphs and checkpoints."""

    data_sha256: dict[str, str]
    graph_sha256: dict[str, str]
    tokenizer_sha256: str
    checkpoint_sha256: dict[str, str]
    #: The variant that answered, by training set.
    variant: dict[str, str] = {}
    #: What computed the answers.
    backend: str = ""
    packages: dict[str, str] = {}
    git: dict[str, Any] = {}
    data: str = ""
    search: str | None = None
    machine: dict[str, Any] = {}
    created: str = ""
    #: The settings that `harness tune` had found, where they were used.
    tuning: dict[str, Any] | None = None
    #: When and by which commit the scores were computed again, where they were.
    rescored: dict[str, Any] | None = None


class RunRecord(Record, frozen=True, kw_only=True):
    """What `scores.json` holds.

    Format 2: a task's label says how many of the official examples were scored.
    """

    newest: ClassVar[int] = 2

    model: str
    variant: str
    endpoint: str
    suite: str | None = None
    request: RequestRecord
    tasks: dict[str, TaskRecord]
    #: Means of the suite's groups, and its overall number by each rule.
    groups: dict[str, float | None] | None = None
    overall: dict[str, float | None] | None = None
    #: Task -> language -> what was counted beside the score. Not among the languages' metrics, which older versions
    #: would take it for.
    plausibility: dict[str, dict[str, PlausibilityRecord]] = {}
    warnings: list[WarningRecord] = []
    padding: dict[str, float] = {}
    repeats: str = ""
    provenance: ProvenanceRecord
    #: Gold answers that contradict their text, where they were allowed; None where they are refused.
    gold_errors: list[GoldErrorRecord] | None = None
    #: Seconds of each stage.
    stages: dict[str, float] = {}
    #: Rows that graphs were asked for, and whose answers were kept from before; of different content each.
    answers: dict[str, int] = {}
    #: Rows that were tokenized, and that were in the cache.
    tokens: dict[str, int] = {}
    #: Equal ones score alike.
    fingerprint: str = ""


def read_run(folder: Path, error: type[HarnessError] = UsageError) -> RunRecord:
    """Return the record of a run.

    Args:
        folder: of the run.
        error: what is raised.

    Raises:
        HarnessError: of the type `error`: there is no run, or its record is damaged; names file and key.
    """
    path = folder / SCORES
    try:
        return read_record(path, RunRecord, error, "evaluate again with `harness eval`")
    except FileNotFoundError as missing:
        message = f"{path} is missing; a run that `harness eval` finished has it"
        raise error(message) from missing
