"""Mining as for BUCC: against its two matrix products alone, and against the loops of LASER's and XTREME's scripts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import Function, alternate
from benchmarks.speed.retrieval.vectors import SEED, WARM, Measured, Vectors, multiply, near, peak_gib, units
from harness.benchmark.postprocessors.mining import Mined, choose_threshold, margin_scores, mine
from harness.benchmark.postprocessors.neighbours import Neighbours, search_both
from harness.core.progress import Progress
from harness.core.tables import Table

ResultT = TypeVar("ResultT")

#: As BUCC is mined.
NEIGHBOURS = 4
#: What the project promises: at most so many times the products alone, and so many times as fast as loops.
PRODUCTS_AT_MOST = 1.5
LOOPS_AT_LEAST = 20.0


class Corpora(NamedTuple):
    """Sentences of two languages as unit vectors, and which of them translate each other."""

    sources: Vectors
    targets: Vectors
    #: (sources,): the target that translates a source, or -1.
    gold: NDArray[np.int64]

    def score(self, mined: Mined) -> float:
        """Return the F1 of the pairs above their best threshold, in percent."""
        hits = self.gold[mined.sources] == mined.targets
        kept = mined.scores >= self.threshold(mined)
        return float(200 * hits[kept].sum() / (kept.sum() + (self.gold >= 0).sum()))

    def threshold(self, mined: Mined) -> float:
        """Return the threshold that the gold pairs choose."""
        hits = self.gold[mined.sources] == mined.targets
        return choose_threshold(mined.scores, hits, int((self.gold >= 0).sum()))


def corpora(sentences: int, dimension: int) -> Corpora:
    """Return two corpora; every second source has a translation, at a random index.

    Its cosine is between 0.1 and 0.9, so that some are lost among the others: the best of 100,000 random
    cosines in 768 dimensions is about 0.16.
    """
    rng = np.random.default_rng(SEED)
    sources, targets = units(rng, sentences, dimension), units(rng, sentences, dimension)
    gold = rng.permutation(sentences)
    gold[1::2] = -1
    targets[gold[::2]] = near(rng, sources[::2])
    return Corpora(sources, targets, gold)


def products_alone(data: Corpora) -> Function:
    """Return the contender that computes the two matrix products of an exact search both ways, and nothing else."""

    def both() -> None:
        multiply(data.sources, data.targets)
        multiply(data.targets, data.sources)

    warm = partial(multiply, data.sources[:WARM], data.targets[:WARM])
    return Function("two matrix products alone", both, warm)


@dataclass(slots=True)
class Mining:
    """From vectors to pairs and threshold."""

    data: Corpora
    name: str = "k-NN both ways, margin, mining, threshold"
    #: Of each repeat.
    seconds: dict[str, list[float]] = field(default_factory=dict)
    neighbours: tuple[Neighbours, Neighbours] = field(init=False)

    def warm_up(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        search_both(self.data.sources[:WARM], self.data.targets[:WARM], NEIGHBOURS)

    def run(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        search = self._timed("k-NN both ways", lambda: search_both(self.data.sources, self.data.targets, NEIGHBOURS))
        scores = self._timed("margin", lambda: margin_scores(*search))
        mined = self._timed("mining", lambda: mine(*search, scores))
        self._timed("threshold", lambda: self.data.threshold(mined))
        self.neighbours = search

    def _timed(self, step: str, function: Callable[[], ResultT]) -> ResultT:
        begin = perf_counter()
        result = function()
        self.seconds.setdefault(step, []).append(perf_counter() - begin)
        return result


@dataclass(slots=True)
class Arrays:
    """Scoring and mining as the harness does them, given the neighbours."""

    forward: Neighbours
    backward: Neighbours
    name: str = "scoring and mining"
    mined: Mined = field(init=False)

    def warm_up(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        self.run()

    def run(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        self.mined = mine(self.forward, self.backward, margin_scores(self.forward, self.backward))


@dataclass(slots=True)
class Loops:
    """The same with a loop over pairs, the way the scripts of LASER and XTREME go about it."""

    data: Corpora
    forward: Neighbours
    backward: Neighbours
    name: str = "Python loops over pairs"
    mined: Mined = field(init=False)

    def warm_up(self) -> None:
        """See `benchmarks.core.timing.Contender`: a loop in Python has nothing to set up."""

    def run(self) -> None:
        """See `benchmarks.core.timing.Contender`."""
        sources, targets, _ = self.data
        means, other_means = self.forward.products.mean(axis=1), self.backward.products.mean(axis=1)
        scores = loop_scores(sources, targets, self.forward.indices, means, other_means)
        other_scores = loop_scores(targets, sources, self.backward.indices, other_means, means)
        self.mined = loop_pairs(
            np.concatenate([np.arange(len(sources)), _chosen(self.backward.indices, other_scores)]),
            np.concatenate([_chosen(self.forward.indices, scores), np.arange(len(targets))]),
            np.concatenate([scores.max(axis=1), other_scores.max(axis=1)]),
        )


def loop_scores(
    queries: Vectors,
    candidates: Vectors,
    found: NDArray[np.int64],
    means: NDArray[np.float32],
    other_means: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Return the ratio margin of each query with its neighbours (queries, k), one after the other."""
    scores = np.zeros(found.shape)
    for query in range(found.shape[0]):
        for rank in range(found.shape[1]):
            candidate = found[query, rank]
            product = queries[query].dot(candidates[candidate])
            scores[query, rank] = product / ((means[query] + other_means[candidate]) / 2)
    return scores


