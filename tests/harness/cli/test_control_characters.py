"""Names, ids and errors with control characters: a terminal gets none of them from a command."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from harness.core.errors import EndpointError

#: ESC with a colour, CSI of eight bits, OSC with BEL, carriage return, override of the direction.
RAW = "\x1b[31mred \x9b2J \x1b]0;title\x07 back\r \u202eevil"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    "arguments",
    [
        ("eval", "--model", RAW),
        ("predict", "--model", RAW, "--task", "xnli", "a", "b"),
        ("tasks", RAW),
        ("data", "check", "--tasks", RAW),
        ("export", "--model", RAW),
        ("tasks", f"--{RAW}"),
        (RAW,),
    ],
    ids=["eval", "predict", "tasks", "data", "export", "option", "command"],
)
def test_wrong_names_reach_no_terminal_raw(
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    assert call(*arguments) == 2
    written = capsys.readouterr()
    assert not OBEYED.search(written.out + written.err)
    assert "evil" in written.err


def test_error_of_a_server_reaches_no_terminal_raw(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        message = f"the server says {RAW}"
        raise EndpointError(message)

    monkeypatch.setattr("harness.commands.listing.task_table", fail)
    assert call("tasks") == 2
    assert capsys.readouterr().err == (
        "harness: the server says "
        r"\u001b[31mred \u009b2J \u001b]0;title\u0007 back\u000d \u202eevil" + "\n"
    )


@pytest.mark.parametrize("raw", ["\x9b2J", "\x07", "\r", "\u202e"])
def test_ids_and_texts_of_data_reach_no_terminal_raw(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, raw: str
) -> None:
    def explain(name: str) -> str:
        typer.echo(f"{name} {raw}", err=True)
        return f"{name} {raw}"

    monkeypatch.setattr("harness.commands.listing.explain", explain)
    assert call("tasks", f"id {raw}") == 0
    written = capsys.readouterr()
    assert not OBEYED.search(written.out + written.err)
    assert "\\u" in written.out
    assert "\\u" in written.err
