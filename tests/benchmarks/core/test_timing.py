from dataclasses import dataclass

import pytest

from benchmarks.core.timing import Function, Timing, alternate, measure


@dataclass
class Recorder:
    name: str
    calls: list[str]

    def warm_up(self) -> None:
        self.calls.append(f"warm {self.name}")

    def run(self) -> None:
        self.calls.append(self.name)


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


def test_progress_counts_every_run() -> None:
    reported: list[int] = []
    alternate([Recorder("A", []), Recorder("B", [])], warmup=1, repeats=2, advance=reported.append)
    assert sum(reported) == 6


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
