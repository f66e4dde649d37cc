import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.core.options import add_output
from benchmarks.core.report import finish, guarded, tables, write
from benchmarks.core.rows import Row, Side, rate_row
from benchmarks.core.timing import Timing
from harness.core.errors import UsageError


def row(**changes) -> Row:
    ours, theirs = Side("ours", Timing((2.0, 1.0, 3.0)), 51.5), Side("theirs", Timing((8.0, 6.0, 7.0)), 51.5)
    return rate_row("work", 700, "tokens/s", ours, theirs, **changes)


@pytest.fixture
def options() -> Callable[..., argparse.Namespace]:
    parser = argparse.ArgumentParser()
    add_output(parser)
    return lambda *arguments: parser.parse_args([str(argument) for argument in arguments])


def test_file_has_what_the_rows_depend_on(tmp_path: Path) -> None:
    write([row()], tmp_path / "rows.json")
    found = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert {"machine", "packages", "git", "load_at_start", "rows"} <= found.keys()
    assert found["rows"] == [row().to_json()]


def test_works_are_titles_of_their_baselines() -> None:
    lines = tables([row()]).split("\n")
    assert lines[0] == "work, tokens/s"
    assert lines[2].split() == ["theirs", "3.50", "x", "350", "100%", "100", "29%", "51.50", "51.50"]


def test_a_row_without_score_prints_a_dash() -> None:
    ours, theirs = Side("ours", Timing((1.0,)), None), Side("theirs", Timing((1.0,)), None)
    assert tables([rate_row("work", 1, "rows/s", ours, theirs)]).endswith("-       -")


def test_a_users_mistake_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        message = "no model 'x'"
        raise UsageError(message)

    assert guarded(main) == 2
    assert capsys.readouterr().err == "benchmarks: no model 'x'\n"


def test_a_row_without_target_is_neither_reached_nor_missed() -> None:
    found = row().to_json()
    assert (found["target"], found["reached"]) == (None, None)
    assert "target" not in tables([row()])


@pytest.mark.parametrize(("target", "reached", "said"), [(3.5, True, "3.50 x reached"), (3.6, False, "3.60 x MISSED")])
def test_the_target_is_reported(target: float, reached: bool, said: str) -> None:
    found = row(target=target)
    assert (found.to_json()["target"], found.to_json()["reached"]) == (target, reached)
    assert tables([found]).endswith(said)


def test_rows_with_and_without_target_share_a_table() -> None:
    assert [line.split()[-1] for line in tables([row(target=2.0), row()]).split("\n")[1:]] == ["target", "reached", "-"]


def test_output_goes_nowhere_unless_an_option_says_so(options, capsys: pytest.CaptureFixture[str]) -> None:
    finish([row()], options(), ["a note"])
    said = capsys.readouterr().out
    assert said.startswith("work, tokens/s\n")
    assert said.endswith("in the minute before\na note\n")


def test_rows_are_written_and_drawn_where_the_options_say(options, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = tmp_path / "rows.json", tmp_path / "ratios.png"
    finish([row()], options("--json", files[0], "--plot", files[1]))
    assert json.loads(files[0].read_text(encoding="utf-8"))["rows"] == [row().to_json()]
    assert files[1].read_bytes().startswith(b"\x89PNG")
