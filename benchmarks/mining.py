"""Mining of translation pairs, against its bare matrix products and against loops; search among a million candidates.

::

    python -m benchmarks.mining --sentences 100000 --json FILE
    python -m benchmarks.mining --search

The vectors are random, with noisy translations planted among them.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks import runner
from harness.benchmark.postprocessors.mining import Mined, choose_threshold, margin_scores, mine
from harness.benchmark.postprocessors.neighbours import Neighbours, normalise, search_blocks, search_both
from harness.core.progress import Progress
from harness.core.tables import Table
from harness.core.terminal import Terminal

Vectors: TypeAlias = NDArray[np.float32]
ResultT = TypeVar("ResultT")

#: As BUCC is mined.
NEIGHBOURS = 4
#: As Mewsli-X is scored: mentions and candidates of its test set, and the ranks that count.
MENTIONS, ENTITIES, RANKS = 14_624, 1_003_893, 20
#: What the project promises: at most so many times the products alone, and so many times as fast as loops.
PRODUCTS_AT_MOST = 1.5
LOOPS_AT_LEAST = 20.0
#: Rows and columns of a bare product: the fastest of those tried, from 1,024 x 1,024 to 4,096 x 20,000.
ROWS, COLUMNS = 1024, 4096
#: Vectors on each side of a warm-up.
WARM = 2048
#: Candidates of a block that is read from disk.
BLOCK = 50_000
#: Queries whose neighbours are computed once more, from all their products.
CHECKED = 16
SEED = 0


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
    """Return two corpora; every second source has a translation, at a random place.

    Its cosine is between 0.1 and 0.9, so that some are lost among the others: the best of 100,000 random
    cosines in 768 dimensions is about 0.16.
    """
    rng = np.random.default_rng(SEED)
    sources, targets = units(rng, sentences, dimension), units(rng, sentences, dimension)
    gold = rng.permutation(sentences)
    gold[1::2] = -1
    targets[gold[::2]] = near(rng, sources[::2])
    return Corpora(sources, targets, gold)


def units(rng: np.random.Generator, count: int, dimension: int) -> Vectors:
    """Return random unit vectors (count, dimension)."""
    return normalise(rng.standard_normal((count, dimension), dtype=np.float32))


def near(rng: np.random.Generator, vectors: Vectors) -> Vectors:
    """Return a unit vector for each, their cosines about uniform between 0.1 and 0.9."""
    cosines = rng.uniform(0.1, 0.9, (len(vectors), 1)).astype(np.float32)
    return normalise(cosines * vectors + np.sqrt(1 - cosines**2) * units(rng, *vectors.shape))


def peak_gib() -> float:
    """Return the most memory that this process has had resident, in GiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == "VmHWM":
            return int(value.split()[0]) / 2**20
    message = "/proc/self/status has no VmHWM; run this on Linux"
    raise OSError(message)


# Mining: the contenders


@dataclass(slots=True)
class Products:
    """The two matrix products of an exact search both ways, and nothing else."""

    data: Corpora
    name: str = "two matrix products alone"

    def warm_up(self) -> None:
        """See `runner.Contender`."""
        multiply(self.data.sources[:WARM], self.data.targets[:WARM])

    def run(self) -> None:
        """See `runner.Contender`."""
        multiply(self.data.sources, self.data.targets)
        multiply(self.data.targets, self.data.sources)


def multiply(first: Vectors, second: Vectors) -> None:
    """Compute every inner product, block by block, and look at none."""
    for row in range(0, len(first), ROWS):
        for column in range(0, len(second), COLUMNS):
            np.matmul(first[row : row + ROWS], second[column : column + COLUMNS].T)


@dataclass(slots=True)
class Mining:
    """From vectors to pairs and threshold."""

    data: Corpora
    name: str = "k-NN both ways, margin, mining, threshold"
    #: Of each repeat.
    seconds: dict[str, list[float]] = field(default_factory=dict)
    neighbours: tuple[Neighbours, Neighbours] = field(init=False)

    def warm_up(self) -> None:
        """See `runner.Contender`."""
        search_both(self.data.sources[:WARM], self.data.targets[:WARM], NEIGHBOURS)

    def run(self) -> None:
        """See `runner.Contender`."""
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
        """See `runner.Contender`."""
        self.run()

    def run(self) -> None:
        """See `runner.Contender`."""
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
        """See `runner.Contender`: a loop in Python has nothing to set up."""

    def run(self) -> None:
        """See `runner.Contender`."""
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