def loop_pairs(sources: NDArray[np.int64], targets: NDArray[np.int64], scores: NDArray[np.float64]) -> Mined:
    """Return the pairs by descending score whose sides are both free, one after the other."""
    seen_sources, seen_targets, taken = set(), set(), []
    for proposal in np.argsort(-scores, kind="stable"):
        source, target = sources[proposal], targets[proposal]
        if source not in seen_sources and target not in seen_targets:
            seen_sources.add(source)
            seen_targets.add(target)
            if scores[proposal] > 0:
                taken.append(proposal)
    return Mined(sources[taken], targets[taken], scores[taken])


def _chosen(indices: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.int64]:
    chosen: NDArray[np.int64] = indices[np.arange(len(indices)), scores.argmax(axis=1)]
    return chosen


def agreement(one: Mined, other: Mined) -> float:
    """Return the share of pairs that both have, of those that either has."""
    first, second = (set(zip(each.sources.tolist(), each.targets.tolist(), strict=True)) for each in (one, other))
    return len(first & second) / len(first | second) if first | second else 1.0


def measure_mining(sentences: int, dimension: int, repeats: int, progress: Progress) -> Measured:
    """Return what mining takes, against its products and against loops."""
    data = corpora(sentences, dimension)
    ours, baseline = Mining(data), products_alone(data)
    with progress.step("mining and its products", 2 * (repeats + 1), "runs") as advance:
        whole = alternate([baseline, ours], warmup=1, repeats=repeats, advance=advance)
    arrays, loops = Arrays(*ours.neighbours), Loops(data, *ours.neighbours)
    with progress.step("mining and loops, given the neighbours", 2 * (repeats + 1), "runs") as advance:
        given = alternate([loops, arrays], warmup=1, repeats=repeats, advance=advance)

    same = agreement(arrays.mined, loops.mined)
    score, loop_score = data.score(arrays.mined), data.score(loops.mined)
    work = f"{sentences:,} x {sentences:,} sentences, dimension {dimension}"
    steps = {step: median(values) for step, values in ours.seconds.items()}
    rows = [
        rate_row(
            f"{work}: {ours.name}",
            2 * sentences**2,
            "inner products/s",
            Side(ours.name, whole[ours.name], score),
            Side(baseline.name, whole[baseline.name], None),
            steps=steps,
            times_the_products=round(whole[ours.name].median / whole[baseline.name].median, 4),
            peak_gib=round(peak_gib(), 2),
        ),
        rate_row(
            f"{work}: {arrays.name}, given the neighbours",
            2 * sentences,
            "sentences/s",
            Side(arrays.name, given[arrays.name], score),
            Side(loops.name, given[loops.name], loop_score),
            equal_predictions=same,
        ),
    ]
    return Measured(
        rows, [_steps(work, steps, whole[baseline.name].median), *_verdicts(rows, len(arrays.mined.scores))]
    )


def _steps(work: str, steps: dict[str, float], baseline: float) -> str:
    rows = [[step, f"{seconds:.2f}", f"{seconds / baseline:.3f}"] for step, seconds in steps.items()]
    rows.append(["together", f"{sum(steps.values()):.2f}", f"{sum(steps.values()) / baseline:.3f}"])
    rows.append(["two matrix products alone", f"{baseline:.2f}", "1"])
    return f"{Table(work, ['step', 'seconds', 'times the products'], rows).text()}\n"


def _verdicts(rows: Sequence[Row], pairs: int) -> list[str]:
    whole, given = rows
    times, same = whole.details["times_the_products"], given.details["equal_predictions"]
    loops, arrays = (median(given.details["seconds"][side]) for side in ("baseline", "ours"))
    return [
        f"mining takes {times:.2f} times its two products; at most {PRODUCTS_AT_MOST}: "
        f"{'yes' if times <= PRODUCTS_AT_MOST else 'NO'}",
        f"scoring and mining take {arrays:.3f} s, loops {loops:.2f} s, {given.ratio:.0f} times as long; "
        f"at least {LOOPS_AT_LEAST:g}: {'yes' if given.ratio >= LOOPS_AT_LEAST else 'NO'}",
        f"the same {pairs:,} pairs: {'yes' if same == 1 else f'NO, {same:.4%} of them'}",
    ]
