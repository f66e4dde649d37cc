import argparse
from collections.abc import Callable

import pytest

from benchmarks.core import options as core_options
from benchmarks.core.options import add_output, bench_parser, positive
from harness.core.errors import MissingExtra


@pytest.fixture
def options() -> Callable[..., argparse.Namespace]:
    parser = argparse.ArgumentParser()
    add_output(parser)
    return lambda *arguments: parser.parse_args([str(argument) for argument in arguments])


def test_a_format_that_is_not_drawn_is_refused_before_measuring(options, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options("--plot", "ratios.jpg")
    assert "'ratios.jpg' must end in .png or .svg" in capsys.readouterr().err


def test_a_missing_plotter_is_reported_before_measuring(options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_options, "PLOTTER", "nosuchpackage")
    with pytest.raises(MissingExtra, match=r"'nosuchpackage' is not installed; .*\[bench\]"):
        options("--plot", "ratios.png")


@pytest.mark.parametrize("text", ["0", "-3"])
def test_counts_start_at_1(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is below 1"):
        positive(text)


def test_help_ends_with_the_examples() -> None:
    said = bench_parser("padding", "What it is.\n\n::\n\n    harness bench padding --model M\n").format_help()
    assert said.startswith("usage: harness bench padding")
    assert said.endswith("examples:\n\n    harness bench padding --model M\n")
