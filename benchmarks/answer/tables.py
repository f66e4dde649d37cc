"""Outcomes of the declared comparisons, and the scores behind them, from the records alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Literal

import numpy as np

from benchmarks.answer.declaration import ARMS, COMPARISONS, TARGETS, Contrast
from benchmarks.answer.records import CellRecord, UnitRecord
from harness.benchmark import tasks
from harness.comparison.alignment import headline
from harness.core.errors import UsageError
from harness.core.languages import language
from harness.statistics.distributions import t_quantile
from harness.statistics.estimates import Estimate, Interval, equivalence
from harness.statistics.intervals import ScoredAnswers, score_interval
from harness.statistics.multiplicity import holm
from harness.statistics.paired import Cell, Score, difference
from harness.statistics.seeds import SeededScores, seed_difference

ALPHA, POWER = 0.05, 0.8
#: Fewer seeds cannot show a "no": their spread is hardly known.
SEEDS_FOR_NO = 4
Verdict = Literal["yes", "harm", "no", "undecided", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastOutcome:
    """What came out of one comparison; points."""

    comparison: Contrast
    #: Seeds of the left and of the right arm.
    seeds: tuple[int, int]
    #: Right minus left; None where an arm has no record.
    value: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    #: Holm's, over `size` comparisons of the family.
    corrected: float | None = None
    size: int = 0
    #: The means over the cells: each seed of the left arm, and of the right.
    left: tuple[float, ...] = ()
    right: tuple[float, ...] = ()
    #: The smallest difference that a test with these errors shows with 80 % power.
    detectable: float | None = None
    #: p of the equivalence test within the margin.
    equivalent_p: float | None = None

    @property
    def items_only(self) -> bool:
        """Return whether the interval knows of one seed only, and so nothing of other seeds."""
        return min(self.seeds) == 1

    @property
    def verdict(self) -> Verdict:
        """Return the declared verdict."""
        if self.value is None:
            return "not run"
        if self.items_only or self.corrected is None:
            return "undecided"
        if self.corrected <= ALPHA:
            return "yes" if self.value > 0 else "harm"
        shown = self.equivalent_p is not None and self.equivalent_p < ALPHA
        return "no" if shown and min(self.seeds) >= SEEDS_FOR_NO else "undecided"


def score_of(task: str) -> Score:
    """Return the function from summed statistics to a task's number in percent."""
    return headline(tasks.load(task))


def outcomes(records: Sequence[UnitRecord], comparisons: Sequence[Contrast] = COMPARISONS) -> list[ContrastOutcome]:
    """Return what came out, with Holm's correction within each family, in the order of the comparisons.

    Holm counts every declared comparison of a family, also those that were not run.
    """
    found = [_outcome(each, records) for each in comparisons]
    for family in dict.fromkeys(each.family for each in comparisons):
        own = {str(number): one.p_value for number, one in enumerate(found) if one.comparison.family == family}
        if any(value is not None for value in own.values()):
            # What has no p-value yet counts as one that shows nothing, so that missing units make nothing significant.
            corrected = holm(family, {number: 1.0 if p is None else p for number, p in own.items()}, ALPHA)
            for number, p in own.items():
                if p is not None:
                    value = corrected.adjusted[number]
                    found[int(number)] = replace(found[int(number)], corrected=value, size=corrected.size)
    return found


def weights(cells: Sequence[tuple[str, str]]) -> list[float]:
    """Return the weight of each (task, language): equal for each task, within a task for each language."""
    per_task = {task: sum(other == task for other, _ in cells) for task, _ in cells}
    return [1 / len(per_task) / per_task[task] for task, _ in cells]


def _outcome(comparison: Contrast, records: Sequence[UnitRecord]) -> ContrastOutcome:
    sides = [_answers(records, arm) for arm in (comparison.left, comparison.right)]
    seeds = (len(sides[0]), len(sides[1]))
    if min(seeds) == 0:
        return ContrastOutcome(comparison=comparison, seeds=seeds)
    share = weights(comparison.cells)
    means = [tuple(_mean(answers, comparison.cells, share) for answers in side) for side in sides]
    value = float(np.mean(means[1]) - np.mean(means[0]))
    outcome = ContrastOutcome(comparison=comparison, seeds=seeds, value=value, left=means[0], right=means[1])
    if outcome.items_only:
        estimate = difference(_cells(comparison, sides[0][0], sides[1][0]), share)
        return replace(outcome, interval=estimate.interval()) if max(seeds) == 1 else outcome
    left, right = (_seeded(comparison, side) for side in sides)
    estimate = seed_difference(left, right, share).estimate
    return replace(
        outcome,
        interval=estimate.interval(),
        p_value=estimate.p_value(),
        detectable=_detectable(estimate),
        equivalent_p=equivalence(estimate, comparison.margin, ALPHA).p_value,
    )


def _detectable(estimate: Estimate) -> float:
    """Return the difference that is shown with 80 % power: both quantiles of Student's t times the error."""
    reach = t_quantile(1 - ALPHA / 2, estimate.freedom) + t_quantile(POWER, estimate.freedom)
    return reach * estimate.error


Answers = Mapping[tuple[str, str], CellRecord]


def _answers(records: Sequence[UnitRecord], arm: str) -> list[Answers]:
    """Return the cells of each seed of an arm, by seed."""
    own = sorted((record for record in records if record.file.arm == arm), key=lambda record: record.file.seed)
    return [{(cell.task, cell.language): cell for cell in record.cells} for record in own]


