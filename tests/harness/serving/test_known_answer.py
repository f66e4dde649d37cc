import json
from pathlib import Path

import pytest

from harness.core.errors import EndpointError
from harness.serving.repository.known_answer import KnownAnswer, read_known_answer

NUMBERS = KnownAnswer(inputs={"input_ids": [[0, 5, 2]]}, outputs={"logits": [[0.5, -1.0, 2.0]]})


def outputs_of(**fields: object) -> dict[str, list[object]]:
    return {"answer": [json.dumps(fields)]}


TEXT = KnownAnswer(
    inputs={"text": [["a"]]}, outputs={"answer": [outputs_of(label="neutral", probabilities={"x": 0.25})["answer"]]}
)


def test_answer_is_read_as_it_was_written(tmp_path: Path) -> None:
    TEXT.write(tmp_path / "a.json")
    assert read_known_answer(tmp_path / "a.json") == TEXT


@pytest.mark.parametrize("content", ["", "[]", '{"inputs": {}}'])
def test_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(EndpointError, match=r"a\.json holds no known answer .* `harness export`"):
        read_known_answer(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("outputs", "wrong"),
    [
        ({"logits": [0.5, -1.0, 2.0]}, ""),
        ({"logits": [[0.5, -1.0, 2.001]]}, ""),
        ({"logits": [0.5, -1.0, 2.1]}, "output 'logits' differs by 0.1 from the answer in process"),
        ({"logits": [0.5, -1.0]}, "output 'logits' has 2 values instead of 3"),
        ({"logits": [0.5, float("nan"), 2.0]}, "output 'logits' differs by nan"),
        ({"other": [0.5]}, "output 'logits' is missing"),
    ],
)
def test_numbers_are_compared_within_a_tolerance(outputs: dict[str, list[object]], wrong: str) -> None:
    assert NUMBERS.difference(outputs).startswith(wrong)
    assert bool(NUMBERS.difference(outputs)) == bool(wrong)


@pytest.mark.parametrize(
    ("outputs", "wrong"),
    [
        (outputs_of(probabilities={"x": 0.2501}, label="neutral"), ""),
        (outputs_of(probabilities={"x": 0.3}, label="neutral"), "output 'answer' differs by 0.05"),
        (
            outputs_of(probabilities={"x": 0.25}, label="other"),
            "output 'answer' has 'other' where the answer in process has",
        ),
        (outputs_of(probabilities={"y": 0.25}, label="neutral"), "output 'answer' has 'y' where"),
        (outputs_of(probabilities={"x": 0.25}), "output 'answer' has 3 values instead of 5"),
        ({"answer": ["no JSON"]}, "output 'answer' has 1 values instead of 5"),
    ],
)
def test_answers_to_texts_are_compared_by_what_they_say(outputs: dict[str, list[object]], wrong: str) -> None:
    assert TEXT.difference(outputs).startswith(wrong)
    assert bool(TEXT.difference(outputs)) == bool(wrong)


@pytest.mark.parametrize(
    ("outputs", "missing"),
    [
        ({"logits": [9.0, 9.0, 9.0]}, ""),
        ({"logits": [9.0, 9.0]}, "output 'logits' has 2 values instead of 3"),
        ({"logits": [9.0, float("inf"), 9.0]}, "output 'logits' has values that are not finite"),
        ({}, "output 'logits' is missing"),
    ],
)
def test_in_use_an_answer_only_has_to_be_whole(outputs: dict[str, list[object]], missing: str) -> None:
    assert NUMBERS.gap(outputs) == missing
