"""The script of README's picture."""

import struct

import pytest
from outside_tools import need

from benchmarks.picture import draw
from harness.core.errors import UsageError


def test_the_first_screen_is_drawn_in_its_size(tmp_path) -> None:
    need("chromium", "chromium")
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>t</title><body style='background:#08f'>", encoding="utf-8")
    assert draw(page, tmp_path / "made" / "p.png", 320, 200) > 100
    header = (tmp_path / "made" / "p.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:24]) == (320, 200)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["p.png"]


def test_a_page_that_is_not_there_is_named_with_the_command_that_makes_it(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"page.html does not exist; write it with `harness report --output"):
        draw(tmp_path / "page.html", tmp_path / "p.png", 320, 200)
