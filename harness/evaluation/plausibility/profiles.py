"""Published scores of known models per language, so that what every model finds hard is no warning."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from harness.core.task import AnyTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One published row."""

    model: str
    #: Where the values were read.
    source: str
    #: Language -> the task's headline in percent.
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One metric of one model as `profiles.toml` has it."""

    task: str
    model: str
    metric: str
    source: str
    #: The mean over the languages as the source prints it: a check of the values.
    mean: float
    languages: Mapping[str, float]


@cache
def rows() -> tuple[PublishedRow, ...]:
    """Return every row of `profiles.toml`."""
    text = files("harness.evaluation.plausibility").joinpath("profiles.toml").read_text(encoding="utf-8")
    return tuple(PublishedRow(**row) for row in tomllib.loads(text)["row"])


def profiles(task: AnyTask) -> list[Profile]:
    """Return the published rows of a task that have every metric of its headline."""
    models: dict[str, dict[str, PublishedRow]] = {}
    for row in rows():
        if row.task == task.name:
            models.setdefault(row.model, {})[row.metric] = row
    found = []
    for model, metrics in models.items():
        if set(task.headline) <= metrics.keys():
            chosen = [metrics[name] for name in task.headline]
            shared = [code for code in chosen[0].languages if all(code in row.languages for row in chosen)]
            scores = {code: sum(row.languages[code] for row in chosen) / len(chosen) for code in shared}
            found.append(Profile(model=model, source=chosen[0].source, scores=scores))
    return found
