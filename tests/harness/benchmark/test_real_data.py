"""The real data, where HARNESS_DATA names it: counts, and hashes of a few examples, never their text."""

import dataclasses
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark import finetunes, tasks
from harness.core.examples import scored
from harness.core.layout import Layout
from harness.evaluation.workload import Job, available

#: What the folder cannot have: PAN-X in Thai, three BUCC pairs, and Mewsli-X, which is put together from dumps.
ABSENT = {("panx", "th"), ("bucc2018", "de"), ("bucc2018", "fr"), ("bucc2018", "ru")}
CASES = [
    (name, code)
    for name in tasks.names()
    if name != "mewslix"
    for code in tasks.load(name).all_languages(None)
    if (name, code) not in ABSENT
]
#: Training sets of the target phase in English.
TRAINED = ("mnli", "qqp", "udpos", "panx", "squad", "tydiqa", "siqa", "copa", "lareqa")

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not os.environ.get("HARNESS_DATA"), reason="HARNESS_DATA names no folder of real data"),
]


def digest(example: Any) -> str:
    """Return a hash over the example's fields; sets are sorted, as their order changes from run to run."""
    fields = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in dataclasses.asdict(example).items()
    }
    return sha256(repr(fields).encode()).hexdigest()


@pytest.fixture(scope="module")
def real() -> Layout:
    return Layout.at(Path(os.environ["HARNESS_DATA"]))


@pytest.fixture(scope="module")
def read(real: Layout):
    held: dict[tuple[str, str], tuple[str, list]] = {}

    def examples(name: str, code: str) -> tuple[str, list]:
        if (name, code) not in held:
            held.clear()
            (job,), _ = available([Job(tasks.load(name), code, "test")], real)
            held[name, code] = job.split, job.read(real)
        return held[name, code]

    return examples


@pytest.mark.parametrize(("name", "code"), CASES)
def test_file_has_its_examples(read, golden, name: str, code: str) -> None:
    split, examples = read(name, code)
    golden("real_counts", f"{split} {len(scored(examples))}", name, code)


@pytest.mark.parametrize(("name", "code"), CASES)
def test_first_tenth_and_last_example_are_the_same_as_ever(read, golden, name: str, code: str) -> None:
    _, examples = read(name, code)
    golden("real_examples", [digest(examples[place]) for place in (0, 9, -1)], name, code)


@pytest.mark.parametrize("name", TRAINED)
def test_training_set_has_its_examples(real: Layout, golden, name: str) -> None:
    golden("real_counts", f"train {len(finetunes.load(name).train.read(real, 'en', 'train'))}", f"{name} train", "en")


def test_lareqa_searches_all_candidates(real: Layout) -> None:
    lareqa = tasks.load("lareqa")
    candidates = list(lareqa.pool.source.read(real, "test"))
    assert len({candidate.id for candidate in candidates}) == len(candidates) == lareqa.pool.official


@pytest.mark.parametrize("code", tasks.load("lareqa").languages["xtreme-r"])
def test_each_question_of_lareqa_has_an_answer_in_every_language(read, code: str) -> None:
    _, questions = read("lareqa", code)
    assert {len(question.gold) for question in questions} == {11}
