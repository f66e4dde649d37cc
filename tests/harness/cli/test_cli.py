"""A wrong call of the command is answered with a sentence, never with a traceback."""

from collections.abc import Callable

import pytest
import typer

from harness.core.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tasks", "--nosuch"], "No such option: --nosuch"),
        (["nosuch"], "No such command 'nosuch'"),
        (["train", "a.toml", "--seed", "-1"], "Invalid value for '--seed'"),
        (["train", "a.toml", "--max-steps", "0"], "Invalid value for '--max-steps'"),
        (["train", "a.toml", "--max-steps", "few"], "Invalid value for '--max-steps'"),
        (["train"], "Missing argument"),
    ],
)
def test_wrong_call_is_told_with_exit_code_2(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert call(*arguments) == 2
    assert said in capsys.readouterr().err


def test_error_of_the_harness_is_one_sentence(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        message = "this is wrong; do that"
        raise UsageError(message)

    monkeypatch.setattr("harness.commands.listing.task_table", fail)
    assert call("tasks") == 2
    assert capsys.readouterr().err == "harness: this is wrong; do that\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, typer.Abort])
def test_interrupted_command_ends_with_130(
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    def stop() -> None:
        raise error

    monkeypatch.setattr("harness.commands.listing.task_table", stop)
    assert call("tasks") == 130
    assert capsys.readouterr().err == "harness: stopped\n"


def test_help_ends_with_0(call: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "--help") == 0
    assert "--dry-run" in capsys.readouterr().out
