"""Numbers with their units, and what a terminal and a file see of a step."""

import pytest

from harness.core import terminal
from harness.core.progress import Silent, counted
from harness.core.terminal import Terminal


@pytest.mark.parametrize(
    ("count", "units", "said"),
    [
        (1, "packages", "1 package"),
        (1, "machines", "1 machine"),
        (1, "batches", "1 batch"),
        (1, "languages", "1 language"),
        (1, "corpora", "1 corpus"),
        (1, "server", "1 server"),
        (0, "graphs", "0 graphs"),
        (2, "corpora", "2 corpora"),
        (3_000, "rows", "3,000 rows"),
    ],
)
def test_number_has_the_right_form_of_its_unit(count: int, units: str, said: str) -> None:
    assert counted(count, units) == said


def test_finished_step_is_one_line_outside_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_WORTH_SAYING", 0.0)
    with Terminal().step("measuring", 1, "machines") as advance:
        advance(1)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("measuring: 1 machine in 0.")


def test_silent_progress_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Silent().step("measuring", 1, "machines") as advance:
        advance(1)
    Silent().say("done")
    assert capsys.readouterr() == ("", "")
