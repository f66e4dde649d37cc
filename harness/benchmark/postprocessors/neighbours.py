"""Nearest neighbours of unit vectors, exactly: the only module that imports faiss."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.benchmark.chance import EqualCandidates
from harness.core.errors import EndpointError, MissingExtra
from harness.core.examples import SentenceExample
from harness.core.features import Feature
from harness.core.task import Outputs

try:
    import faiss
except ImportError as error:
    raise MissingExtra(package="faiss", extra="cpu") from error

#: Inner products closer than this count as equal; float32 sums of a thousand products differ by less.
TIE = 1e-6
#: Which index wins a tie.
Prefer: TypeAlias = Literal["lowest", "highest"]

#: Neighbours fetched beyond those asked for: most ties end within them.
_SPARE = 8
#: Inner products held at a time for queries whose ties go on beyond what was fetched: 16 MiB.
_PRODUCTS = 2**22
#: Candidates that are searched at a time, 192 MiB at 768 dimensions.
_CANDIDATES = 2**16
#: Rows and columns whose products are computed together: 16 MiB, which a server's last cache holds.
_ROWS, _COLUMNS = 1024, 4096
#: Vectors that an error names.
_NAMED = 3
#: Where more than one product in so many may matter, the bars are raised before they are sorted.
_CROWD = 16
#: Queries that a GPU searches at a time, 256 MiB at 1,024 dimensions.
_GPU_QUERIES = 2**16
#: The most neighbours that faiss finds on a GPU (GPU_MAX_SELECTION_K).
_GPU_COUNT = 2048


class Neighbours(NamedTuple):
    """The nearest candidates of each query, best first."""

    #: (queries, count)
    indices: NDArray[np.int64]
    #: (queries, count): the inner products of the queries with them.
    products: NDArray[np.float32]


def backend() -> str:
    """Return what searches, as results name it: faiss with its version, and GPU where it has one.

    On a GPU the neighbours are those of the CPU: faiss computes fp32 there without TF32, so that the products of
    both differ by less than `TIE`, and ties are fetched and sorted here either way.
    """
    where = "GPU 0" if faiss.get_num_gpus() else "CPU"
    return f"faiss {faiss.__version__} ({where})"


def search(
    queries: NDArray[np.float32], candidates: NDArray[np.float32], count: int, prefer: Prefer = "lowest"
) -> Neighbours:
    """Return the nearest candidates of each query by inner product, or all where they are fewer.

    Exact search, ties by index: the best product opens a tie, those that are less than `TIE` below it
    belong to it, and the next one opens the next. faiss leaves the order of ties open and its CPU
    and GPU results differ there (faiss#3816), so every product that may yet tie is fetched and sorted here.

    Args:
        queries: (queries, dimension).
        candidates: (candidates, dimension).
        count: neighbours of each query.
        prefer: which index of a tie comes first.

    Raises:
        ValueError: `count` is below 1.
        EndpointError: a vector is not finite; names it by its number, from 0.
    """
    starts = range(0, len(candidates), _CANDIDATES)
    return search_blocks(queries, (candidates[start : start + _CANDIDATES] for start in starts), count, prefer)


def search_blocks(
    queries: NDArray[np.float32], blocks: Iterable[NDArray[np.float32]], count: int, prefer: Prefer = "lowest"
) -> Neighbours:
    """Return what `search` finds in the concatenated blocks, while it holds one of them at a time.

    Args:
        queries: (queries, dimension).
        blocks: the candidates in order, each (any number, dimension); they are read once.
        count: neighbours of each query.
        prefer: which index of a tie comes first; indices count on over the blocks.

    Raises:
        ValueError, EndpointError: see `search`.
    """
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    check_finite(queries, "query")
    best, before = _Best(len(queries), count, prefer), 0
    for block in blocks:
        check_finite(block, "candidate", before=before)
        for entries in _hits(queries, np.ascontiguousarray(block, dtype=np.float32), best):
            best.add(entries, candidate=before)
        before += len(block)
        # Or it would stay while the next one is made.
        del block
    return best.ranked(before)


def search_both(first: NDArray[np.float32], second: NDArray[np.float32], count: int) -> tuple[Neighbours, Neighbours]:
    """Return what `search` finds for `first` in `second`, and for `second` in `first`; ties by lowest index.

    faiss searches one way at a time. Here the inner products of a block serve both ways, which halves
    the work: nearly all of it is the matrix product. A GPU is so much faster that two searches cost less there.

    Args:
        first: (rows, dimension).
        second: (other rows, dimension).
        count: neighbours of each row.

    Raises:
        ValueError, EndpointError: see `search`.
    """
    check_finite(first, "query")
    check_finite(second, "candidate")
    if faiss.get_num_gpus():
        return search(first, second, count), search(second, first, count)
    forward, backward = _Best(len(first), count, "lowest"), _Best(len(second), count, "lowest")
    for row in range(0, len(first), _ROWS):
        rows = first[row : row + _ROWS]
        for column in range(0, len(second), _COLUMNS):
            products = rows @ second[column : column + _COLUMNS].T
            _take(forward, products, axis=1, query=row, candidate=column)
            _take(backward, products, axis=0, query=column, candidate=row)
    return forward.ranked(len(second)), backward.ranked(len(first))


@dataclass(frozen=True, slots=True)
class Nearest:
    """The ids of a query's nearest candidates, best first; a candidate's own prediction is empty."""

    chance: ClassVar[EqualCandidates] = EqualCandidates()

    count: int = 1
    #: Which of equal candidates comes first, by their order.
    prefer: Prefer = "lowest"

    def __call__(
        self, examples: Sequence[SentenceExample], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[tuple[str, ...]]:
        """See `harness.core.task.Postprocessor`."""
        queries = [number for number, example in enumerate(examples) if example.side == "query"]
        candidates = [number for number, example in enumerate(examples) if example.side == "candidate"]
        predictions: list[tuple[str, ...]] = [()] * len(examples)
        if queries:
            vectors = embeddings(outputs, queries)
            check_finite(vectors, "query", [examples[number].id for number in queries])
            parts = (candidates[start : start + _CANDIDATES] for start in range(0, len(candidates), _CANDIDATES))
            blocks = (([examples[number].id for number in part], embeddings(outputs, part)) for part in parts)
            for query, found in zip(queries, self.among(vectors, blocks), strict=True):
                predictions[query] = found
        return predictions

    def among(
        self, queries: NDArray[np.float32], blocks: Iterable[tuple[Sequence[str], NDArray[np.float32]]]
    ) -> list[tuple[str, ...]]:
        """See `harness.core.task.PoolSearch`."""
        ids: list[str] = []

        def vectors() -> Iterator[NDArray[np.float32]]:
            for names, block in blocks:
                check_finite(block, "candidate", names)
                ids.extend(names)
                yield block

        found = search_blocks(queries, vectors(), self.count, self.prefer)
        return [tuple(ids[candidate] for candidate in row) for row in found.indices]


def check_finite(
    vectors: NDArray[np.float32], side: str, names: Sequence[str] | None = None, *, before: int = 0
) -> None:
    """Refuse vectors with NaN or infinity: a search passes over such candidates without a word.

    Args:
        vectors: (vectors, dimension).
        side: what errors call one of them: query, candidate.
        names: the ids of the vectors; they are called by their numbers where None.
        before: how many vectors came before these.

    Raises:
        EndpointError: names three of them, and their number.
    """
    # One number a vector is looked at, and all of them only where that one is not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        doubtful = np.flatnonzero(~np.isfinite(vectors.sum(axis=1)))
    wrong = doubtful[~np.isfinite(vectors[doubtful]).all(axis=1)]
    if len(wrong):
        called = [repr(names[row]) if names is not None else str(before + row) for row in wrong[:_NAMED]]
        more = "" if len(wrong) <= _NAMED else f" and {len(wrong) - _NAMED:,} more"
        message = (
            f"NaN or infinity in the vector of {side} {', '.join(called)}{more}; export the model again with "
            f"`harness export --model NAME --force`, and evaluate it again"
        )
        raise EndpointError(message)


def embeddings(outputs: Sequence[Outputs], numbers: Sequence[int]) -> NDArray[np.float32]:
    """Return the sentence embeddings of some of the outputs (numbers, dimension), as a copy."""
    return np.stack([outputs[number]["embedding"] for number in numbers])


def normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale vectors (vectors, dimension) to length 1, in place, and return them; one of length 0 stays."""
    faiss.normalize_L2(vectors)
    return vectors


# What a search keeps


class _Entries(NamedTuple):
    """Products of single queries and candidates, aligned; both are counted from a block's first."""

    queries: NDArray[np.int64]
    candidates: NDArray[np.int64]
    products: NDArray[np.float32]


class _Best:
    """The best candidates of each query so far, and those that may yet tie with them."""

    def __init__(self, queries: int, count: int, prefer: Prefer) -> None:
        if count < 1:
            message = f"count must be at least 1, got {count}"
            raise ValueError(message)
        self.count, self.prefer = count, prefer
        self._sign = 1 if prefer == "lowest" else -1
        # By descending product; minus infinity and -1 stand where there is no candidate.
        self._products = np.full((queries, count + _SPARE), -np.inf, dtype=np.float32)
        self._indices = np.full((queries, count + _SPARE), -1, dtype=np.int64)

    def bars(self, start: int, queries: int) -> NDArray[np.float32]:
        """Return the lowest product with which a candidate after all others may come into each query's result.

        Where the lowest index is preferred, that is more than the worst of the best so far: what is
        not above it comes after them, tie or no tie.
        """
        worst = self._products[start : start + queries, self.count - 1]
        return np.nextafter(worst, np.float32(np.inf)) if self.prefer == "lowest" else _bar(worst)

    def add(self, entries: _Entries, query: int = 0, candidate: int = 0) -> None:
        """Take in what a block holds, and let go of what can no longer come into the result.

        Args:
            entries: no pair twice, nor in two calls.
            query: index of the block's first query.
            candidate: index of the block's first candidate.
        """
        marks = np.zeros(len(self._products), dtype=np.bool_)
        marks[entries.queries + query] = True
        touched = np.flatnonzero(marks)
        known = np.repeat(touched, self._products.shape[1])
        queries = np.concatenate((known, entries.queries + query))
        indices = np.concatenate((self._indices[touched].ravel(), entries.candidates + candidate))
        products = np.concatenate((self._products[touched].ravel(), entries.products))

        order = np.lexsort((-products, queries))
        queries, indices, products = queries[order], indices[order], products[order]
        leaders = products[_ranks(queries) == self.count - 1]
        kept = (products >= np.repeat(_bar(leaders), _lengths(queries))) & (indices >= 0)
        queries, indices, products = queries[kept], indices[kept], products[kept]
        ranks = _ranks(queries)
        if ranks.max(initial=0) >= self._products.shape[1]:
            # Of exactly equal products only the first `count` can come into a result, so copies do not pile up.
            order = np.lexsort((self._sign * indices, -products, queries))
            order = order[_ranks(queries[order], products[order]) < self.count]
            queries, indices, products = queries[order], indices[order], products[order]
            ranks = _ranks(queries)
            self._widen(int(ranks.max()) + 1)
        self._products[touched], self._indices[touched] = -np.inf, -1
        self._products[queries, ranks], self._indices[queries, ranks] = products, indices

    def entries(self) -> _Entries:
        """Return all that is kept."""
        queries, places = np.nonzero(self._indices >= 0)
        return _Entries(queries, self._indices[queries, places], self._products[queries, places])

    def _widen(self, width: int) -> None:
        """Make room for this many candidates of a query: a tie may have more than the spare ones."""
        missing = ((0, 0), (0, max(0, width - self._products.shape[1])))
        if missing[1][1]:
            self._products = np.pad(self._products, missing, constant_values=-np.inf)
            self._indices = np.pad(self._indices, missing, constant_values=-1)

    def ranked(self, candidates: int) -> Neighbours:
        """Return the neighbours of each query, ties in order.

        Args:
            candidates: how many there were in all.

        Raises:
            ValueError: a query has fewer neighbours than it must: its products overflow.
        """
        ties = np.zeros(self._products.shape, dtype=np.int64)
        opening = self._products[:, 0]
        for column in range(1, ties.shape[1]):
            opens = self._products[:, column] < _bar(opening)
            opening = np.where(opens, self._products[:, column], opening)
            ties[:, column] = ties[:, column - 1] + opens
        order = np.lexsort((self._sign * self._indices, ties), axis=1)[:, : min(self.count, candidates)]
        indices = np.take_along_axis(self._indices, order, axis=1)
        lacking = np.flatnonzero((indices < 0).any(axis=1))
        if len(lacking):
            message = f"query {lacking[0]} has too few neighbours: its products are not finite"
            raise ValueError(message)
        return Neighbours(indices, np.take_along_axis(self._products, order, axis=1))


def _bar(products: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the lowest product that ties with each."""
    return products - np.float32(TIE)


def _lengths(*keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the length of each run of equal keys."""
    changes = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1)) if len(keys[0]) else np.zeros(0, dtype=np.int64)
    return np.diff(starts, append=len(keys[0]))


