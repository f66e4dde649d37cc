"""What a run found: scores per task, language and script, with where they came from."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.languages import language, scripts
from harness.task import AnyTask, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageScore:
    """One task in one language."""

    language: str
    examples: int
    #: In percent.
    scores: Mapping[str, float]
    #: Whether the examples are as many as the official test file has.
    official: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """One task over its languages."""

    task: AnyTask
    split: Split
    languages: Sequence[LanguageScore]
    #: Whether every language of the suite was scored on its whole official test set.
    complete: bool

    def headline(self, row: LanguageScore) -> float:
        """Return the number of one language: the mean of the task's headline scores, in percent."""
        return sum(row.scores[name] for name in self.task.headline) / len(self.task.headline)

    @property
    def score(self) -> float:
        """Return the task's number: the unweighted mean over its languages, in percent."""
        return sum(self.headline(row) for row in self.languages) / len(self.languages)

    def by_script(self) -> dict[str, float]:
        """Return the unweighted mean over the languages of each script, in percent."""
        groups: dict[str, list[float]] = {}
        for row in self.languages:
            groups.setdefault(language(row.language).script, []).append(self.headline(row))
        return {script: sum(groups[script]) / len(groups[script]) for script in scripts() if script in groups}

    def to_json(self) -> dict[str, Any]:
        """Return the form of `scores.json`."""
        return {
            "score": self.score,
            "split": self.split,
            "complete": self.complete,
            "headline": list(self.task.headline),
            "protocol": self.task.protocol,
            "languages": {row.language: {**row.scores, "examples": row.examples} for row in self.languages},
            "scripts": self.by_script(),
        }


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream, indent=1, ensure_ascii=False, allow_nan=False)
            stream.write("\n")
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
