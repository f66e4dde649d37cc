"""Published numbers to print beside a run's own: never in a mean, never the best, each with its source.

`published.tsv` has one line for each number. Recipes, learning rates, checkpoint rules and data versions of the
sources differ from each other and from the project's; small training sets measure the recipe above all.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

#: What all of them are, and what they are not.
CAUTION = (
    "published: zero-shot from English, by their sources' recipes and checkpoint rules, and in no mean; "
    "f: F1 alone, which is above the mean of F1 and exact match; ?: not confirmed by a second source"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedScore:
    """One number of one source."""

    model: str
    task: str
    #: Percent.
    value: float
    #: ``score`` is the task's own number, ``f1`` F1 alone.
    metric: str
    confirmed: bool
    source: str

    def text(self) -> str:
        """Return the number with its marks: ``73.4f``."""
        return f"{self.value:.1f}{'f' if self.metric == 'f1' else ''}{'' if self.confirmed else '?'}"


@cache
def published() -> dict[str, dict[str, PublishedScore]]:
    """Return the numbers by model and task, models in the order of the file."""
    lines = files("harness.comparison").joinpath("published.tsv").read_text(encoding="utf-8").splitlines()[1:]
    found: dict[str, dict[str, PublishedScore]] = {}
    for line in lines:
        model, task, value, metric, confirmed, source = line.split("\t")
        row = PublishedScore(
            model=model, task=task, value=float(value), metric=metric, confirmed=confirmed == "yes", source=source
        )
        found.setdefault(model, {})[task] = row
    return found