@dataclass(frozen=True, slots=True)
class Measured:
    """The rows of a benchmark and the lines under them."""

    rows: Sequence[runner.Row]
    lines: Sequence[str]


def measure_mining(sentences: int, dimension: int, repeats: int, progress: Progress) -> Measured:
    """Return what mining takes, against its products and against loops."""
    data = corpora(sentences, dimension)
    ours, baseline = Mining(data), Products(data)
    with progress.step("mining and its products", 2 * (repeats + 1), "runs") as advance:
        whole = runner.alternate([baseline, ours], warmup=1, repeats=repeats, advance=advance)
    arrays, loops = Arrays(*ours.neighbours), Loops(data, *ours.neighbours)
    with progress.step("mining and loops, given the neighbours", 2 * (repeats + 1), "runs") as advance:
        given = runner.alternate([loops, arrays], warmup=1, repeats=repeats, advance=advance)

    same = agreement(arrays.mined, loops.mined)
    score, loop_score = data.score(arrays.mined), data.score(loops.mined)
    work = f"{sentences:,} x {sentences:,} sentences, dimension {dimension}"
    steps = {step: median(values) for step, values in ours.seconds.items()}
    rows = [
        runner.rate_row(
            f"{work}: {ours.name}",
            2 * sentences**2,
            "inner products/s",
            runner.Side(ours.name, whole[ours.name], score),
            runner.Side(baseline.name, whole[baseline.name], None),
            steps=steps,
            times_the_products=round(whole[ours.name].median / whole[baseline.name].median, 4),
            peak_gib=round(peak_gib(), 2),
        ),
        runner.rate_row(
            f"{work}: {arrays.name}, given the neighbours",
            2 * sentences,
            "sentences/s",
            runner.Side(arrays.name, given[arrays.name], score),
            runner.Side(loops.name, given[loops.name], loop_score),
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


def _verdicts(rows: Sequence[runner.Row], pairs: int) -> list[str]:
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


# Search


@dataclass(slots=True)
class Search:
    """Search among candidates on disk, of which one block is mapped at a time."""

    queries: Vectors
    path: Path
    candidates: int
    name: str = "search"
    found: Neighbours = field(init=False)
    #: After the first run, before any other contender's.
    peak_gib: float = 0.0

    def warm_up(self) -> None:
        """See `runner.Contender`."""
        search_blocks(self.queries[:WARM], [self.queries[:WARM]], RANKS)

    def run(self) -> None:
        """See `runner.Contender`."""
        self.found = search_blocks(self.queries, self.blocks(), RANKS)
        self.peak_gib = self.peak_gib or peak_gib()

    def blocks(self) -> Iterator[Vectors]:
        """Yield the candidates; a block's pages count as resident as long as its map is open."""
        shape = self.queries.shape[1]
        for start in range(0, self.candidates, BLOCK):
            rows = min(BLOCK, self.candidates - start)
            yield np.memmap(self.path, np.float32, "r", offset=4 * shape * start, shape=(rows, shape))


@dataclass(slots=True)
class SearchProduct:
    """The matrix product of a search, and nothing else."""

    search: Search
    name: str = "the matrix product alone"

    def warm_up(self) -> None:
        """See `runner.Contender`."""
        multiply(self.search.queries[:WARM], self.search.queries[:WARM])

    def run(self) -> None:
        """See `runner.Contender`."""
        for block in self.search.blocks():
            multiply(self.search.queries, block)


def write_candidates(
    path: Path, candidates: int, dimension: int, places: NDArray[np.int64], rng: np.random.Generator
) -> Vectors:
    """Write random unit vectors block by block, and return a vector near each of those at some places.

    Args:
        path: the file, which holds the float32 values and nothing else.
        candidates: how many.
        dimension: of the vectors.
        places: sorted indices of candidates, (queries,).
        rng: where the vectors come from.
    """
    queries = []
    with path.open("wb") as stream:
        for start in range(0, candidates, BLOCK):
            block = units(rng, min(BLOCK, candidates - start), dimension)
            stream.write(block.data)
            first, last = np.searchsorted(places, [start, start + len(block)])
            queries.append(near(rng, block[places[first:last] - start]))
    return np.concatenate(queries)


def right(search: Search) -> bool:
    """Return whether the neighbours of some queries are those with the largest of all products."""
    chosen = np.linspace(0, len(search.queries) - 1, CHECKED).astype(np.int64)
    products = np.concatenate([search.queries[chosen] @ block.T for block in search.blocks()], axis=1)
    expected = np.argsort(-products, axis=1, kind="stable")[:, :RANKS]
    return bool((search.found.indices[chosen] == expected).all())


def measure_search(
    queries: int, candidates: int, dimension: int, repeats: int, folder: Path, progress: Progress
) -> Measured:
    """Return what a search among candidates on disk takes, and the memory it needs."""
    rng = np.random.default_rng(SEED)
    path = folder / "candidates.f32"
    places = np.linspace(0, candidates - 1, queries).astype(np.int64)
    ours = Search(write_candidates(path, candidates, dimension, places, rng), path, candidates)
    baseline = SearchProduct(ours)
    with progress.step("search and its product", 2 * (repeats + 1), "runs") as advance:
        timings = runner.alternate([ours, baseline], warmup=1, repeats=repeats, advance=advance)
    planted, correct = float((ours.found.indices[:, 0] == places).mean()), right(ours)
    row = runner.rate_row(
        f"{queries:,} queries, {candidates:,} candidates on disk, dimension {dimension}, {RANKS} neighbours",
        queries,
        "queries/s",
        runner.Side(ours.name, timings[ours.name], 100 * planted),
        runner.Side(baseline.name, timings[baseline.name], None),
        times_the_product=round(timings[ours.name].median / timings[baseline.name].median, 4),
        candidates_gib=round(path.stat().st_size / 2**30, 2),
        peak_gib=round(ours.peak_gib, 2),
        right=correct,
    )
    lines = [
        f"search took {timings[ours.name].median:.1f} s, its product alone {timings[baseline.name].median:.1f} s",
        f"peak resident memory {ours.peak_gib:.2f} GiB, with {row.details['candidates_gib']} GiB of candidates on disk",
        f"planted candidate comes first: {planted:.1%} of queries",
        f"neighbours of {CHECKED} queries are those of all their products: {'yes' if correct else 'NO'}",
    ]
    return Measured([row], lines)


# Command line


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write and draw the rows where the options say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mining", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sentences", type=runner.positive, default=100_000, help="of each language; 100000")
    parser.add_argument("--dimension", type=runner.positive, default=768, help="of the vectors; 768")
    parser.add_argument("--repeats", type=runner.positive, default=1, help="timed rounds; 1")
    parser.add_argument("--search", action="store_true", help="search in the shape of Mewsli-X instead of mining")
    parser.add_argument("--queries", type=runner.positive, default=MENTIONS, help=f"of --search; {MENTIONS}")
    parser.add_argument("--candidates", type=runner.positive, default=ENTITIES, help=f"of --search; {ENTITIES}")
    parser.add_argument("--folder", type=Path, help="for the candidates of --search; the system's temporary folder")
    runner.add_output(parser)
    options = parser.parse_args(arguments)
    if options.search:
        with TemporaryDirectory(prefix="harness-bench-", dir=options.folder) as folder:
            found = measure_search(
                options.queries, options.candidates, options.dimension, options.repeats, Path(folder), Terminal()
            )
    else:
        found = measure_mining(options.sentences, options.dimension, options.repeats, Terminal())
    meaning = "share of planted candidates that come first" if options.search else "F1 of the pairs"
    runner.finish(found.rows, options, [*found.lines, f"scores are the {meaning}, percent"])


if __name__ == "__main__":
    raise SystemExit(runner.guarded(main))
