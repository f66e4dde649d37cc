"""The warnings: what makes a score doubtful, decided from what was counted beside it.

Each rule asks for more than chance can do: a bound that is wrong in one of a thousand cases, so that a run with a small
`--limit` says nothing it cannot know. docs/plausibility.md states every threshold.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from harness.artifacts.run import PlausibilityRecord, WarningRecord
from harness.core.languages import language
from harness.evaluation.plausibility.answers import FEW, QUANTILE, RARE, bounds
from harness.evaluation.plausibility.profiles import Profile, profiles
from harness.evaluation.results import LanguageScore, TaskScore
from harness.statistics.distributions import normal_quantile
from harness.statistics.multiplicity import holm

#: Percent of the subwords.
UNKNOWN_SHARE = 5.0
#: Examples that a share of subwords is judged on at least.
FEW_TEXTS = 5
#: A language is at chance where its score is above chance by less than this part of what the others are above it.
AT_CHANCE = 0.25
#: Scripts among which one can be apart.
SCRIPTS = 6
#: How far apart: median absolute deviations, and points at least.
DEVIATIONS = 4.0
POINTS = 5.0

UNKNOWN, CHANCE, BELOW, EQUAL, APART = (
    "unknown subwords",
    "at chance",
    "below chance",
    "equal predictions",
    "script apart",
)


def warnings(tasks: Sequence[TaskScore], *, official: bool) -> list[WarningRecord]:
    """Return the warnings of a run, task by task.

    Args:
        tasks: the scores; languages without plausibility are passed over.
        official: whether the data is that of the benchmark, so that published scores say what is usual.
    """
    found: list[WarningRecord] = []
    for task in tasks:
        published = profiles(task.task) if official else []
        found += _unknown(task)
        at_chance = [*_below_chance(task), *_equal(task)]
        # A language has one line for being at chance, and does not count for its script then.
        at_chance += _at_chance(task, published, but=_languages(at_chance))
        found += at_chance
        found += _scripts(task, published, but=_languages(at_chance))
    return found


def _languages(found: Sequence[WarningRecord]) -> set[str]:
    return {code for warning in found for code in warning.languages}


def _known(task: TaskScore) -> Iterator[tuple[LanguageScore, PlausibilityRecord]]:
    for row in task.languages:
        if row.plausibility is not None:
            yield row, row.plausibility


def _warning(kind: str, task: TaskScore, languages: Sequence[str], text: str) -> WarningRecord:
    name = task.task.name
    line = f"{name} {' '.join(languages)}: {text}"
    return WarningRecord(kind=kind, task=name, languages=list(languages), text=line)


def _unknown(task: TaskScore) -> Iterator[WarningRecord]:
    shares = {
        row.language: found.unknown_share
        for row, found in _known(task)
        if found.unknown_share is not None
        and found.unknown_share_low is not None
        and row.examples >= FEW_TEXTS
        and found.unknown_share_low > UNKNOWN_SHARE
    }
    if shares:
        listed = ", ".join(f"{code} {share:.0f} %" for code, share in sorted(shares.items(), key=lambda each: -each[1]))
        yield _warning(
            UNKNOWN,
            task,
            list(shares),
            f"more than {UNKNOWN_SHARE:g} % of the subwords are unknown ({listed}); "
            "the tokenizer lacks characters of these texts",
        )


def _below_chance(task: TaskScore) -> Iterator[WarningRecord]:
    values = {
        row.language: found.below_chance_p
        for row, found in _known(task)
        if found.below_chance_p is not None and found.independent >= FEW
    }
    if not values:
        return
    family = holm(f"{task.task.name} below chance", values, alpha=RARE)
    for row, found in _known(task):
        if row.language in family.rejected:
            share = row.scores.get("accuracy", task.headline(row))
            floor = f", chance is {found.chance:.1f}" if found.chance is not None and _is_accuracy(task) else ""
            yield _warning(
                BELOW,
                task,
                [row.language],
                f"accuracy {share:.1f} is significantly below chance{floor} "
                f"(p {family.adjusted[row.language]:.1g}); are the labels permuted, in the data or in the graph?",
            )


def _is_accuracy(task: TaskScore) -> bool:
    return task.task.headline == ("accuracy",)


def _equal(task: TaskScore) -> Iterator[WarningRecord]:
    same = [row.language for row, found in _known(task) if found.same_answer]
    if same:
        text = "all predictions are the same; the graph does not read the text, or its training collapsed"
        yield _warning(EQUAL, task, same, text)


# A language at chance


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A language whose score has an error."""

    language: str
    score: float
    chance: float
    error: float
    independent: int

    @property
    def above(self) -> float:
        return self.score - self.chance


def _judged(task: TaskScore) -> list[_Judged]:
    return [
        _Judged(
            language=row.language,
            score=task.headline(row),
            # Tasks without a known level score about nothing by guessing.
            chance=found.chance or 0.0,
            error=found.error,
            independent=found.independent,
        )
        for row, found in _known(task)
        if found.error is not None and found.independent >= FEW
    ]


