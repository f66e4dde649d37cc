"""What a run found: scores per task, language and script, with where they came from."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.artifacts.run import Exposure, LanguageRecord, PlausibilityRecord, TaskRecord, WarningRecord
from harness.benchmark.suites import TaskMeans
from harness.core.languages import language, scripts
from harness.core.layout import Split
from harness.core.task import AnyTask

LATIN, NOT_LATIN = "Latin", "non-Latin"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageScore:
    """One task in one language."""

    language: str
    split: Split = "test"
    examples: int
    #: In percent.
    scores: Mapping[str, float]
    #: Whether the examples are as many as the official test file has.
    official: bool
    #: What the model was taught before; None where nobody knows, as for a folder of predictions.
    exposure: Exposure | None = None
    #: Gold answers that contradict their text, where they were allowed and counted; None where they are refused.
    gold_errors: int | None = None
    #: Scored examples with a text that stands for a missing one.
    placeholders: int = 0
    #: What was counted beside the score; None in runs before it was.
    plausibility: PlausibilityRecord | None = None
    #: What of the examples is not as it should be, such as words without subwords; see `harness.evaluation.beside`.
    counted: Mapping[str, int] = field(default_factory=dict)
    #: SHA-256 of the ids of the examples that were drawn; None where all were taken.
    drawn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """One task over its languages."""

    task: AnyTask
    languages: Sequence[LanguageScore]
    #: The languages that the suite has for the task.
    expected: tuple[str, ...]
    #: Which vectors a retrieval task compared: "hidden state 14 of 24"; empty for other tasks.
    representation: str = ""
    #: The training set that stood in for the task's own; empty if none did.
    stand_in: str = ""
    #: Why the model was allowed to train on evaluation sentences; empty if it did not.
    leak: str = ""
    #: The language whose dev set chose the model's steps and is scored here; empty if none is.
    selected_on: str = ""
    #: Whether it is known what the model was taught; languages have an exposure only then.
    exposure_declared: bool = True
    #: What examples were drawn with; None where they were not.
    sample_seed: int | None = None

    @property
    def complete(self) -> bool:
        """Return whether every language of the suite was scored on its whole official test set.

        No official file has gold that contradicts its text, so that a file with such gold is not one.
        """
        return set(self.expected) == {row.language for row in self.languages} and all(
            row.official and not row.gold_errors for row in self.languages
        )

    @property
    def gold_errors(self) -> int | None:
        """Return how many gold answers contradict their text, where they were allowed; None where they are refused."""
        counted = [row.gold_errors for row in self.languages if row.gold_errors is not None]
        return sum(counted) if counted else None

    @property
    def label(self) -> str:
        """Return what was scored, as people write it: ``test``, or ``partial: 47/48 languages, dev``."""
        allowed = "" if self.gold_errors is None else f", gold errors allowed: {self.gold_errors:,}"
        if self.sample_seed is not None:
            allowed = f", drawn with seed {self.sample_seed}{allowed}"
        if self.complete:
            return f"test{allowed}"
        parts = [f"{len(self.languages)}/{len(self.expected)} languages"]
        counts = Counter(row.split for row in self.languages)
        parts += [split if len(counts) == 1 else f"{split} {count}" for split, count in sorted(counts.items())]
        short = [row for row in self.languages if row.split == "test" and not row.official]
        if short:
            whose = "" if len(short) == len(self.languages) else f" in {' '.join(row.language for row in short)}"
            parts.append(f"{self._sizes(short)}{whose}")
        return f"partial: {', '.join(parts)}{allowed}"

    def _drawn(self, seed: int) -> dict[str, Any]:
        digests = {row.language: row.drawn for row in self.languages if row.drawn is not None}
        return {"seed": seed, "ids_sha256": digests}

    def _sizes(self, rows: Sequence[LanguageScore]) -> str:
        """Return how many of the official examples these languages have, where both numbers count the same."""
        counts = [(row.examples, self.task.official_count(row.language)) for row in rows]
        whole = [official for examples, official in counts if official is not None and examples <= official]
        # An official number of gold pairs says nothing of how many examples there should be.
        if len(whole) < len(counts) or self.task.counted:
            return "not the official number of examples"
        return f"{_span([examples for examples, _ in counts])} of {_span(whole)} examples per language"

    def headline(self, row: LanguageScore) -> float:
        """Return the number of one language: the mean of the task's headline scores, in percent."""
        return sum(row.scores[name] for name in self.task.headline) / len(self.task.headline)

    @property
    def score(self) -> float:
        """Return the task's number: the unweighted mean over its languages, in percent."""
        return sum(self.headline(row) for row in self.languages) / len(self.languages)

    def means(self) -> TaskMeans:
        """Return the task's number and the mean of each metric, over its languages."""
        rows = self.languages
        names = rows[0].scores
        return TaskMeans(self.score, {name: sum(row.scores[name] for row in rows) / len(rows) for name in names})

    def chance(self) -> float | None:
        """Return the mean level of chance over the languages that have one, in percent; None without any."""
        levels = [row.plausibility.chance for row in self.languages if row.plausibility is not None]
        known = [level for level in levels if level is not None]
        return sum(known) / len(known) if known else None

    def by_script(self) -> dict[str, float]:
        """Return the unweighted mean over the languages of each script, in percent."""
        groups = self._grouped(lambda code: language(code).script)
        return {script: groups[script] for script in scripts() if script in groups}

    def by_family(self) -> dict[str, float]:
        """Return the unweighted mean over the languages of each language family, in percent."""
        return dict(sorted(self._grouped(lambda code: language(code).top_family).items()))

    def latin_and_other(self) -> dict[str, float]:
        """Return the means over the languages in Latin script, and over all others, in percent."""
        return self._grouped(lambda code: LATIN if language(code).script == "Latn" else NOT_LATIN)

    def unseen(self) -> float | None:
        """Return the mean over the languages of which the model saw no labelled data, if there are any."""
        values = [self.headline(row) for row in self.languages if row.exposure == "unseen"]
        return sum(values) / len(values) if values else None

    def transfer_gap(self) -> float | None:
        """Return English minus the mean of all other languages, in points; None without either.

        The cross-lingual transfer gap of the XTREME paper (Hu et al. 2020, section 5).
        """
        english = [self.headline(row) for row in self.languages if row.language == "en"]
        others = [self.headline(row) for row in self.languages if row.language != "en"]
        return english[0] - sum(others) / len(others) if english and others else None

    def _grouped(self, key: Callable[[str], str]) -> dict[str, float]:
        groups: dict[str, list[float]] = {}
        for row in self.languages:
            groups.setdefault(key(row.language), []).append(self.headline(row))
        return {name: sum(values) / len(values) for name, values in groups.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the form of `scores.json`."""
        counted = {row.language: dict(row.counted) for row in self.languages if row.counted}
        return {
            "score": self.score,
            "label": self.label,
            "complete": self.complete,
            "headline": list(self.task.headline),
            "protocol": self.task.protocol,
            "representation": self.representation,
            "stand_in": self.stand_in,
            "leak": self.leak,
            "selected_on": self.selected_on,
            "exposure_declared": self.exposure_declared,
            "gold_errors": None
            if self.gold_errors is None
            else {row.language: row.gold_errors for row in self.languages},
            "placeholders": {row.language: row.placeholders for row in self.languages if row.placeholders},
            "languages": {row.language: _fields(row) for row in self.languages},
            **({"counted": counted} if counted else {}),
            **({} if self.sample_seed is None else {"drawn": self._drawn(self.sample_seed)}),
            "scripts": self.by_script(),
            "families": self.by_family(),
            **self.latin_and_other(),
            "transfer_gap": self.transfer_gap(),
            "unseen": self.unseen(),
        }

    @staticmethod
    def from_record(
        task: AnyTask,
        expected: tuple[str, ...],
        record: TaskRecord,
        plausibility: Mapping[str, PlausibilityRecord] | None = None,
    ) -> "TaskScore":
        """Return the scores that `to_json` gave.

        Args:
            task: the task that was scored.
            expected: the languages that the suite has for it.
            record: the task's part of `scores.json`.
            plausibility: that of its languages there.
        """
        return TaskScore(
            task=task,
            languages=[
                replace(
                    _language_score(code, row, record.counted.get(code, {}), (plausibility or {}).get(code)),
                    gold_errors=None if record.gold_errors is None else record.gold_errors.get(code, 0),
                    placeholders=(record.placeholders or {}).get(code, 0),
                    drawn=None if record.drawn is None else record.drawn.ids_sha256.get(code),
                )
                for code, row in record.rows.items()
            ],
            expected=expected,
            representation=record.representation,
            stand_in=record.stand_in,
            leak=record.leak,
            selected_on=record.selected_on,
            exposure_declared=record.exposure_declared,
            sample_seed=None if record.drawn is None else record.drawn.seed,
        )


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run of one model."""

    model: str
    directory: Path
    tasks: Sequence[TaskScore]
    padding: dict[str, float]
    #: What makes its scores doubtful.
    warnings: Sequence[WarningRecord] = ()
    #: Rows ``asked``, and ``kept`` from before.
    answers: Mapping[str, int] = field(default_factory=dict)
    #: Whether and why the same evaluation gives the same answers again.
    repeats: str = ""


def _span(counts: Sequence[int]) -> str:
    """Return a number, or the smallest and the largest of several."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _language_score(
    code: str, row: LanguageRecord, counted: Mapping[str, int], plausibility: PlausibilityRecord | None
) -> LanguageScore:
    return LanguageScore(
        language=code,
        split=row.split,
        examples=row.examples,
        scores=row.scores,
        official=row.official,
        exposure=row.exposure,
        plausibility=plausibility,
        counted=counted,
    )


def _fields(row: LanguageScore) -> dict[str, Any]:
    return {
        **row.scores,
        "examples": row.examples,
        "split": row.split,
        "official": row.official,
        "exposure": row.exposure,
    }
