"""PyTorch against the exported graph on real rows; a graph past its tolerance is refused."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from exporters.measure import SPREAD
from exporters.modules import Decision, HeadModule, infer
from harness.core.errors import ArtifactError, EndpointError
from harness.core.features import Feature, pad_features
from harness.core.tensors import GraphSignature, Tensors, TensorSpec
from harness.inference.endpoints.onnx import OnnxEndpoint

#: One output's answers, one array for each row, without the rows axis and without padding.
Answers: TypeAlias = list[NDArray[np.float32]]


def parity(
    module: HeadModule, graph: Path, rows: Sequence[NDArray[np.int64]], pad_id: int, tolerance: float
) -> dict[str, Any]:
    """Compare a graph with its module, and return the differences as manifests hold them.

    The reference is PyTorch on each row alone. The graph answers each row alone and all of them
    padded in one batch, so the difference shows a wrong mask as well as wrong numbers.

    Args:
        module: what the graph was exported from, in eval mode.
        graph: the ONNX file.
        rows: token ids of real sentences, each (tokens,); at least two that differ.
        pad_id: fills the padded batch.
        tolerance: the largest absolute difference that any unpadded position may have.

    Raises:
        ArtifactError: the graph does not load or answer, is past the tolerance, gives NaN, or
            gives the same for every row.
    """
    if len({row.tobytes() for row in rows}) < 2:
        message = f"parity needs at least two different rows, got {len(rows)}"
        raise ValueError(message)
    lengths = [len(row) for row in rows]
    try:
        with OnnxEndpoint(graph) as endpoint:
            signature, backend = endpoint.signature, endpoint.backend
            # Any types show whether the graph reads them as PyTorch does; 1 in the second half is enough.
            features = [Feature(number, row, token_types=_halves(len(row))) for number, row in enumerate(rows)]
            batches = [pad_features([feature], pad_id, signature.inputs) for feature in features]
            together = pad_features(features, pad_id, signature.inputs)
            alone = [_cut(endpoint.infer(batch), signature, [n]) for batch, n in zip(batches, lengths, strict=True)]
            padded = _cut(endpoint.infer(together), signature, lengths)
    except EndpointError as error:
        message = f"{error}; nothing was written"
        raise ArtifactError(message) from error
    reference = _merge([_cut(infer(module, batch), signature, [n]) for batch, n in zip(batches, lengths, strict=True)])
    single = _merge(alone)
    outputs = {}
    for spec in signature.outputs:
        for source, answers in (("PyTorch", reference), ("the graph", single), ("the graph, padded,", padded)):
            _check_answers(spec, answers[spec.name], reference[spec.name], source)
        outputs[spec.name] = _compare(spec, single, padded, reference, tolerance, _DECIDE[module.decision])
    return {"rows": len(rows), "lengths": lengths, "tolerance": tolerance, "runtime": backend, "outputs": outputs}


def _halves(tokens: int) -> NDArray[np.int64]:
    """Return token types (tokens,): 0 in the first half, 1 in the second."""
    return (np.arange(tokens) >= tokens // 2).astype(np.int64)


def _cut(answers: Tensors, signature: GraphSignature, lengths: Sequence[int]) -> dict[str, Answers]:
    """Return each output's rows without their padding."""
    missing = [spec.name for spec in signature.outputs if spec.name not in answers]
    if missing:
        message = f"the graph has outputs that PyTorch lacks: {', '.join(missing)}; nothing was written"
        raise ArtifactError(message)
    return {
        spec.name: [
            answers[spec.name][index, :length] if spec.per_token else answers[spec.name][index]
            for index, length in enumerate(lengths)
        ]
        for spec in signature.outputs
    }


def _merge(parts: Sequence[Mapping[str, Answers]]) -> dict[str, Answers]:
    return {name: [answer for part in parts for answer in part[name]] for name in parts[0]}


def _check_answers(spec: TensorSpec, answers: Answers, reference: Answers, source: str) -> None:
    """Refuse shapes that differ, NaN, and an output that no row changes."""
    for index, (answer, expected) in enumerate(zip(answers, reference, strict=True)):
        if answer.shape != expected.shape:
            message = (
                f"{source} gives {spec.name} with shape {answer.shape} on probe {index}, "
                f"PyTorch gives {expected.shape}; nothing was written"
            )
            raise ArtifactError(message)
        if not np.isfinite(answer).all():
            message = f"{source} gives NaN or infinity in {spec.name} on probe {index}; nothing was written"
            raise ArtifactError(message)
    columns = spec.axes[-1] if isinstance(spec.axes[-1], int) else 1
    table = np.concatenate([answer.reshape(-1, columns) for answer in answers])
    if float(np.ptp(table, axis=0).max()) < SPREAD:
        message = (
            f"{source} gives the same {spec.name} on all {len(answers)} probes, so the checkpoint learned nothing "
            f"or the graph is damaged; nothing was written"
        )
        raise ArtifactError(message)


def _compare(
    spec: TensorSpec,
    single: Mapping[str, Answers],
    padded: Mapping[str, Answers],
    reference: Mapping[str, Answers],
    tolerance: float,
    decide: Callable[[Answers], NDArray[np.int64]],
) -> dict[str, float]:
    right = reference[spec.name]
    differences = [
        max(float(np.abs(answers[spec.name][index] - right[index]).max()) for answers in (single, padded))
        for index in range(len(right))
    ]
    largest = max(differences)
    if largest > tolerance:
        probe = differences.index(largest)
        message = (
            f"graph differs from PyTorch by {largest:.2g} in {spec.name} on probe {probe} "
            f"({len(differences)} probes), allowed {tolerance:.2g}; nothing was written"
        )
        raise ArtifactError(message)
    decided = decide(right)
    equal = [float((decide(answers[spec.name]) == decided).mean()) for answers in (single, padded)]
    return {"max_difference": largest, "equal_decisions": min(equal)}


def _labels(answers: Answers) -> NDArray[np.int64]:
    """Return the best label of each row, or of each token."""
    return np.concatenate([np.atleast_1d(answer.argmax(axis=-1)) for answer in answers])


def _positions(answers: Answers) -> NDArray[np.int64]:
    """Return the best position of each row."""
    return np.array([answer.argmax() for answer in answers])


def _orders(answers: Answers) -> NDArray[np.int64]:
    """Return which of each two neighbouring rows scores higher: choices of an example are neighbours."""
    scores = np.concatenate(answers)
    return (scores[1:] > scores[:-1]).astype(np.int64)


def _neighbours(answers: Answers) -> NDArray[np.int64]:
    """Return the nearest other row of each."""
    vectors = np.stack(answers)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    return np.asarray(similarity.argmax(axis=1))


_DECIDE: Mapping[Decision, Callable[[Answers], NDArray[np.int64]]] = {
    "label": _labels,
    "order": _orders,
    "position": _positions,
    "neighbour": _neighbours,
}
