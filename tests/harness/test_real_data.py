"""The real data, where HARNESS_DATA names it: counts, and hashes of a few examples, never their text."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from harness import tasks
from harness.data import Layout
from harness.examples import scored

#: Tasks that are counted, whether or not this version declares more.
COUNTED = ("xnli", "udpos", "xquad", "xcopa", "tatoeba")
CASES = [(name, code) for name in COUNTED for code in tasks.load(name).all_languages(None)]

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not os.environ.get("HARNESS_DATA"), reason="HARNESS_DATA names no folder of real data"),
]


@pytest.fixture(scope="module")
def read():
    layout = Layout.at(Path(os.environ["HARNESS_DATA"]))
    held: dict[tuple[str, str], list] = {}

    def examples(name: str, code: str) -> list:
        if (name, code) not in held:
            held.clear()
            held[name, code] = tasks.load(name).source.read(layout, code, "test")
        return held[name, code]

    return examples


@pytest.mark.parametrize(("name", "code"), CASES)
def test_file_has_its_examples(read, golden, name: str, code: str) -> None:
    golden("real_counts", len(scored(read(name, code))), name, code)


@pytest.mark.parametrize(("name", "code"), CASES)
def test_first_tenth_and_last_example_are_the_same_as_ever(read, golden, name: str, code: str) -> None:
    examples = read(name, code)
    digests = [sha256(repr(examples[place]).encode()).hexdigest() for place in (0, 9, -1)]
    golden("real_examples", digests, name, code)
