"""How far above chance a model is on English and the unseen languages, over seeds.

::

    harness bench chance runs/seed1 runs/seed2 runs/seed3 --seen en

The level of chance is computed from the data that each run was scored on, never typed in: what a
predictor would score that knows the form of an answer and nothing else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.core.options import bench_parser
from benchmarks.core.report import guarded
from harness.benchmark import tasks
from harness.benchmark.chance import Chance, chance_of
from harness.core.errors import DataError, UsageError
from harness.core.files import write_json
from harness.core.languages import language as language_row
from harness.core.layout import Layout, Split
from harness.core.tables import Table
from harness.core.task import AnyTask
from harness.core.version import packages
from harness.evaluation.provenance import commit, data_sha256
from harness.evaluation.workload import Job

ENGLISH = "en"
#: What the project promises of its sample models, as multiples of chance.
ENGLISH_AT_LEAST = 2.0
UNSEEN_AT_LEAST = 1.3


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """One evaluation on disk."""

    directory: Path
    document: Mapping[str, Any]

    def headlines(self, task: AnyTask) -> dict[str, float]:
        """Return the headline of each language of a task, in percent."""
        rows = self.document["tasks"][task.name]["languages"]
        return {code: float(np.mean([row[name] for name in task.headline])) for code, row in rows.items()}

    def jobs(self, task: AnyTask) -> list[Job]:
        """Return the jobs that the run scored for a task, in their order."""
        entry = self.document["tasks"][task.name]
        return [
            Job(task, code, cast("Split", row["split"]), row["examples"]) for code, row in entry["languages"].items()
        ]


def read_run(directory: Path) -> ScoredRun:
    """Return the run in a folder.

    Raises:
        UsageError: the folder holds no finished run.
    """
    path = directory / "scores.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not {"data", "data_sha256"} <= document["provenance"].keys() or not document["tasks"]:
            raise KeyError("provenance")  # noqa: EM101 - worded below
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is no finished run ({error!r}); write one with `harness eval --output {directory}`"
        raise UsageError(message) from error
    return ScoredRun(directory, document)


def rule(task: AnyTask, layout: Layout) -> Chance:
    """Return how chance is found for a task; where it depends on a training set, that of the data folder counts.

    Raises:
        UsageError: nobody has said what chance is for the task.
        DataError: the training set is missing or malformed.
    """
    found = chance_of(task)
    if found is None:
        message = (
            f"no level of chance is known for task {task.name!r}; "
            f"declare `chance` in {type(task.postprocess).__name__}, see harness/benchmark/chance.py"
        )
        raise UsageError(message)
    return found.trained(task, layout)


def level(found: Chance, task: AnyTask, examples: Sequence[Any], language: str) -> float:
    """Return the level of chance of one language, in percent.

    Raises:
        UsageError: guessing has no known score in the task's metric, or there is nothing to guess.
    """
    value = found.level(task, examples, language)
    if value is None:
        message = (
            f"task {task.name!r} is scored by {' and '.join(task.headline)} on {len(examples):,} examples in "
            f"{language!r}, for which no level of chance is known; leave it out with `harness eval --tasks`"
        )
        raise UsageError(message)
    return value


def levels(run: ScoredRun, task: AnyTask) -> tuple[Chance, dict[str, float]]:
    """Return the rule and the level of chance of each language that a run scored, in percent.

    Raises:
        UsageError: see `rule` and `level`.
        DataError: the data is gone, or is not what the run was scored on.
    """
    provenance = run.document["provenance"]
    layout, jobs = Layout.at(Path(provenance["data"])), run.jobs(task)
    if data_sha256(jobs, layout)[task.name] != provenance["data_sha256"][task.name]:
        message = (
            f"{layout.xtreme} has changed since {run.directory} was scored on its {task.name}; evaluate again with "
            f"`harness eval --model {run.document['model']}`"
        )
        raise DataError(message)
    found = rule(task, layout)
    return found, {job.language: level(found, task, job.read(layout), job.language) for job in jobs}


# What holds


@dataclass(frozen=True, slots=True)
class Multiple:
    """A score of several seeds beside its level of chance; all in percent."""

    chance: float
    #: One for each run.
    scores: Sequence[float]
    at_least: float

    @property
    def mean(self) -> float:
        """Return the mean over the runs."""
        return float(np.mean(self.scores))

    @property
    def holds(self) -> bool:
        """Return whether the mean over the runs is as many times chance as it must be."""
        return self.mean >= self.at_least * self.chance

    def to_json(self) -> dict[str, Any]:
        """Return the form of `--json`."""
        return {
            "chance": self.chance,
            "scores": list(self.scores),
            "mean": self.mean,
            "range": [min(self.scores), max(self.scores)],
            "times_chance": self.mean / self.chance,
            "at_least": self.at_least,
            "holds": self.holds,
            "holds_in_every_run": min(self.scores) >= self.at_least * self.chance,
        }


@dataclass(frozen=True, slots=True)
class ChanceVerdict:
    """One task: its multiples of chance, or why one of them does not apply."""

    task: str
    rule: str
    english: Multiple | str
    unseen: Multiple | str

    def to_json(self) -> dict[str, Any]:
        """Return the form of `--json`."""
        return {
            "rule": self.rule,
            **{
                name: {"not_applicable": value} if isinstance(value, str) else value.to_json()
                for name, value in (("english", self.english), ("unseen", self.unseen))
            },
        }


def verdict(task: AnyTask, runs: Sequence[ScoredRun], seen: Sequence[str]) -> ChanceVerdict:
    """Return how far above chance the runs are on one task.

    Raises:
        UsageError: the runs did not score the same languages.
        DataError: see `levels`.
    """
    headlines = [run.headlines(task) for run in runs]
    for run, row in zip(runs, headlines, strict=True):
        if row.keys() != headlines[0].keys() or run.jobs(task) != runs[0].jobs(task):
            message = f"{run.directory} and {runs[0].directory} scored {task.name} on different rows; seeds share them"
            raise UsageError(message)
    _check_same_data(runs, task)
    found, chance = levels(runs[0], task)
    unseen = [code for code in chance if code not in seen]
    return ChanceVerdict(
        task.name,
        found.text,
        _english(task, found, chance, headlines),
        Multiple(
            float(np.mean([chance[code] for code in unseen])),
            [float(np.mean([row[code] for code in unseen])) for row in headlines],
            UNSEEN_AT_LEAST,
        )
        if unseen
        else "every language of the run was seen in training",
    )


def _check_same_data(runs: Sequence[ScoredRun], task: AnyTask) -> None:
    """Refuse runs that were scored on different data.

    Raises:
        UsageError: names the two runs.
    """
    first, *others = runs
    for run in others:
        one, other = (each.document["provenance"]["data_sha256"][task.name] for each in (first, run))
        if one != other:
            message = f"{run.directory} and {first.directory} were scored on different {task.name} data; seeds share it"
            raise UsageError(message)


def _english(
    task: AnyTask, found: Chance, chance: Mapping[str, float], headlines: Sequence[Mapping[str, float]]
) -> Multiple | str:
    """Return the English multiple, or why there is none."""
    if ENGLISH in chance:
        own = chance[ENGLISH]
        if ENGLISH_AT_LEAST * own < 100:
            return Multiple(own, [row[ENGLISH] for row in headlines], ENGLISH_AT_LEAST)
        return _out_of_reach(own)
    if ENGLISH in task.all_languages(None):
        return "the run leaves English out"
    mean = float(np.mean(list(chance.values())))
    reasons = [found.without_english]
    if ENGLISH_AT_LEAST * mean >= 100:
        reasons.append(_out_of_reach(mean))
    return "; ".join(reasons)


def _out_of_reach(level: float) -> str:
    return f"{ENGLISH_AT_LEAST:g} times chance would be {ENGLISH_AT_LEAST * level:.0f}"


def verdicts(runs: Sequence[ScoredRun], seen: Sequence[str]) -> list[ChanceVerdict]:
    """Return the verdict on each task that the runs share.

    Raises:
        UsageError: an unknown language is named as seen, a run is named twice, or the runs did not
            score the same tasks.
        DataError: see `levels`.
    """
    for code in seen:
        language_row(code)
    if len({run.directory.resolve() for run in runs}) < len(runs):
        message = "a run is named twice; each seed counts once"
        raise UsageError(message)
    names = set(runs[0].document["tasks"])
    for run in runs:
        if set(run.document["tasks"]) != names:
            message = f"{run.directory} and {runs[0].directory} scored different tasks; give runs of the same tasks"
            raise UsageError(message)
    return [verdict(tasks.load(name), runs, seen) for name in sorted(names)]


# Print


def _cells(value: Multiple | str) -> list[str]:
    if isinstance(value, str):
        return ["-", "-", "-", "-"]
    score = f"{value.mean:.1f}"
    if len(value.scores) > 1:
        score += f" ({min(value.scores):.1f} to {max(value.scores):.1f})"
    return [f"{value.chance:.1f}", score, f"{value.mean / value.chance:.2f} x", "yes" if value.holds else "NO"]


def table(found: Sequence[ChanceVerdict], runs: int) -> Table:
    """Return one row for each task; scores are means over the runs, with their range."""
    columns = [
        "task",
        *("chance en", "English", "times", f">= {ENGLISH_AT_LEAST:g} x"),
        *("chance unseen", "unseen mean", "times", f">= {UNSEEN_AT_LEAST:g} x"),
    ]
    rows = [[item.task, *_cells(item.english), *_cells(item.unseen)] for item in found]
    return Table(f"multiples of chance, {runs} run{'s' if runs > 1 else ''}, percent", columns, rows)


def notes(found: Sequence[ChanceVerdict]) -> list[str]:
    """Return a line for each task: how chance was found, and why a column does not apply."""
    lines = []
    for item in found:
        line = f"{item.task}: chance is {item.rule}"
        for name, value in (("English", item.english), ("unseen", item.unseen)):
            if isinstance(value, str):
                line += f"; {name} not applicable: {value}"
        lines.append(line)
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the multiples of chance of the runs, and write them where `--json` says."""
    parser = bench_parser("chance", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, one for each seed")
    parser.add_argument("--seen", default=ENGLISH, help="languages of the training data, comma-separated; en")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    seen = [part.strip() for part in options.seen.split(",") if part.strip()]
    runs = [read_run(directory) for directory in options.runs]
    found = verdicts(runs, seen)
    print(table(found, len(runs)).text())
    print("\n".join(notes(found)))
    if options.json is not None:
        document = {
            "runs": [str(run.directory) for run in runs],
            "models": [run.document["model"] for run in runs],
            "seen": seen,
            "packages": packages(),
            "git": commit(),
            "tasks": {item.task: item.to_json() for item in found},
        }
        write_json(options.json, document)
        print(f"figures written to {options.json}")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
