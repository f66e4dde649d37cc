"""What a graph changes against PyTorch in fp32: values, predictions and scores, for each script alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from exporters.samples import GateSample, SampleAnswers
from harness.artifacts.gate import ChanceRecord, ScriptRecord
from harness.core.task import Outputs
from harness.core.tensors import GraphSignature
from harness.statistics.clusters import connected
from harness.statistics.paired import Cell, difference

#: Below this an output is the same for every row: float32 keeps about seven digits.
SPREAD = 1e-6


@dataclass(frozen=True, slots=True)
class SampleComparison:
    """One sample, answered by PyTorch and by the graph."""

    sample: GateSample
    #: The metric's statistics, (examples, columns), of PyTorch and of the graph.
    right: NDArray[np.float64]
    given: NDArray[np.float64]
    decisions: int
    flips: int
    difference: float
    #: Standard deviation of PyTorch's outputs, which a difference is to be seen against.
    deviation: float

    @staticmethod
    def of(sample: GateSample, right: SampleAnswers, given: SampleAnswers) -> "SampleComparison":
        """Compare the answers of PyTorch (`right`) and of the graph (`given`) to one sample."""
        predictions = sample.predict(right), sample.predict(given)
        decided, others = ([sample.decisions(prediction) for prediction in side] for side in predictions)
        changed = [
            sum(a != b for a, b in zip(left, other, strict=True)) for left, other in zip(decided, others, strict=True)
        ]
        keys = [feature.key for feature in sample.rows()]
        values = np.concatenate([value.ravel() for key in keys for value in right[key].values()])
        answered = np.concatenate([value.ravel() for key in keys for value in given[key].values()])
        return SampleComparison(
            sample=sample,
            right=sample.counts(predictions[0]),
            given=sample.counts(predictions[1]),
            decisions=sum(map(len, decided)),
            flips=sum(changed),
            difference=float(np.abs(values - answered).max()),
            deviation=float(values.std()),
        )


def by_script(comparisons: Sequence[SampleComparison]) -> dict[str, list[SampleComparison]]:
    """Return the samples of each script."""
    groups: dict[str, list[SampleComparison]] = {}
    for comparison in comparisons:
        groups.setdefault(comparison.sample.script, []).append(comparison)
    return groups


def script_cells(comparisons: Sequence[SampleComparison]) -> dict[str, list[Cell]]:
    """Return the paired statistics of each script, PyTorch on the left; translations of an item are one cluster."""
    labels = connected([comparison.sample.keys for comparison in comparisons])
    cells: dict[str, list[Cell]] = {}
    for comparison, clusters in zip(comparisons, labels, strict=True):
        sample = comparison.sample
        cells.setdefault(sample.script, []).append(
            Cell(
                name=f"{sample.name} {sample.language}",
                score=sample.score,
                left=comparison.right,
                right=comparison.given,
                clusters=clusters,
                parts=max(1.0, comparison.decisions / max(1, sample.scored)),
            )
        )
    return cells


def describe_script(comparisons: Sequence[SampleComparison]) -> ScriptRecord:
    """Return what changed in one script; scores are means over its tasks and languages, in percent."""
    before = _mean([one.sample.score(one.right.sum(axis=0)) for one in comparisons])
    after = _mean([one.sample.score(one.given.sum(axis=0)) for one in comparisons])
    decisions = sum(one.decisions for one in comparisons)
    return ScriptRecord(
        samples=[f"{one.sample.name} {one.sample.language}" for one in comparisons],
        examples=sum(one.sample.scored for one in comparisons),
        decisions=decisions,
        flips=sum(one.flips for one in comparisons) / max(1, decisions),
        largest_difference=max(one.difference for one in comparisons),
        deviation=_mean([one.deviation for one in comparisons]),
        pytorch=before,
        graph=after,
        drop=before - after,
    )


def unusable(given: Mapping[bytes, Outputs], signature: GraphSignature) -> list[str]:
    """Return the outputs that are not finite, or the same for every row."""
    problems = []
    for spec in signature.outputs:
        rows = [outputs[spec.name] for outputs in given.values()]
        columns = spec.axes[-1] if isinstance(spec.axes[-1], int) else 1
        table = np.concatenate([row.reshape(-1, columns) for row in rows]) if rows else np.zeros((0, columns))
        if not np.isfinite(table).all():
            problems.append(
                f"{spec.name} has NaN or infinity in {(~np.isfinite(table)).any(axis=1).mean():.1%} of rows"
            )
        elif rows and float(np.ptp(table, axis=0).max()) < SPREAD:
            problems.append(f"{spec.name} is the same for all {len(rows):,} rows")
    return problems


def beats_chance(samples: Sequence[GateSample], right: SampleAnswers, signature: GraphSignature) -> ChanceRecord:
    """Return whether PyTorch's answers are better than answers that no text changes, by a clear margin.

    Over all samples, or on the training set's own dev set: a model may be good there and transfer nothing.
    """
    if not samples:
        return ChanceRecord(above_chance=False, model=0.0, ignoring_the_text=0.0, gain_interval=(0.0, 0.0))
    blind = _ignoring_the_text(right, signature)
    labels = connected([sample.keys for sample in samples])
    cells = [
        Cell(
            name=f"{sample.name} {sample.language}",
            score=sample.score,
            left=sample.counts(sample.predict(blind)),
            right=sample.counts(sample.predict(right)),
            clusters=clusters,
        )
        for sample, clusters in zip(samples, labels, strict=True)
    ]
    own = [cell for cell, sample in zip(cells, samples, strict=True) if sample.own]
    low, high = max(_gain(group) for group in (cells, own) if group)
    return ChanceRecord(
        above_chance=low > 0,
        model=_mean([cell.score(cell.right.sum(axis=0)) for cell in cells]),
        ignoring_the_text=_mean([cell.score(cell.left.sum(axis=0)) for cell in cells]),
        gain_interval=(low, high),
    )


def _gain(cells: Sequence[Cell]) -> tuple[float, float]:
    """Return the 95 % interval of the mean gain over cells; one cluster alone shows nothing."""
    if len({int(label) for cell in cells for label in cell.counted().clusters}) < 2:
        return 0.0, 0.0
    found = difference(cells)
    if found.error == 0:
        return found.value, found.value
    interval = found.interval()
    return interval.low, interval.high


def _ignoring_the_text(right: SampleAnswers, signature: GraphSignature) -> dict[bytes, Outputs]:
    """Return answers without any text in them: mean logits, no preferred position, vectors at random."""
    blank: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {}
    rng = np.random.default_rng(0)
    for spec in signature.outputs:
        width = spec.axes[-1]
        if not isinstance(width, int):
            blank[spec.name] = np.zeros_like
        elif spec.name == "embedding":
            blank[spec.name] = partial(_random_unit, rng)
        else:
            table = np.concatenate([outputs[spec.name].reshape(-1, width) for outputs in right.values()])
            blank[spec.name] = partial(_always, table.mean(axis=0))
    return {key: {name: blank[name](value) for name, value in outputs.items()} for key, outputs in right.items()}


def _always(value: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.broadcast_to(value, like.shape).copy()


def _random_unit(rng: np.random.Generator, like: NDArray[np.float32]) -> NDArray[np.float32]:
    drawn = rng.normal(size=like.shape).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn), dtype=np.float32)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
