import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.core import options as core_options
from benchmarks.core.options import add_output, positive
from benchmarks.core.report import finish, guarded, tables, write
from benchmarks.core.rows import Row, Side, figure, limit_row, rate_row, share_row
from benchmarks.core.timing import Function, Timing, alternate, measure
from harness.core.errors import MissingExtra, UsageError


@dataclass
class Recorder:
    name: str
    calls: list[str]

    def warm_up(self) -> None:
        self.calls.append(f"warm {self.name}")

    def run(self) -> None:
        self.calls.append(self.name)


def row(**changes) -> Row:
    ours, theirs = Side("ours", Timing((2.0, 1.0, 3.0)), 51.5), Side("theirs", Timing((8.0, 6.0, 7.0)), 51.5)
    return rate_row("work", 700, "tokens/s", ours, theirs, **changes)


def test_contenders_take_turns() -> None:
    calls: list[str] = []
    alternate([Recorder("A", calls), Recorder("B", calls)], warmup=1, repeats=2)
    assert calls == ["warm A", "warm B", "A", "B", "A", "B"]


def test_every_repeat_is_kept() -> None:
    timings = alternate([Recorder("A", []), Recorder("B", [])], warmup=0, repeats=3)
    assert {name: len(timing.seconds) for name, timing in timings.items()} == {"A": 3, "B": 3}


def test_warm_ups_are_not_timed() -> None:
    assert len(measure(lambda: None, warmup=5, repeats=2).seconds) == 2


def test_functions_warm_up_by_running() -> None:
    calls: list[int] = []
    measure(lambda: calls.append(1), warmup=2, repeats=3)
    assert len(calls) == 5


def test_progress_is_told_of_every_run() -> None:
    told: list[int] = []
    alternate([Recorder("A", []), Recorder("B", [])], warmup=1, repeats=2, advance=told.append)
    assert sum(told) == 6


@pytest.mark.parametrize(("warmup", "repeats"), [(0, 0), (-1, 1)], ids=["no repeat", "negative warm-up"])
def test_counts_that_make_no_sense_are_refused(warmup: int, repeats: int) -> None:
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        measure(lambda: None, warmup=warmup, repeats=repeats)


def test_contenders_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different names"):
        alternate([Function("A", int), Function("A", int)], warmup=0, repeats=1)


def test_median_is_the_middle_repeat() -> None:
    assert Timing((5.0, 1.0, 2.0)).median == 2.0


def test_spread_is_the_range_over_the_median() -> None:
    assert Timing((5.0, 1.0, 2.0)).spread == 2.0


def test_ratio_is_that_of_the_rates() -> None:
    made = row()
    assert (made.ours, made.baseline_value, made.ratio) == (350.0, 100.0, 3.5)


def test_rows_start_with_the_five_common_keys() -> None:
    assert list(row().to_json())[:5] == ["work", "baseline", "ratio", "score_baseline", "score_ours"]


def test_rows_carry_their_further_keys() -> None:
    found = row(weights="random").to_json()
    assert {"unit", "ours", "baseline_value", "spreads", "repeats", "weights"} <= found.keys()


def test_file_places_the_rows(tmp_path: Path) -> None:
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
def test_the_target_is_told(target: float, reached: bool, said: str) -> None:
    found = row(target=target)
    assert (found.to_json()["target"], found.to_json()["reached"]) == (target, reached)
    assert tables([found]).endswith(said)


def test_rows_with_and_without_target_share_a_table() -> None:
    assert [line.split()[-1] for line in tables([row(target=2.0), row()]).split("\n")[1:]] == ["target", "reached", "-"]


def test_the_ratio_of_a_limit_is_the_limit_over_ours() -> None:
    found = limit_row("work", "seconds", [0.5, 0.125, 0.25], 0.375)
    assert (found.baseline, found.ours, found.ratio, found.reached) == ("at most 0.375 seconds", 0.25, 1.5, True)
    assert found.to_json()["ratio_is"] == "limit over ours"


def test_a_limit_that_is_passed_is_missed() -> None:
    assert limit_row("work", "seconds", [0.31], 0.3).reached is False


@pytest.mark.parametrize(("part", "reached"), [(8, True), (7, False)])
def test_a_share_must_be_whole(part: int, reached: bool) -> None:
    found = share_row("work", "% of the rows", part, 8)
    assert (found.ours, found.reached) == (100 * part / 8, reached)


@pytest.mark.parametrize(
    ("value", "said"), [(1234.5, "1,234"), (99.94, "99.9"), (9.9996, "10.000"), (1.0034, "1.003"), (0.0, "0.000")]
)
def test_small_figures_keep_their_digits(value: float, said: str) -> None:
    assert figure(value) == said


@pytest.fixture
def options() -> Callable[..., argparse.Namespace]:
    parser = argparse.ArgumentParser()
    add_output(parser)
    return lambda *arguments: parser.parse_args([str(argument) for argument in arguments])


def test_output_goes_nowhere_unless_it_is_told(options, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_format_that_is_not_drawn_is_refused_before_measuring(options, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options("--plot", "ratios.jpg")
    assert "'ratios.jpg' must end in .png or .svg" in capsys.readouterr().err


def test_a_missing_plotter_is_told_before_measuring(options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_options, "PLOTTER", "nosuchpackage")
    with pytest.raises(MissingExtra, match=r"'nosuchpackage' is not installed; .*\[bench\]"):
        options("--plot", "ratios.png")


@pytest.mark.parametrize("text", ["0", "-3"])
def test_counts_start_at_1(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is below 1"):
        positive(text)