def _ranks(*keys: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the place of each entry within its run of equal keys, from 0."""
    lengths = _lengths(*keys)
    return np.arange(len(keys[0])) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _take(best: _Best, products: NDArray[np.float32], axis: Literal[0, 1], query: int = 0, candidate: int = 0) -> None:
    """Take in all products of a block, whose candidates come after those that were taken in before.

    Args:
        best: prefers the lowest index.
        products: (rows, columns).
        axis: along which a query's candidates lie: 1 where the rows are the queries, 0 where the columns are.
        query: index of the block's first query.
        candidate: index of the block's first candidate.
    """
    above = products >= np.expand_dims(best.bars(query, products.shape[1 - axis]), axis)
    if _crowded(above) and products.shape[axis] >= _CROWD * best.count:
        # The count-th best of a sample is never above the count-th best of all.
        sample = products[:, ::_CROWD] if axis else products[::_CROWD]
        least = np.partition(sample, -best.count, axis=axis).take(-best.count, axis=axis)
        above &= products >= np.expand_dims(_bar(least), axis)
        if _crowded(above):
            # Most of them tie. Once the first half is taken in, little of the second can come before it.
            for part in np.array_split(products, 2, axis=axis):
                _take(best, part, axis, query, candidate)
                candidate += part.shape[axis]
            return
    rows, columns = np.divmod(np.flatnonzero(above), products.shape[1])
    queries, candidates = (rows, columns) if axis else (columns, rows)
    best.add(_Entries(queries, candidates, products[rows, columns]), query, candidate)


def _crowded(above: NDArray[np.bool_]) -> bool:
    return np.count_nonzero(above) > above.size // _CROWD


def _hits(queries: NDArray[np.float32], block: NDArray[np.float32], best: _Best) -> Iterator[_Entries]:
    """Yield whatever of a block may come into the result."""
    fetched = min(best.count + _SPARE, len(block))
    if not fetched or not len(queries):
        return
    if faiss.get_num_gpus():
        fetched = min(fetched, _GPU_COUNT)
        products, found = _knn_on_gpu(queries, block, fetched)
    else:
        products, found = faiss.knn(queries, block, fetched, metric=faiss.METRIC_INNER_PRODUCT)
    bars = best.bars(0, len(queries))
    if fetched >= best.count:
        bars = np.maximum(bars, _bar(products[:, best.count - 1]))
    # A tie that reaches the last one fetched may go on beyond it.
    whole = (products[:, -1] < bars) | (fetched == len(block))
    rows, columns = np.nonzero(whole[:, None] & (products >= bars[:, None]) & (found >= 0))
    yield _Entries(rows, found[rows, columns], products[rows, columns])
    cut = np.flatnonzero(~whole)
    step = max(1, _PRODUCTS // len(block))
    for start in range(0, len(cut), step):
        rows = cut[start : start + step]
        entries = _leading(queries[rows] @ block.T, best.count, best.prefer)
        yield entries._replace(queries=rows[entries.queries])


def _knn_on_gpu(
    queries: NDArray[np.float32], block: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return products and indices (queries, count) of the nearest candidates, searched on the first GPU."""
    resources = _resources()
    parts = [
        faiss.knn_gpu(
            resources,
            queries[start : start + _GPU_QUERIES],
            block,
            count,
            metric=faiss.METRIC_INNER_PRODUCT,
            device=0,
        )
        for start in range(0, len(queries), _GPU_QUERIES)
    ]
    products, found = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return products, found


@cache
def _resources() -> Any:
    """Return the GPU's scratch memory and streams, which take a second and a gigabyte to set up."""
    return faiss.StandardGpuResources()


def _leading(products: NDArray[np.float32], count: int, prefer: Prefer) -> _Entries:
    """Return those of all products (queries, candidates) that may come into the result, long ties cut short."""
    best = _Best(len(products), count, "lowest")
    if prefer == "lowest":
        _take(best, products, axis=1)
        return best.entries()
    _take(best, products[:, ::-1], axis=1)
    entries = best.entries()
    return entries._replace(candidates=products.shape[1] - 1 - entries.candidates)