def _at_chance(task: TaskScore, published: Sequence[Profile], *, but: set[str]) -> Iterator[WarningRecord]:
    rows = _judged(task)
    for row in rows:
        others = [other for other in rows if other.language != row.language]
        if not others:
            return
        usual = median(other.above for other in others)
        reach = QUANTILE * math.sqrt(sum(other.error**2 for other in others)) / len(others)
        if row.language in but or usual <= 0 or mean(other.above for other in others) <= reach:
            continue
        most = bounds(row.score, row.error, row.independent)[1] - row.chance
        if most < AT_CHANCE * usual and not any(_hard(profile, row, others) for profile in published):
            yield _warning(
                CHANCE,
                task,
                [row.language],
                f"{row.score:.1f} is at chance ({row.chance:.1f}), while the other languages are "
                f"{usual:.1f} points above it",
            )


def _hard(profile: Profile, row: _Judged, others: Sequence[_Judged]) -> bool:
    """Return whether a published model is at chance in the language too."""
    scores = profile.scores
    usual = [scores[other.language] - other.chance for other in others if other.language in scores]
    if row.language not in scores or not usual:
        return False
    return scores[row.language] - row.chance < AT_CHANCE * median(usual)


# A script apart


@dataclass(frozen=True, slots=True, kw_only=True)
class _Apart:
    """How far a script is from the middle of all, in points, and the spread of all."""

    distance: float
    deviation: float


def _scripts(task: TaskScore, published: Sequence[Profile], *, but: set[str]) -> Iterator[WarningRecord]:
    rows = [row for row in _judged(task) if row.language not in but]
    # A script has to be apart from what each published model has, in the same direction. Where none is published, from
    # the other scripts.
    views: list[Mapping[str, _Apart]] = [_apart(rows, profile.scores) for profile in published]
    views = [view for view in views if view] or ([] if published else [_apart(rows, None)])
    if not views:
        return
    for script, first in views[0].items():
        codes = [row.language for row in rows if language(row.language).script == script]
        same = [view[script] for view in views if script in view]
        if not published and first.distance > 0:
            # Training on English lifts the script of English in every run.
            continue
        if all(_is_far(each) and each.distance * first.distance > 0 for each in same):
            nearest = min(same, key=lambda each: abs(each.distance))
            models = " and ".join(profile.model for profile in published)
            yield _warning(
                APART,
                task,
                codes,
                f"script {script} is {abs(nearest.distance):.1f} points "
                f"{'below' if nearest.distance < 0 else 'above'} what the other scripts"
                f"{f' and the published scores of {models}' if published else ''} suggest, "
                f"whose median deviation is {nearest.deviation:.1f}",
            )


def _is_far(found: _Apart) -> bool:
    return abs(found.distance) > max(DEVIATIONS * found.deviation, POINTS)


def _apart(rows: Sequence[_Judged], scores: Mapping[str, float] | None) -> dict[str, _Apart]:
    """Return the scripts that noise does not explain, with their distances; nothing for less than six scripts.

    Args:
        rows: the languages.
        scores: published ones, of which the run's are taken as a linear function; None for the plain scores.
    """
    groups: dict[str, list[_Judged]] = {}
    for row in rows:
        if scores is None or row.language in scores:
            groups.setdefault(language(row.language).script, []).append(row)
    if len(groups) < SCRIPTS:
        return {}
    own = {script: mean(row.score for row in group) for script, group in groups.items()}
    noise = {script: math.sqrt(sum(row.error**2 for row in group)) / len(group) for script, group in groups.items()}
    usual = (
        dict.fromkeys(own, 0.0)
        if scores is None
        else {script: mean(scores[row.language] for row in group) for script, group in groups.items()}
    )
    slope = _slope([usual[script] for script in own], list(own.values()))
    residual = {script: own[script] - slope * usual[script] for script in own}
    middle = median(residual.values())
    deviation = median(abs(value - middle) for value in residual.values())
    # The furthest of several scripts, on either side, is far by noise more often than one that was named before.
    quantile = normal_quantile(1 - RARE / (2 * len(groups)))
    return {
        script: _Apart(
            distance=value - middle if abs(value - middle) > quantile * noise[script] else 0.0, deviation=deviation
        )
        for script, value in residual.items()
    }


def _slope(usual: Sequence[float], own: Sequence[float]) -> float:
    """Return the median slope between all pairs of scripts, from 0 to 2 (Theil 1950, Sen 1968, JASA 63:1379-1389).

    A weak model does not lose the same number of points everywhere: it keeps a part of what a strong one has.
    """
    slopes = [
        (own[second] - own[first]) / (usual[second] - usual[first])
        for first in range(len(usual))
        for second in range(first + 1, len(usual))
        if usual[second] != usual[first]
    ]
    return min(2.0, max(0.0, median(slopes))) if slopes else 0.0
