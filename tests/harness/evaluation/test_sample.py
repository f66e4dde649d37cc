"""`--sample`: examples drawn at random, the same positions in parallel files, and never taken for the whole file."""

from pathlib import Path

import pytest

from harness.benchmark import tasks
from harness.core.errors import UsageError
from harness.core.examples import Sample, ids_sha256, is_scored
from harness.evaluation.request import EvaluationRequest
from harness.evaluation.resolve import _sample
from harness.evaluation.workload import Job


def request(**changes: object) -> EvaluationRequest:
    fields = {
        "models": ("tiny",), "tasks": ("xnli",), "suite": None, "languages": (), "scripts": (), "split": "test",
        "data": None, "endpoint": None, "variant": "fp32", "limit": None, "output": None,
    }  # fmt: skip
    return EvaluationRequest(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def files(write) -> None:
    for code in ("ru", "zh"):
        rows = (f"{code} {number}\tb\t{('neutral', 'entailment')[number % 2]}\n" for number in range(50))
        write(f"xnli/test-{code}.tsv", "".join(rows))


def drawn(layout, code: str, sample: Sample) -> list[str]:
    return [example.id for example in Job(tasks.load("xnli"), code, "test", sample=sample).read(layout)]


def test_parallel_files_give_the_same_positions_in_file_order(files, layout) -> None:
    found = drawn(layout, "ru", Sample(20))
    assert len(found) == 20
    assert [int(name) for name in found] == sorted(int(name) for name in found)
    assert found == drawn(layout, "zh", Sample(20))


def test_another_seed_draws_others(files, layout) -> None:
    assert drawn(layout, "ru", Sample(20)) == drawn(layout, "ru", Sample(20, seed=1))
    assert drawn(layout, "ru", Sample(20)) != drawn(layout, "ru", Sample(20, seed=2))


def test_every_example_is_drawn_as_often(files, layout) -> None:
    counts = dict.fromkeys(drawn(layout, "ru", Sample(50)), 0)
    for seed in range(200):
        for name in drawn(layout, "ru", Sample(10, seed)):
            counts[name] += 1
    assert min(counts.values()) > 20
    assert max(counts.values()) < 65


def test_a_file_of_fewer_examples_is_taken_whole(files, layout) -> None:
    assert len(drawn(layout, "ru", Sample(60))) == 50


def test_retrieval_draws_queries_and_keeps_every_candidate(write, layout) -> None:
    write("tatoeba/tatoeba.rus-eng.rus", "1\n2\n3\n")
    write("tatoeba/tatoeba.rus-eng.eng", "a\nb\nc\n")
    examples = Job(tasks.load("tatoeba"), "ru", "test", sample=Sample(1)).read(layout)
    assert sum(not is_scored(example) for example in examples) == 3
    assert sum(is_scored(example) for example in examples) == 1


def test_sample_and_limit_are_refused_together() -> None:
    with pytest.raises(UsageError, match="--limit 3 and --sample 5 were both given"):
        _sample(request(limit=3, sample=5), [tasks.load("xnli")])


def test_a_seed_without_a_sample_is_refused() -> None:
    with pytest.raises(UsageError, match="--sample-seed 2 draws nothing without --sample"):
        _sample(request(sample_seed=2), [tasks.load("xnli")])


def test_mining_is_refused_as_its_pairs_come_from_whole_files() -> None:
    with pytest.raises(UsageError, match="--sample 5 cannot draw examples of bucc2018"):
        _sample(request(sample=5), [tasks.load("xnli"), tasks.load("bucc2018")])


def test_a_request_without_a_sample_is_written_as_before_there_were_any() -> None:
    assert "sample" not in request().to_json("tiny", Path("data"))
    assert request(sample=5).to_json("tiny", Path("data"))["sample_seed"] == 1


def test_rows_of_a_sample_have_a_key_of_their_own() -> None:
    whole, part = (Job(tasks.load("xnli"), "ru", "test", sample=sample).partly for sample in (None, Sample(5)))
    assert whole == {"limit": None}
    assert part == {"limit": None, "count": 5, "seed": 1}


def test_ids_digest_depends_on_order_and_names() -> None:
    assert len({ids_sha256(ids) for ids in (["1", "2"], ["2", "1"], ["12"], [])}) == 4
