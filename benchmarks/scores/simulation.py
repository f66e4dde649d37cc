"""Whether the statistics keep what they promise, on data whose truth is known.

::

    python -m benchmarks.scores.simulation [--quick] [--seed 0] [--json FILE]

False positives where nothing differs, power where one point does, and what the gate publishes at its margins and
where nothing is lost. Rows marked "contrast" are methods that the project does not use, to show why.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.statistics.evidence import Evidence, evidence
from harness.statistics.monitor import Design, Look, look
from harness.statistics.noninferiority import Margins, script_bounds
from harness.statistics.paired import Cell, difference
from harness.statistics.planning import needed, sizes
from harness.statistics.resampling import bootstrap, percentile_interval
from harness.statistics.seeds import SeededScores, seed_difference
from harness.statistics.sequential import boundaries
from harness.statistics.significance import mcnemar, sign_flip

ALPHA, LEVEL = 0.05, 0.95
#: Draws of a resampling test within a simulated run; more only sharpen single p-values.
DRAWS = 999
#: Fractions of the planned examples at which the gate looks.
LOOKS = (0.2, 0.4, 0.6, 0.8, 1.0)
MARGINS = Margins()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often something happened."""

    data: str
    method: str
    runs: int
    rate: float
    #: What the rate should be, with the 95 % binomial interval; "" is not judged.
    expected: str = ""
    verdict: str = ""
    #: What is known besides, by name.
    more: Mapping[str, float | str] | None = None


def binomial_interval(runs: int, rate: float = ALPHA) -> tuple[float, float]:
    """Return the 95 % interval of an observed rate where the true one is `rate`."""
    from scipy.stats import binom

    low, high = binom.interval(LEVEL, runs, rate)
    return float(low) / runs, float(high) / runs


def judged(data: str, method: str, hits: Sequence[bool], bound: str, level: float = ALPHA) -> Rate:
    """Return a rate with its verdict: within the interval of the level, or on its right side."""
    rate, (low, high) = float(np.mean(hits)), binomial_interval(len(hits), level)
    if bound == "inside":
        verdict = "above" if rate > high else "below" if rate < low else "inside"
        expected = f"{low:.3f} to {high:.3f}"
    elif bound == "at most":
        verdict, expected = ("above" if rate > high else "kept"), f"at most {level:g} (+{high - level:.3f})"
    else:
        verdict, expected = ("below" if rate < low else "kept"), f"at least {level:g} (-{level - low:.3f})"
    return Rate(data=data, method=method, runs=len(hits), rate=rate, expected=expected, verdict=verdict)


def accuracy(totals: NDArray[np.float64]) -> float:
    """Return 100 * correct / total."""
    return 100 * float(totals[0] / totals[1])


def f1(totals: NDArray[np.float64]) -> float:
    """Return F1 of (matched, predicted, gold)."""
    return 200 * float(totals[0] / (totals[1] + totals[2]))


def right_or_wrong(name: str, left: NDArray[np.bool_], right: NDArray[np.bool_], clusters: NDArray[np.int64]) -> Cell:
    """Return a cell of examples that are right or wrong."""
    ones = np.ones(len(left))
    return Cell(
        name=name,
        score=accuracy,
        left=np.stack([left.astype(np.float64), ones], axis=1),
        right=np.stack([right.astype(np.float64), ones], axis=1),
        clusters=clusters,
    )


