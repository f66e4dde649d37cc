import threading
import time
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from callable_endpoint import CallableEndpoint

from harness.core.features import Feature
from harness.core.heads import SequenceClassification
from harness.core.progress import Silent
from harness.core.tensors import Tensors
from harness.evaluation.dispatch import _Answer, _BusyTime, answer
from harness.evaluation.journal import Journal
from harness.inference.planner import BatchPlanner


@pytest.mark.parametrize(
    ("calls", "added"),
    [
        ([(0, 2), (2, 5)], [2, 3]),
        ([(0, 4), (1, 6)], [4, 2]),
        ([(0, 6), (1, 4), (5, 8)], [6, 0, 2]),
        ([(0, 1), (9, 10)], [1, 1]),
    ],
)
def test_each_moment_counts_once(calls: list[tuple[float, float]], added: list[float]) -> None:
    busy = _BusyTime()
    assert [busy.add(_Answer({}, *call)) for call in calls] == added


def slow(inputs: Tensors) -> Tensors:
    time.sleep(0.02)
    return {"logits": np.zeros((len(inputs["input_ids"]), 3), dtype=np.float32)}


@pytest.mark.parametrize("concurrency", [1, 3])
def test_graph_seconds_never_exceed_the_clock(graph_of: Callable, tmp_path, concurrency: int) -> None:
    rows = [Feature(number, np.array([0, 17, *[5] * number, 2])) for number in range(9)]
    artifact = graph_of("mnli")
    plan = BatchPlanner(max_rows=1).plan([len(row.input_ids) for row in rows])
    begin = time.perf_counter()
    with Journal(tmp_path / "journal.sqlite") as journal:
        endpoint = CallableEndpoint(artifact.signature, slow, concurrency)
        answer(artifact, rows, plan, endpoint, 1, journal, Silent())
        reported = journal.padding()["graph_seconds"]
    assert 0 < reported <= time.perf_counter() - begin + 0.001


def test_as_many_calls_are_in_flight_as_the_endpoint_takes(graph_of: Callable, tmp_path) -> None:
    together = threading.Barrier(3, timeout=30)

    def meeting(inputs: Tensors) -> Tensors:
        together.wait()
        return slow(inputs)

    rows = [Feature(number, np.array([0, 17, *[5] * number, 2])) for number in range(6)]
    artifact = graph_of("mnli")
    plan = BatchPlanner(max_rows=1).plan([len(row.input_ids) for row in rows])
    with Journal(tmp_path / "journal.sqlite") as journal:
        answer(artifact, rows, plan, CallableEndpoint(artifact.signature, meeting, 3), 1, journal, Silent())
        assert len(journal.answered(artifact.graph_sha256)) == 6


def test_graph_with_token_types_gets_them(graph_of: Callable, tmp_path) -> None:
    given: list[Tensors] = []

    def watched(inputs: Tensors) -> Tensors:
        given.append(inputs)
        return slow(inputs)

    rows = [Feature(0, np.array([2, 5, 3, 6, 3]), token_types=np.array([0, 0, 0, 1, 1])), Feature(1, np.array([2, 3]))]
    plain = graph_of("mnli")
    signature = SequenceClassification(("a", "b", "c")).signature(4, token_types=True)
    artifact = replace(plain, manifest=msgspec.structs.replace(plain.manifest, signature=signature))
    plan = BatchPlanner().plan([len(row.input_ids) for row in rows])
    for each in (plain, artifact):
        with Journal(tmp_path / f"{len(each.signature.inputs)}.sqlite") as journal:
            answer(each, rows, plan, CallableEndpoint(each.signature, watched), 1, journal, Silent())
    assert [list(inputs) for inputs in given] == [
        ["input_ids", "attention_mask"], ["input_ids", "attention_mask", "token_type_ids"],
    ]  # fmt: skip
    assert given[1]["token_type_ids"].tolist() == [[0, 0, 0, 1, 1], [0] * 5]