def _mean(answers: Answers, cells: Sequence[tuple[str, str]], share: Sequence[float]) -> float:
    return sum(
        weight * score_of(key[0])(answers[key].counts.sum(axis=0)) for key, weight in zip(cells, share, strict=True)
    )


def _starts(cells: Sequence[tuple[str, str]], answers: Answers) -> dict[str, int]:
    """Return what is added to the cluster labels of each task, so that tasks share none."""
    start, found = 0, {}
    for task in dict.fromkeys(task for task, _ in cells):
        found[task] = start
        start += 1 + max(int(cell.clusters.max(initial=0)) for key, cell in answers.items() if key[0] == task)
    return found


def _cells(comparison: Contrast, left: Answers, right: Answers) -> list[Cell]:
    starts = _starts(comparison.cells, left)
    return [
        Cell(
            name=" ".join(key),
            score=score_of(key[0]),
            left=left[key].counts,
            right=right[key].counts,
            clusters=left[key].clusters + starts[key[0]],
        )
        for key in comparison.cells
    ]


def _seeded(comparison: Contrast, side: Sequence[Answers]) -> list[SeededScores]:
    starts = _starts(comparison.cells, side[0])
    return [
        SeededScores(
            name=" ".join(key),
            score=score_of(key[0]),
            counts=np.stack([answers[key].counts for answers in side]),
            clusters=side[0][key].clusters + starts[key[0]],
        )
        for key in comparison.cells
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptScore:
    """One arm on one task and script: the mean over languages, then over seeds, in percent."""

    arm: str
    task: str
    script: str
    mean: float
    #: Over seeds; None for one seed.
    spread: float | None


def script_scores(records: Sequence[UnitRecord]) -> list[ScriptScore]:
    """Return the scores of each arm by task and script; ``en`` and ``mean`` stand beside the scripts."""
    found = []
    for target in TARGETS:
        score = score_of(target.task)
        groups: dict[str, list[str]] = {}
        for code in target.languages:
            groups.setdefault("en" if code == "en" else language(code).script, []).append(code)
        groups["mean"] = list(target.languages)
        for arm in ARMS:
            side = _answers(records, arm)
            for script, codes in groups.items() if side else ():
                seeds = [
                    float(np.mean([score(answers[target.task, code].counts.sum(axis=0)) for code in codes]))
                    for answers in side
                ]
                spread = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None
                mean = float(np.mean(seeds))
                found.append(ScriptScore(arm=arm, task=target.task, script=script, mean=mean, spread=spread))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AboveChance:
    """In how many languages the first seed of an arm is above chance, the lower end of the 95 % interval counting."""

    arm: str
    task: str
    above: int
    languages: int
    chance: float


def above_chance(records: Sequence[UnitRecord]) -> list[AboveChance]:
    """Return for each arm and task in how many languages its answers are above chance."""
    found = []
    for arm in ARMS:
        for answers in _answers(records, arm)[:1]:
            for target in TARGETS:
                cells = [answers[target.task, code] for code in target.languages]
                levels = [cell.chance for cell in cells if cell.chance is not None]
                above = sum(_is_above(cell) for cell in cells)
                found.append(
                    AboveChance(
                        arm=arm,
                        task=target.task,
                        above=above,
                        languages=len(cells),
                        chance=float(np.mean(levels)) if levels else 0.0,
                    )
                )
    return found


def _is_above(cell: CellRecord) -> bool:
    own = ScoredAnswers(name=cell.task, score=score_of(cell.task), counts=cell.counts, clusters=cell.clusters)
    try:
        measured = score_interval([own])
    except UsageError:
        # One cluster says nothing of the error.
        return False
    return cell.chance is not None and measured.interval.low > cell.chance


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRows:
    """What phase 2 of an arm was trained on, over its seeds: rows, subwords, and subwords over those of `english`."""

    arm: str
    task: str
    rows: int
    subwords: float
    ratio: float | None


def exposures(records: Sequence[UnitRecord]) -> list[PhaseRows]:
    """Return rows and subwords of phase 2 by arm and task; ``all`` is the whole phase."""
    found = []
    means: dict[tuple[str, str], float] = {}
    # english first, as the others are measured by it.
    for arm in sorted(ARMS, key=lambda name: name != "english"):
        own = [record.file.rows for record in records if record.file.arm == arm and record.file.rows]
        names = list(dict.fromkeys(key.split()[0] for rows in own for key in rows))
        for name in [*names, "all"] if own else ():
            parts = [[part for key, part in rows.items() if name in ("all", key.split()[0])] for rows in own]
            subwords = float(np.mean([sum(part["tokens"] for part in each) for each in parts]))
            means[arm, name] = subwords
            english = means.get(("english", name))
            found.append(
                PhaseRows(
                    arm=arm,
                    task=name,
                    rows=sum(part["rows"] for part in parts[0]),
                    subwords=subwords,
                    ratio=subwords / english if english else None,
                )
            )
    return found


def planned_difference(spread: float, seeds: int) -> float:
    """Return the difference between two arms that is shown with 80 % power where only seeds vary.

    Args:
        spread: standard deviation over seeds, in points.
        seeds: of each arm.
    """
    freedom = 2 * (seeds - 1)
    return (t_quantile(1 - ALPHA / 2, freedom) + t_quantile(POWER, freedom)) * spread * sqrt(2 / seeds)
