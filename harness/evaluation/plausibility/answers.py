"""What is counted of examples and predictions: chance, the score's error, answers that are all the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.artifacts.run import PlausibilityRecord
from harness.benchmark.chance import Answers, Chance, chance_of, some
from harness.core.examples import ChoiceExample, PairExample, QuestionExample, SentenceExample, is_scored
from harness.core.task import AnyTask
from harness.evaluation.plausibility.inputs import InputFacts
from harness.statistics.clusters import sum_variance
from harness.statistics.distributions import normal_quantile, normal_tail
from harness.statistics.paired import Score, effects
from harness.statistics.proportions import wilson

#: Probability, one-sided, with which a bound of one language is wrong.
RARE = 0.001
QUANTILE = normal_quantile(1 - RARE)
#: Examples that are judged at least.
FEW = 20
#: Examples at most that random answers are drawn for.
DRAWN = 100
#: Examples at most whose tags are counted, one by one.
COUNTED = 1_000
#: Tags are permuted where fewer than this part of what unrelated answers have right is right.
PERMUTED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """The candidates that all languages of a task share."""

    candidates: int
    duplicate_texts: int = 0
    duplicate_ids: int = 0

    @staticmethod
    def of(ids: Sequence[str], keys: Sequence[bytes]) -> "PoolFacts":
        """Return the facts of candidates from their ids and the keys of their rows; equal rows are equal texts."""
        return PoolFacts(
            candidates=len(ids), duplicate_texts=len(keys) - len(set(keys)), duplicate_ids=len(ids) - len(set(ids))
        )


def plausibility(
    task: AnyTask,
    examples: Sequence[Any],
    predictions: Sequence[Any],
    counts: NDArray[np.float64],
    language: str,
    *,
    pool: PoolFacts | None = None,
    inputs: InputFacts | None = None,
) -> PlausibilityRecord:
    """Return what is counted beside the score of one task and language.

    Args:
        task: that was scored.
        examples: of the language, candidates included.
        predictions: one for each example.
        counts: the metric's statistics (examples, columns).
        language: its code.
        pool: the candidates, where the examples do not hold them.
        inputs: what became of the texts; None for a folder of predictions.
    """
    kept = [number for number, example in enumerate(examples) if is_scored(example)] if _has_sides(examples) else []
    whole = not _has_sides(examples) or len(kept) == len(examples)
    asked = examples if whole else [examples[number] for number in kept]
    given = predictions if whole else [predictions[number] for number in kept]
    own = counts if whole else counts[kept]
    rule = chance_of(task)
    clusters = clusters_of(asked)
    twice = duplicates(examples) if pool is None else (pool.duplicate_texts, pool.duplicate_ids)
    found = _inputs(inputs)
    if rule is not None and len(asked):
        found |= _answers(rule, task, asked, given, own, clusters)
        candidates = None if pool is None else pool.candidates
        levels = (
            rule.level(task, examples, language, candidates=candidates, most=DRAWN),
            rule.constant(task, asked),
        )
        found["chance"] = max((level for level in levels if level is not None), default=None)
    return PlausibilityRecord(
        error=standard_error(lambda totals: _headline(task, totals), own, clusters),
        independent=_groups(clusters),
        without_gold=without_gold(asked),
        unanswered=sum(list(given).count(nothing) for nothing in (None, "", ())),
        duplicate_texts=twice[0],
        duplicate_ids=twice[1],
        **found,
    )


def _has_sides(examples: Sequence[Any]) -> bool:
    return len(examples) > 0 and hasattr(examples[0], "side")


def _headline(task: AnyTask, totals: NDArray[np.float64]) -> float:
    scores = task.metric.scores(totals)
    return sum(scores[name] for name in task.headline) / len(task.headline)


def _inputs(facts: InputFacts | None) -> dict[str, Any]:
    if facts is None:
        return {}
    subwords, unknown = int(facts.subwords.sum()), int(facts.unknown.sum())
    counted: dict[str, Any] = {
        "rows": facts.rows,
        "subwords": subwords,
        "words_without_subwords": facts.words_without_subwords,
        "truncated_rows": facts.truncated_rows,
        "equal_rows": facts.equal_rows,
    }
    if subwords:
        share = 100 * unknown / subwords
        counts = np.stack([facts.unknown, facts.subwords], axis=1).astype(np.float64)
        error = standard_error(_percent, counts, np.arange(len(counts)))
        counted["unknown_share"] = share
        counted["unknown_share_low"] = bounds(share, error, len(counts))[0]
    return counted


def _percent(totals: NDArray[np.float64]) -> float:
    return 100 * float(totals[0] / totals[1])


def _answers(
    rule: Chance,
    task: AnyTask,
    examples: Sequence[Any],
    predictions: Sequence[Any],
    counts: NDArray[np.float64],
    clusters: NDArray[np.int64],
) -> dict[str, Any]:
    """Return what the answers themselves say, whatever their text."""
    # Millions of tags are not counted all, and whole sentences compared only where all that were counted are one.
    parts = rule.parts(some(examples, COUNTED), some(predictions, COUNTED))
    found: dict[str, Any] = {}
    if parts is None or len(parts[1]) == 1:
        found["same_answer"] = is_same(*rule.whole(examples, predictions))
    columns = task.metric.columns
    if parts is None or not {"correct", "total"} <= set(columns):
        return found
    right = counts[:, [columns.index("correct"), columns.index("total")]]
    found["unrelated"] = unrelated = unrelated_share(*parts)
    # The most frequent label is no measure here: a weak model that gives another one is below it, and no label is
    # permuted. Of many labels a weak model confuses some systematically; permuted ones leave next to nothing right.
    labels = _labels(task, examples)
    floor = min(unrelated, 100 / labels) if (right[:, 1] == 1).all() else unrelated * PERMUTED
    found["below_chance_p"] = below_p(right, clusters, floor)
    return found


def _labels(task: AnyTask, examples: Sequence[Any]) -> int:
    """Return how many labels there are to choose from: the head's, or an example's choices."""
    labels = len(getattr(task.finetune.head, "labels", ()))
    return labels or max(
        (len(example.choices) for example in examples if isinstance(example, ChoiceExample)), default=1
    )


def unrelated_share(gold: Answers, given: Answers) -> float:
    """Return the share of right answers, in percent, that the same answers would have in another order."""
    total = sum(gold.values()) * sum(given.values())
    return 100 * sum(count * given.get(answer, 0) for answer, count in gold.items()) / total if total else 0.0


def is_same(gold: Answers, given: Answers) -> bool:
    """Return whether all answers are one, and the gold makes that a coincidence of less than one in a thousand.

    Answers drawn from the gold would all be this one with the probability that its share there gives to the power of
    the number of examples. Fewer than `FEW` examples are never too equal.
    """
    if len(given) != 1 or not gold:
        return False
    ((answer, count),) = given.items()
    return count >= FEW and (gold.get(answer, 0) / sum(gold.values())) ** count < RARE


def below_p(right: NDArray[np.float64], clusters: NDArray[np.int64], floor: float) -> float:
    """Return the probability of so few right ones, or fewer, where guessing has `floor` percent of them right.

    The exact binomial one where each example is right or wrong by itself; where examples belong together, or each
    has several parts, the larger of it and the cluster-robust one.

    Args:
        right: right ones and all of each example (examples, 2).
        clusters: (examples,), equal ones belong together.
        floor: percent.
    """
    hits, total = right.sum(axis=0)
    share = 100 * hits / total if total else floor
    if share >= floor:
        return 1.0
    probability = binomial_below(int(hits), int(total), floor / 100)
    if (right[:, 1] == 1).all() and _groups(clusters) == len(clusters):
        return probability
    error = standard_error(_percent, right, clusters)
    if error is None:
        return 1.0
    if error == 0:
        # Nothing is right: as many tries as there are clusters.
        return (1 - floor / 100) ** _groups(clusters)
    return max(probability, normal_tail((floor - share) / error))


def binomial_below(hits: int, tries: int, probability: float) -> float:
    """Return the probability of at most so many hits in so many tries, summed exactly."""
    if probability <= 0 or hits >= tries:
        return 1.0
    if probability >= 1:
        return 0.0
    ratio, term, total = math.log(probability / (1 - probability)), tries * math.log1p(-probability), 0.0
    # From no hit on; terms too small for a float add nothing.
    for number in range(hits + 1):
        total += math.exp(term)
        term += ratio + math.log((tries - number) / (number + 1))
    return min(1.0, total)


# The error of a score


#: The field that examples share which belong together: questions on one paragraph, pairs with one premise.
_TOGETHER: Mapping[type, str] = {PairExample: "first", ChoiceExample: "premise", QuestionExample: "context"}


def clusters_of(examples: Sequence[Any]) -> NDArray[np.int64]:
    """Return which examples belong together (examples,), numbered from 0; others stand alone."""
    field = _TOGETHER.get(type(examples[0])) if len(examples) else None
    if field is None:
        return np.arange(len(examples))
    keys = list(map(attrgetter(field), examples))
    if "" in keys:
        # A label file has no texts.
        keys = [key or number for number, key in enumerate(keys)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))


def standard_error(score: Score, counts: NDArray[np.float64], clusters: NDArray[np.int64]) -> float | None:
    """Return the cluster-robust standard error of a score in points; None with less than two clusters.

    Args:
        score: the closing formula.
        counts: the metric's statistics (examples, columns).
        clusters: (examples,).
    """
    groups = _groups(clusters)
    if groups < 2 or not counts.any():
        return None
    values = effects(score, counts)
    sums = np.asarray(np.bincount(clusters, weights=values, minlength=groups), dtype=np.float64)
    variance, _ = sum_variance(sums, np.zeros(groups, dtype=np.int64))
    return math.sqrt(variance)


def _groups(clusters: NDArray[np.int64]) -> int:
    """Return how many clusters there are, numbered from 0."""
    return int(clusters.max()) + 1 if len(clusters) else 0


def bounds(value: float, error: float | None, independent: int, quantile: float = QUANTILE) -> tuple[float, float]:
    """Return the interval of a score in percent, of Wilson's form with an effective number of examples.

    Args:
        value: percent.
        error: its standard error in points; None where it is not known.
        independent: how many examples count where the error is 0.
        quantile: of the normal distribution.
    """
    share = min(1.0, max(0.0, value / 100))
    if error is None or independent < 1:
        return 0.0, 100.0
    effective = share * (1 - share) / (error / 100) ** 2 if error > 0 and 0 < share < 1 else float(independent)
    interval = wilson(share, effective, quantile)
    return interval.low, interval.high


# Gold and candidates


def without_gold(examples: Sequence[Any]) -> int:
    """Return how many examples the data has no right answer for."""
    if not len(examples):
        return 0
    return _without_gold(examples[0], examples)


@singledispatch
def _without_gold(first: object, examples: Sequence[Any]) -> int:
    return 0


@_without_gold.register
def _(first: QuestionExample, examples: Sequence[QuestionExample]) -> int:
    return sum(not any(answer.text for answer in example.answers) for example in examples)


@_without_gold.register
def _(first: SentenceExample, examples: Sequence[SentenceExample]) -> int:
    return sum(not example.gold for example in examples)


def duplicates(examples: Sequence[Any]) -> tuple[int, int]:
    """Return how many candidates have the text, and how many the id, of another one before them.

    The candidates are the sentences that queries are compared with, or the choices of one example.
    """
    return _duplicates(examples[0], examples) if len(examples) else (0, 0)


@singledispatch
def _duplicates(first: object, examples: Sequence[Any]) -> tuple[int, int]:
    return 0, 0


@_duplicates.register
def _(first: SentenceExample, examples: Sequence[SentenceExample]) -> tuple[int, int]:
    candidates = [example for example in examples if example.side == "candidate" and not example.tuning]
    texts, ids = {example.text for example in candidates}, {example.id for example in candidates}
    return len(candidates) - len(texts), len(candidates) - len(ids)


@_duplicates.register
def _(first: ChoiceExample, examples: Sequence[ChoiceExample]) -> tuple[int, int]:
    return sum(len(example.choices) - len(set(example.choices)) for example in examples if any(example.choices)), 0
