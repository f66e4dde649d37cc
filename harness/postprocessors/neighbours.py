"""Nearest neighbours of unit vectors, exactly: the only door to faiss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import MissingExtra
from harness.examples import SentenceExample
from harness.features import Feature
from harness.task import Outputs

try:
    import faiss
except ImportError as error:
    raise MissingExtra(package="faiss", extra="cpu") from error

#: Inner products closer than this count as equal; float32 sums of a thousand products differ by less.
TIE = 1e-6


def search(
    queries: NDArray[np.float32], candidates: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the nearest candidates of each query (queries, count) and their inner products.

    Exact search; equal products go to the lowest index. faiss leaves the order of ties open and
    its CPU and GPU results differ there (faiss#3816), so a few more are fetched and sorted here.
    """
    index = faiss.IndexFlatIP(candidates.shape[1])
    index.add(np.ascontiguousarray(candidates, dtype=np.float32))
    extra = min(len(candidates), count + 8)
    products, found = index.search(np.ascontiguousarray(queries, dtype=np.float32), extra)
    # A run of products, each closer than TIE to the one before, is one tie.
    ties = np.cumsum(np.diff(products, axis=1, prepend=products[:, :1]) < -TIE, axis=1)
    order = np.lexsort((found, ties), axis=1)[:, :count]
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(products, order, axis=1)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The ids of a query's nearest candidates, best first; a candidate's own prediction is empty."""

    count: int = 1

    def __call__(
        self, examples: Sequence[SentenceExample], features: Sequence[Feature], outputs: Sequence[Outputs]
    ) -> Sequence[tuple[str, ...]]:
        """See `harness.task.Postprocessor`."""
        vectors = np.stack([output["embedding"] for output in outputs])
        queries = [number for number, example in enumerate(examples) if example.side == "query"]
        candidates = [number for number, example in enumerate(examples) if example.side == "candidate"]
        found, _ = search(vectors[queries], vectors[candidates], min(self.count, len(candidates)))
        predictions: list[tuple[str, ...]] = [()] * len(examples)
        for query, row in zip(queries, found, strict=True):
            predictions[query] = tuple(examples[candidates[candidate]].id for candidate in row)
        return predictions
