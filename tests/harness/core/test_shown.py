"""What a terminal would obey is written as escapes, whoever wrote it."""

import io
import json
import sys

import pytest
from rich.console import Console

from harness.core.output import only_shown, shown, unguarded
from harness.core.terminal import Terminal

#: What a terminal obeys, and how it is written.
OBEYED = {
    "\x1b": r"\u001b",
    "\x1b[2J": r"\u001b[2J",
    "\x9b31m": r"\u009b31m",
    "\x1b]0;title\x07": r"\u001b]0;title\u0007",
    "\x9d0;title\x9c": r"\u009d0;title\u009c",
    "\x07": r"\u0007",
    "\r": r"\u000d",
    "\x00": r"\u0000",
    "\x7f": r"\u007f",
    "\u202e": r"\u202e",
    "\u2066": r"\u2066",
}


@pytest.mark.parametrize(("raw", "written"), OBEYED.items(), ids=list(OBEYED.values()))
def test_what_a_terminal_obeys_is_written_as_an_escape_that_json_reads(raw: str, written: str) -> None:
    assert shown(f"a{raw}b") == f"a{written}b"
    assert json.loads(f'"{shown(raw)}"') == raw


def test_texts_of_any_script_stay_as_they_are() -> None:
    text = "окно\tنافذة\u200f חלון\u200e తలుపు 😀 e\u0301 می\u200cروم\n"
    assert shown(text) == text


@pytest.mark.parametrize("raw", OBEYED, ids=list(OBEYED.values()))
def test_both_streams_are_guarded_inside_of_the_block_only(raw: str, capsys: pytest.CaptureFixture[str]) -> None:
    streams = sys.stdout, sys.stderr
    with only_shown():
        sys.stdout.write(f"out {raw}\n")
        sys.stderr.writelines(["error ", raw])
        Terminal().say(f"status {raw}")
    assert (sys.stdout, sys.stderr) == streams
    written = capsys.readouterr()
    assert written.out == f"out {OBEYED[raw]}\n"
    assert written.err == f"error {OBEYED[raw]}status {OBEYED[raw]}\n"


def test_bars_still_move_the_cursor_and_their_names_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with only_shown():
        assert unguarded(sys.stderr) is stream
        terminal = Terminal()
        terminal._console = Console(file=unguarded(sys.stderr), force_terminal=True, width=120, highlight=False)
        with terminal.step("rows of \x1b]0;title\x07", total=2, unit="rows") as advance:
            advance(2)
    assert "\x1b[" in stream.getvalue()
    assert "\x1b]" not in stream.getvalue()
    assert r"\u001b]0;title\u0007" in stream.getvalue()
