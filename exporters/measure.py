"""What a graph loses against PyTorch in fp32: values, predictions and scores, for each script alone."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from exporters.samples import Answers, GateSample
from harness.artifacts.gate import ChanceRecord, ScriptRecord
from harness.core.features import Feature, pad_features
from harness.core.task import Outputs
from harness.core.tensors import GraphSignature, Tensors
from harness.evaluation.journal import pack, unpack
from harness.evaluation.workload import unanswered
from harness.inference.planner import BatchPlanner
from harness.statistics.bootstrap import Pair, paired_interval

#: Below this an output is the same for every row: float32 keeps about seven digits.
SPREAD = 1e-6

Infer: TypeAlias = Callable[[Tensors], Tensors]


def answers(infer: Infer, features: Iterable[Feature], pad_id: int, signature: GraphSignature) -> dict[bytes, Outputs]:
    """Return what a network answers for each row, in batches as an evaluation would send them."""
    rows = unanswered(list(features), set())
    found: dict[bytes, Outputs] = {}
    for batch in BatchPlanner().plan([len(row.input_ids) for row in rows]):
        chosen = [rows[index] for index in batch.rows]
        tensors = infer(pad_features(chosen, pad_id, signature.inputs, batch.width))
        lengths = [len(row.input_ids) for row in chosen]
        for row, size, blob in zip(chosen, lengths, pack(lengths, tensors, signature), strict=True):
            found[row.key] = unpack(blob, size, signature)
    return found


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
    def of(sample: GateSample, right: Answers, given: Answers) -> "SampleComparison":
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


def compare_script(cells: Sequence[SampleComparison]) -> ScriptRecord:
    """Return what one script lost; scores are means over its tasks and languages, in percent."""
    before = _mean([cell.sample.score(cell.right.sum(axis=0)) for cell in cells])
    after = _mean([cell.sample.score(cell.given.sum(axis=0)) for cell in cells])
    low, high = paired_interval([Pair(score=cell.sample.score, left=cell.right, right=cell.given) for cell in cells])
    return ScriptRecord(
        samples=[f"{cell.sample.name} {cell.sample.language}" for cell in cells],
        examples=sum(len(cell.right) for cell in cells),
        decisions=sum(cell.decisions for cell in cells),
        flips=sum(cell.flips for cell in cells) / max(1, sum(cell.decisions for cell in cells)),
        largest_difference=max(cell.difference for cell in cells),
        deviation=_mean([cell.deviation for cell in cells]),
        pytorch=before,
        graph=after,
        drop=before - after,
        drop_interval=(low, high),
    )


def unusable(given: Answers, signature: GraphSignature) -> list[str]:
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
            problems.append(f"{spec.name} is the same for all {len(rows)} rows")
    return problems


def beats_chance(samples: Sequence[GateSample], right: Answers, signature: GraphSignature) -> ChanceRecord:
    """Return whether PyTorch's answers are better than answers that no text changes, by a clear margin.

    Over all samples, or on the training set's own dev set: a model may be good there and transfer nothing.
    """
    if not samples:
        return ChanceRecord(above_chance=False, model=0.0, ignoring_the_text=0.0, gain_interval=(0.0, 0.0))
    blind = _ignoring_the_text(right, signature)
    pairs = [(sample, sample.counts(sample.predict(right)), sample.counts(sample.predict(blind))) for sample in samples]
    own = [pair for pair in pairs if pair[0].own]
    groups = [
        [Pair(score=sample.score, left=left, right=right) for sample, left, right in group]
        for group in (pairs, own)
        if group
    ]
    low, high = max(paired_interval(group) for group in groups)
    return ChanceRecord(
        above_chance=low > 0,
        model=_mean([sample.score(left.sum(axis=0)) for sample, left, _ in pairs]),
        ignoring_the_text=_mean([sample.score(other.sum(axis=0)) for sample, _, other in pairs]),
        gain_interval=(low, high),
    )


def _ignoring_the_text(right: Answers, signature: GraphSignature) -> dict[bytes, Outputs]:
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