def flipped(
    rng: np.random.Generator, up: NDArray[np.float64], rate: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return both systems' correctness: 70 % right, `rate` of the examples flip, upwards with probability `up`."""
    left = rng.random(up.shape) < 0.7
    flip = rng.random(up.shape) < rate
    upwards = rng.random(up.shape) < up
    return np.where(flip, ~upwards, left), np.where(flip, upwards, left)


def towards(
    rng: np.random.Generator, count: int, delta: float, rate: float, concentration: float
) -> NDArray[np.float64]:
    """Return each cluster's own probability (count,) that a flip goes upwards; the mean makes `delta` points."""
    centre = 0.5 + delta / 200 / rate
    return rng.beta(concentration * centre, concentration * (1 - centre), count)


def independent(rng: np.random.Generator, delta: float) -> list[Cell]:
    """One language, 2,000 examples, 12 % of which flip."""
    left, right = flipped(rng, np.full(2_000, 0.5 + delta / 200 / 0.12), 0.12)
    return [right_or_wrong("independent", left, right, np.arange(2_000))]


def paragraphs(rng: np.random.Generator, delta: float) -> list[Cell]:
    """240 paragraphs of 5 questions, as XQuAD; flips of one paragraph tend to go one way."""
    clusters = np.repeat(np.arange(240), 5)
    left, right = flipped(rng, towards(rng, 240, delta, 0.2, 1.5)[clusters], 0.2)
    return [right_or_wrong("paragraphs", left, right, clusters)]


def parallel(rng: np.random.Generator, delta: float) -> list[Cell]:
    """10 languages with the same 300 items, whose flips tend to go one way in all of them."""
    up = towards(rng, 300, delta, 0.12, 2.0)
    return [right_or_wrong(f"language {n}", *flipped(rng, up, 0.12), np.arange(300)) for n in range(10)]


def chunks(rng: np.random.Generator, delta: float) -> list[Cell]:
    """1,000 sentences with chunks, scored by F1: not a mean over examples; right finds `delta` points more of them."""
    gold = 1.0 + rng.poisson(2.0, 1_000)
    shared = rng.binomial(gold.astype(np.int64), 0.7)
    rest = gold.astype(np.int64) - shared
    sides = []
    # A point of F1 is 1.7 points of recall: what is found more is predicted more, too.
    for extra in (0.0, 1.704 * delta / 100):
        matched = (shared + rng.binomial(rest, 0.4 + extra / 0.3)).astype(np.float64)
        sides.append(np.stack([matched, matched + rng.binomial(gold.astype(np.int64), 0.15), gold], axis=1))
    return [Cell(name="chunks", score=f1, left=sides[0], right=sides[1], clusters=np.arange(1_000))]


def apart(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells as if each example were independent of all others."""
    found, start = [], 0
    for cell in cells:
        count = len(cell.left)
        clusters = np.arange(start, start + count)
        found.append(Cell(name=cell.name, score=cell.score, left=cell.left, right=cell.right, clusters=clusters))
        start += count
    return found


def by_estimate(cells: Sequence[Cell]) -> bool:
    """Student's t over the linearised cluster-robust error."""
    return difference(cells).p_value() <= ALPHA


def by_sign_flip(cells: Sequence[Cell]) -> bool:
    """The cluster sign-flip test."""
    return sign_flip(cells, draws=DRAWS).p_value <= ALPHA


def by_bootstrap(cells: Sequence[Cell]) -> bool:
    """The percentile interval of the cluster bootstrap."""
    interval = percentile_interval(bootstrap(cells, DRAWS).mean(axis=0))
    return not interval.low <= 0 <= interval.high


def by_mcnemar(cells: Sequence[Cell]) -> bool:
    """McNemar's exact test over all examples, clusters ignored."""
    change = np.concatenate([cell.right[:, 0] - cell.left[:, 0] for cell in cells])
    return mcnemar(int((change < 0).sum()), int((change > 0).sum())) <= ALPHA


def by_estimate_apart(cells: Sequence[Cell]) -> bool:
    """Student's t, clusters ignored."""
    return by_estimate(apart(cells))


Method = Callable[[Sequence[Cell]], bool]
#: Data, and its methods: used, and for contrast.
PAIRED: tuple[tuple[str, Callable[[np.random.Generator, float], list[Cell]], Mapping[str, Method]], ...] = (
    (
        "independent, n 2,000",
        independent,
        {
            "exact McNemar": by_mcnemar,
            "linearised t": by_estimate,
            "sign flip": by_sign_flip,
            "bootstrap": by_bootstrap,
        },
    ),
    (
        "240 paragraphs x 5",
        paragraphs,
        {
            "linearised t": by_estimate,
            "sign flip": by_sign_flip,
            "bootstrap": by_bootstrap,
            "contrast: McNemar": by_mcnemar,
        },
    ),
    (
        "10 parallel languages x 300",
        parallel,
        {"linearised t": by_estimate, "sign flip": by_sign_flip, "contrast: t, items apart": by_estimate_apart},
    ),
    ("F1 of chunks, 1,000 sentences", chunks, {"linearised t": by_estimate, "sign flip": by_sign_flip}),
)


def paired_rates(rng: np.random.Generator, runs: int, delta: float) -> Iterator[Rate]:
    """Yield how often each method finds a difference of `delta` points."""
    for data, make, methods in PAIRED:
        hits: dict[str, list[bool]] = {name: [] for name in methods}
        for _ in range(runs):
            cells = make(rng, delta)
            for name, method in methods.items():
                hits[name].append(method(cells))
        for name, found in hits.items():
            # An exact test of counts is conservative by nature.
            bound = "" if delta or name.startswith("contrast") else "at most" if "McNemar" in name else "inside"
            yield judged(data, name, found, bound) if bound else rated(data, name, found)


def rated(data: str, method: str, hits: Sequence[bool]) -> Rate:
    """Return a rate that is not judged."""
    return Rate(data=data, method=method, runs=len(hits), rate=float(np.mean(hits)))


@dataclass(frozen=True, slots=True)
class SeedSetting:
    """How seeds and items vary."""

    name: str
    #: Standard deviation of a seed's shift, and of a cluster's own difference between the recipes; points.
    seed: float
    item: float
    seeds: tuple[int, int] = (3, 3)


SEEDS = (
    SeedSetting("seeds vary by 1 point", 1.0, 0.0),
    SeedSetting("seeds 1 point, items 15", 1.0, 15.0),
    SeedSetting("seeds 0.3 points, items 15", 0.3, 15.0),
    SeedSetting("5 and 3 seeds, 1 point, items 15", 1.0, 15.0, (5, 3)),
    SeedSetting("5 and 5 seeds, 0.3 points, items 5", 0.3, 5.0, (5, 5)),
)


def seeded(rng: np.random.Generator, setting: SeedSetting, delta: float) -> list[SeededScores]:
    """Return both recipes on 400 premises of 3 examples, with item effects shared by a recipe's seeds."""
    clusters = np.repeat(np.arange(400), 3)
    base = rng.uniform(0.35, 0.65, len(clusters))
    sides = []
    for number, count in enumerate(setting.seeds):
        own = rng.uniform(-1, 1, 400)[clusters] * setting.item / 100 * 3**0.5
        shift = rng.normal(0, setting.seed / 100, count)[:, None]
        right = rng.random((count, len(clusters))) < base + own + shift + number * delta / 100
        counts = np.stack([right.astype(np.float64), np.ones(right.shape)], axis=2)
        sides.append(SeededScores(name=f"recipe {number}", score=accuracy, counts=counts, clusters=clusters))
    return sides


def over_seeds(rng: np.random.Generator, sides: Sequence[SeededScores]) -> bool:
    """Return whether the percentile bootstrap over seeds finds a difference."""
    draws = []
    for side in sides:
        scores = side.counts[:, :, 0].mean(axis=1)
        draws.append(scores[rng.integers(len(scores), size=(DRAWS, len(scores)))].mean(axis=1))
    interval = percentile_interval(draws[1] - draws[0])
    return not interval.low <= 0 <= interval.high


def seeded_rates(rng: np.random.Generator, runs: int, delta: float) -> Iterator[Rate]:
    """Yield how often a difference of `delta` points between recipes is found."""
    for setting in SEEDS:
        welch, naive = [], []
        for _ in range(runs):
            left, right = seeded(rng, setting, delta)
            welch.append(seed_difference([left], [right]).estimate.p_value() <= ALPHA)
            naive.append(over_seeds(rng, (left, right)))
        if delta:
            yield rated(setting.name, "Welch with items", welch)
        else:
            yield judged(setting.name, "Welch with items", welch, "inside")
            yield rated(setting.name, "contrast: bootstrap over seeds", naive)


def counts(rng: np.random.Generator, examples: int, flips: float, loss: float) -> tuple[int, int]:
    """Return how many of so many examples are lost and gained; `flips` is the share that flips without a loss."""
    lost, gained = flips / 2 + loss / 200, flips / 2 - loss / 200
    if gained < 0:
        lost, gained = loss / 100, 0.0
    found = rng.multinomial(examples, [lost, gained, 1 - lost - gained])
    return int(found[0]), int(found[1])


def gate(rng: np.random.Generator, design: Design, flips: float, loss: Mapping[str, float]) -> Look:
    """Return the last look of a gate at examples that come in, independent of each other."""
    so_far = dict.fromkeys(design.planned, (0, 0, 0))
    before, verdict = 0.0, None
    for fraction in LOOKS:
        for script, planned in design.planned.items():
            new = round(planned * fraction) - round(planned * before)
            lost, gained = counts(rng, new, flips, loss[script])
            old = so_far[script]
            so_far[script] = (old[0] + lost, old[1] + gained, old[2] + new)
        scripts = {script: plain(*triple) for script, triple in so_far.items()}
        verdict = look(design, plain(*map(sum, zip(*so_far.values(), strict=True))), scripts, verdict)
        before = fraction
        if verdict.certain:
            break
    assert verdict is not None
    return verdict


def plain(lost: int, gained: int, examples: int) -> Evidence:
    """Return the evidence of independent right-or-wrong examples."""
    return Evidence(lost=float(lost), gained=float(gained), examples=examples, clusters=examples)


def gate_rates(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """Yield what the gate publishes, refuses and leaves open, by what is lost and how many examples flip."""
    for scripts in (3, 10):
        for flips in (0.005, 0.01, 0.02):
            size = sizes(flips, scripts, margins=MARGINS)
            names = [f"script {number}" for number in range(scripts)]
            design = Design(planned=dict.fromkeys(names, size.script), margins=MARGINS)
            for what, loss, bound, level in gate_settings(names):
                looks = [gate(rng, design, flips, loss) for _ in range(runs)]
                published = [one.outcome == "shown" for one in looks]
                data = f"{scripts} scripts, flips {flips:.1%}: {what}"
                rate = (
                    judged(data, "published", published, bound, level) if bound else rated(data, "published", published)
                )
                yield Rate(
                    data=data,
                    method="published",
                    runs=runs,
                    rate=rate.rate,
                    expected=rate.expected,
                    verdict=rate.verdict,
                    more={
                        "refused": float(np.mean([one.outcome == "refused" for one in looks])),
                        "examples planned": size.overall,
                        "seen": float(np.mean([one.overall.evidence.examples for one in looks])),
                        "d x 8.56 / margin^2": needed(flips, MARGINS.overall),
                    },
                )


def gate_settings(names: Sequence[str]) -> Iterator[tuple[str, dict[str, float], str, float]]:
    """Yield the losses that the gate is tried on, with what is expected of the share published."""
    yield "nothing lost", dict.fromkeys(names, 0.0), "at least", 0.9
    yield "all lose 0.5", dict.fromkeys(names, MARGINS.overall), "at most", ALPHA
    yield "one loses 2, others nothing", {**dict.fromkeys(names, 0.0), names[0]: MARGINS.script}, "at most", ALPHA
    if len(names) > 3:
        gain = {**dict.fromkeys(names, -0.2), names[0]: MARGINS.script}
        yield "one loses 2, others gain 0.2", gain, "at most", ALPHA
        yield "one loses 4, others nothing", {**dict.fromkeys(names, 0.0), names[0]: 4.0}, "", 0.0


def pooling_rates(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """Yield what pooling scripts does, at one look of 10 scripts: how far it may excuse a script."""
    names = [f"script {number}" for number in range(10)]
    critical = boundaries((1.0,), ALPHA)[-1]
    for flips in (0.005, 0.02):
        size = sizes(flips, 10, margins=MARGINS, looks=(1.0,)).script
        for translation, label in (
            (0.0, "stricter only (used)"),
            (0.25, "contrast: up to 0.25 errors"),
            (np.inf, "contrast: shrunken alone"),
        ):
            for what, others, worst in (
                ("nothing lost", 0.0, 0.0),
                ("one loses 2, others nothing", 0.0, 2.0),
                ("one loses 2, others gain 0.2", -0.2, 2.0),
                ("all lose 2", 2.0, 2.0),
            ):
                hidden, published = [], []
                for _ in range(runs):
                    found = {
                        name: plain(*counts(rng, size, flips, worst if name == names[0] else others), size)
                        for name in names
                    }
                    bounds = script_bounds(found, dict.fromkeys(names, critical), translation)
                    hidden.append(bounds[names[0]].bound < MARGINS.script)
                    published.append(all(one.bound < MARGINS.script for one in bounds.values()))
                data, judge = f"flips {flips:.1%}, {size} a script: {what}", worst > 0 and translation == 0
                rate = judged(data, label, hidden, "at most") if judge else rated(data, label, hidden)
                yield Rate(
                    data=data,
                    method=label,
                    runs=runs,
                    rate=rate.rate,
                    expected=rate.expected,
                    verdict=rate.verdict,
                    more={"all scripts shown": float(np.mean(published))},
                )


def clustered_losses(
    rng: np.random.Generator, clusters: NDArray[np.int64], flips: float, loss: float, correlation: float
) -> NDArray[np.float64]:
    """Return losses (examples,) whose flips cluster: the probabilities of a cluster are drawn from a Dirichlet."""
    lost, gained = flips / 2 + loss / 200, max(0.0, flips / 2 - loss / 200)
    shape = np.array([lost, gained, 1 - lost - gained]) * (1 / correlation - 1)
    own = rng.dirichlet(np.maximum(shape, 1e-9), int(clusters.max()) + 1)[clusters]
    drawn = rng.random(len(clusters))
    return np.where(drawn < own[:, 0], 1.0, np.where(drawn < own[:, 0] + own[:, 1], -1.0, 0.0))


def clustered_rates(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """Yield what one look shows where examples cluster, at the margin and without loss."""
    critical = boundaries((1.0,), ALPHA)[-1]
    settings = (
        ("48 paragraphs x 25, one script", np.repeat(np.arange(48), 25), MARGINS.script),
        ("240 paragraphs x 5, one script", np.repeat(np.arange(240), 5), MARGINS.script),
        ("1,000 premises x 3, one script", np.repeat(np.arange(1_000), 3), MARGINS.script),
        ("1,000 items x 10 parallel languages, all", np.tile(np.arange(1_000), 10), MARGINS.overall),
    )
    for name, clusters, margin in settings:
        for flips, correlation in ((0.02, 0.05), (0.04, 0.2)):
            for loss, bound in ((margin, "at most"), (0.0, "")):
                used, naive, effects = [], [], []
                for _ in range(runs):
                    values = clustered_losses(rng, clusters, flips, loss, correlation)
                    found = evidence(values, clusters)
                    used.append(found.below(margin, critical))
                    effects.append(found.design_effect)
                    lost, gained = int((values > 0).sum()), int((values < 0).sum())
                    naive.append(plain(lost, gained, len(values)).below(margin, critical))
                data = f"{name}, flips {flips:.0%}, correlation {correlation:g}: loses {loss:g}"
                rate = judged(data, "clustered bound", used, bound) if bound else rated(data, "clustered bound", used)
                yield Rate(
                    data=data,
                    method="clustered bound",
                    runs=runs,
                    rate=rate.rate,
                    expected=rate.expected,
                    verdict=rate.verdict,
                    more={"clusters ignored": float(np.mean(naive)), "design effect": float(np.mean(effects))},
                )


def partial_losses(
    rng: np.random.Generator, examples: int, flips: float, loss: float, kind: str
) -> tuple[NDArray[np.float64], float]:
    """Return losses (examples,) that are parts of an example, and the decisions in one.

    Tags: sentences of 4 to 24 words, whose tags flip together (correlation 0.1 in a sentence). F1: answers that share
    a quarter to all of their words with the other one.
    """
    lost, gained = flips / 2 + loss / 200, max(0.0, flips / 2 - loss / 200)
    if kind == "F1":
        mean = 0.625
        drawn = rng.random(examples)
        signs = np.where(drawn < lost / mean, 1.0, np.where(drawn < (lost + gained) / mean, -1.0, 0.0))
        return signs * rng.uniform(0.25, 1.0, examples), 1.0
    words = rng.integers(4, 25, examples)
    shape = np.array([lost, gained, 1 - lost - gained]) * (1 / 0.1 - 1)
    own = rng.dirichlet(np.maximum(shape, 1e-9), examples)
    worse = rng.binomial(words, own[:, 0])
    better = rng.binomial(words - worse, np.minimum(1.0, own[:, 1] / np.maximum(1e-12, 1 - own[:, 0])))
    return (worse - better) / words.mean(), float(words.mean())


def partial_rates(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """Yield what one look shows where an example is not right or wrong, at the margin and without loss."""
    critical = boundaries((1.0,), ALPHA)[-1]
    for kind, examples, margin in (
        ("tags", 150, MARGINS.script),
        ("tags", 600, MARGINS.script),
        ("tags", 6_000, MARGINS.overall),
        ("F1", 400, MARGINS.script),
        ("F1", 1_200, MARGINS.script),
        ("F1", 12_000, MARGINS.overall),
    ):
        for flips in (max(0.01, margin / 100), 0.04):
            for loss, bound in ((margin, "at most"), (0.0, "")):
                used, coarse = [], []
                for _ in range(runs):
                    values, parts = partial_losses(rng, examples, flips, loss, kind)
                    clusters = np.arange(examples)
                    found = evidence(values, clusters, parts)
                    used.append(found.below(margin, critical))
                    coarse.append(replace(found, unit=1.0).below(margin, critical))
                data = f"{kind}, {examples:,} examples, flips {flips:.1%}: loses {loss:g}"
                rate = judged(data, "unit of a loss", used, bound) if bound else rated(data, "unit of a loss", used)
                yield Rate(
                    data=data,
                    method="unit of a loss",
                    runs=runs,
                    rate=rate.rate,
                    expected=rate.expected,
                    verdict=rate.verdict,
                    more={"whole examples": float(np.mean(coarse))},
                )


Section = Callable[[np.random.Generator, int], Iterator[Rate]]
#: Title, rows, and runs of the full and of the quick simulation.
SECTIONS: tuple[tuple[str, Section, int, int], ...] = (
    ("False positives at 0.05, two systems", lambda rng, runs: paired_rates(rng, runs, 0.0), 800, 60),
    ("Power at a true difference of 1 point, two systems", lambda rng, runs: paired_rates(rng, runs, 1.0), 400, 40),
    ("False positives at 0.05, two recipes over seeds", lambda rng, runs: seeded_rates(rng, runs, 0.0), 3_000, 150),
    ("Power at a true difference of 1 point, over seeds", lambda rng, runs: seeded_rates(rng, runs, 1.0), 1_000, 80),
    ("The gate, five looks: share published", gate_rates, 800, 25),
    ("Pooling scripts, one look: share in which script 0 is shown", pooling_rates, 1_000, 60),
    ("The bound with clusters, one look: share shown below the margin", clustered_rates, 1_000, 60),
    ("The bound where losses are parts of an example, one look: share shown", partial_rates, 1_000, 60),
)


def text(title: str, rows: Sequence[Rate]) -> str:
    """Return a section as aligned columns."""
    extra = list(dict.fromkeys(name for row in rows for name in row.more or {}))
    grid = [["data", "method", "runs", "rate", "expected", "verdict", *extra]]
    for row in rows:
        more = row.more or {}
        cells = [_cell(more[name]) if name in more else "" for name in extra]
        grid.append([row.data, row.method, str(row.runs), f"{row.rate:.3f}", row.expected, row.verdict, *cells])
    widths = [max(len(line[column]) for line in grid) for column in range(len(grid[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in grid]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 20 else f"{value:.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and write them where `--json` says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scores.simulation", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="few runs: whether everything works, not the figures")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: 0)")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    options = parser.parse_args(arguments)
    document: dict[str, object] = {"seed": options.seed, "quick": options.quick}
    started = time.perf_counter()
    for number, (title, section, full, quick) in enumerate(SECTIONS):
        rows = list(section(np.random.default_rng([options.seed, number]), quick if options.quick else full))
        document[title] = [asdict(row) for row in rows]
        print(text(title, rows), flush=True)
        print(f"  {time.perf_counter() - started:.0f} s\n", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
