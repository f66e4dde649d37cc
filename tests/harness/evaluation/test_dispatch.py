import threading
import time
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from callable_endpoint import CallableEndpoint

from harness.benchmark import tasks
from harness.core.errors import EndpointError
from harness.core.examples import PairExample
from harness.core.features import Feature
from harness.core.heads import SequenceClassification
from harness.core.progress import Silent
from harness.core.tensors import Tensors
from harness.evaluation.dispatch import _Answer, _BusyTime, answer
from harness.evaluation.journal import Journal
from harness.evaluation.workload import FeaturizedJob, FeaturizedPool, GraphWorkload, Job
from harness.inference.endpoints import NotFiniteAnswer
from harness.inference.planner import Batch, BatchPlanner


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


def fails_on(poison: int, value: float) -> Callable[[Tensors], Tensors]:
    """A graph whose logits are not finite for rows that begin with an id."""

    def function(inputs: Tensors) -> Tensors:
        logits = np.zeros((len(inputs["input_ids"]), 3), dtype=np.float32)
        logits[inputs["input_ids"][:, 1] == poison] = value
        return {"logits": logits}

    return function


def refuses(poison: int) -> Callable[[Tensors], Tensors]:
    """A server that refuses a whole batch for one of its rows, as the served backend does."""

    def function(inputs: Tensors) -> Tensors:
        if (inputs["input_ids"][:, 1] == poison).any():
            msg = "Triton at a:8001: model 'tiny' answers with NaN or infinity in 'logits'"
            raise NotFiniteAnswer(msg)
        return {"logits": np.zeros((len(inputs["input_ids"]), 3), dtype=np.float32)}

    return function


@pytest.mark.parametrize(
    "function",
    [fails_on(7, np.nan), fails_on(7, np.inf), fails_on(7, -np.inf), refuses(7)],
    ids=["NaN", "infinity", "minus infinity", "refused by the server"],
)
def test_faults_nan_names_task_language_example_and_host(
    graph_of: Callable, tmp_path, function: Callable[[Tensors], Tensors]
) -> None:
    """faults.md, NaN: "a batch of 5 rows" is not enough to find the sentence."""
    artifact = graph_of("mnli")
    rows = [Feature(place, np.array([0, first, 2])) for place, first in enumerate((5, 7, 6, 8, 9))]
    examples = [PairExample(f"x{place}", "a", "b", "neutral") for place in range(5)]
    job = Job(tasks.load("xnli"), "sw", "test")
    workload = GraphWorkload(artifact, [job], featurized=[FeaturizedJob(job, examples, rows)])
    plan = BatchPlanner().plan([3] * 5)
    endpoint = CallableEndpoint(artifact.signature, function, backend="Triton at a:8001")
    with (
        Journal(tmp_path / "journal.sqlite") as journal,
        pytest.raises(EndpointError) as caught,
    ):
        answer(artifact, rows, plan, endpoint, 1, journal, Silent(), workload.names)
    message = str(caught.value)
    assert "graph 'tiny-mnli-fp32' in Triton at a:8001 answered with NaN or infinity for " in message
    assert "task 'xnli', language 'sw', test example 'x1'" in message
    assert message.count("example") == 1, "the other four rows are right"
    assert "`harness export --model tiny --force`" in message


def test_faults_nan_in_padding_alone_is_no_fault(graph_of: Callable, tmp_path) -> None:
    artifact = graph_of("udpos")

    def padded(inputs: Tensors) -> Tensors:
        logits = np.zeros((*inputs["input_ids"].shape, 17), dtype=np.float32)
        logits[inputs["attention_mask"] == 0] = np.nan
        return {"logits": logits}

    rows = [Feature(0, np.array([0, 5, 6, 2])), Feature(1, np.array([0, 2]))]
    with Journal(tmp_path / "journal.sqlite") as journal:
        plan = [Batch((0, 1), 4)]
        answer(artifact, rows, plan, CallableEndpoint(artifact.signature, padded), 1, journal, Silent())
        assert len(journal.answered(artifact.graph_sha256)) == 2


def test_faults_nan_in_a_candidate_of_a_pool_names_the_candidate(graph_of: Callable, tmp_path) -> None:
    artifact = graph_of("lareqa")
    task = tasks.load("mewslix")
    rows = [Feature(0, np.array([0, 5, 2])), Feature(1, np.array([0, 7, 2]))]
    pool = FeaturizedPool(task, "test", ids=["Q1", "Q2"], keys=[row.key for row in rows])
    workload = GraphWorkload(artifact, [], pools=[pool])

    def function(inputs: Tensors) -> Tensors:
        found = np.ones((len(inputs["input_ids"]), 4), dtype=np.float32)
        found[inputs["input_ids"][:, 1] == 7] = np.nan
        return {"embedding": found}

    endpoint = CallableEndpoint(artifact.signature, function)
    with (
        Journal(tmp_path / "journal.sqlite") as journal,
        pytest.raises(EndpointError, match=r"infinity for task 'mewslix', test candidate 'Q2';"),
    ):
        answer(artifact, rows, [Batch((0, 1), 3)], endpoint, 1, journal, Silent(), workload.names)


def test_faults_nan_keeps_what_was_answered_beside_it(graph_of: Callable, tmp_path) -> None:
    artifact = graph_of("mnli")
    rows = [Feature(place, np.array([0, first, 2])) for place, first in enumerate((7, 5, 6))]
    plan = [Batch((place,), 3) for place in range(3)]
    with Journal(tmp_path / "journal.sqlite") as journal:
        with pytest.raises(EndpointError, match="for a row of 3 tokens;"):
            answer(
                artifact, rows, plan, CallableEndpoint(artifact.signature, fails_on(7, np.nan)), 1, journal, Silent()
            )
        assert rows[0].key not in journal.answered(artifact.graph_sha256)
