import ast
from pathlib import Path
from typing import Any

import pytest

from benchmarks.core import plots
from benchmarks.core.plots import Point, best, frontier, latencies, ratios
from benchmarks.core.rows import Row, Side, rate_row, share_row
from benchmarks.core.timing import Timing
from harness.core.errors import MissingExtra

BENCHMARKS = Path(plots.__file__).parent


def rows(**changes: Any) -> list[Row]:
    ours, theirs = Side("ours", Timing((1.0,)), 51.5), Side("a baseline with a long name " * 4, Timing((3.0,)), 51.25)
    fast = rate_row("a work " * 30, 700, "tokens/s", ours, theirs, target=2.0)
    slow = rate_row("a work " * 30, 700, "tokens/s", theirs, ours, target=2.0)
    return [fast, slow, share_row("nothing", "% of the rows", 0, 4)]


def points() -> list[Point]:
    return [
        Point(variant, script, score, rate)
        for script, score in (("Latn", 70.0), ("Cyrl", 60.0), ("Arab", 50.0), ("Deva", 40.0), ("Thai", 30.0))
        for variant, rate in (("fp32", 800.0), ("int8", 1682.0))
    ]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Catch figures where they would be saved."""
    pytest.importorskip("matplotlib")
    caught: list[Any] = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: caught.append(figure))
    return caught


def texts(figure: Any) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize(("draw", "values"), [(ratios, rows()), (frontier, points())], ids=["ratios", "frontier"])
def test_the_same_values_give_the_same_bytes(draw, values, suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first, second = tmp_path / f"first{suffix}", tmp_path / "new" / f"second{suffix}"
    draw(values, first)
    draw(values, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")
    assert [path.name for path in second.parent.iterdir()] == [second.name]


def test_other_values_give_another_image(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    ratios(rows(), tmp_path / "all.png")
    ratios(rows()[:1], tmp_path / "one.png")
    assert (tmp_path / "all.png").read_bytes() != (tmp_path / "one.png").read_bytes()


def test_labels_hold_ratio_scores_and_target(drawn) -> None:
    ratios(rows(), Path("unused.png"))
    said = texts(drawn[0])
    assert "3.00 x   ours 700   score 51.50, theirs 51.25   target 2 x reached" in said
    assert "0.33 x   ours 233   score 51.25, theirs 51.50   target 2 x MISSED" in said


def test_every_bar_ends_at_its_ratio(drawn) -> None:
    ratios(rows(), Path("unused.png"))
    (axes,) = drawn[0].axes
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == pytest.approx([3.0, 1 / 3, plots.LEAST])
    low, high = axes.get_xlim()
    assert low < plots.LEAST
    assert high > 3.0


def test_what_misses_its_target_has_another_color(drawn) -> None:
    from matplotlib.colors import to_hex

    ratios(rows(), Path("unused.png"))
    colors = [to_hex(bar.get_facecolor()).upper() for bar in drawn[0].axes[0].patches]
    assert colors == [plots.REACHED, plots.MISSED, plots.MISSED]


def test_no_text_is_cut_or_overlaps_another(drawn) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    ratios(rows(), Path("unused.png"))
    canvas = FigureCanvasAgg(drawn[0])
    canvas.draw()
    (axes,) = drawn[0].axes
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in [*axes.texts, *axes.get_yticklabels()]]
    whole = drawn[0].get_tightbbox(canvas.get_renderer()).padded(0.01)
    dpi = drawn[0].dpi
    for place, box in enumerate(boxes):
        assert whole.x0 * dpi <= box.x0
        assert box.x1 <= whole.x1 * dpi
        assert not any(box.overlaps(other) for other in boxes[:place])


def test_each_script_has_a_panel_and_each_variant_a_mark(drawn) -> None:
    frontier(points(), Path("unused.png"))
    assert [axes.get_title() for axes in drawn[0].axes] == ["Latn", "Cyrl", "Arab", "Deva", "Thai"]
    assert [len(axes.collections) for axes in drawn[0].axes] == [2] * 5
    assert {"fp32", "int8", "useful tokens/s", "score, percent"} <= set(texts(drawn[0]))


def test_the_frontier_is_what_nothing_beats() -> None:
    slow, middle, fast = Point("a", "Latn", 70, 1), Point("b", "Latn", 60, 2), Point("c", "Latn", 65, 3)
    assert best([slow, middle, fast]) == [fast, slow]


def test_of_equal_points_one_is_the_frontier() -> None:
    assert best([Point("a", "Latn", 70, 1), Point("b", "Latn", 70, 1)]) == [Point("a", "Latn", 70, 1)]


@pytest.mark.parametrize("draw", [ratios, frontier])
def test_nothing_to_draw_is_refused(draw, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="to draw"):
        draw([], tmp_path / "empty.png")


@pytest.mark.parametrize(("draw", "values"), [(ratios, rows()), (frontier, points())], ids=["ratios", "frontier"])
def test_a_missing_package_is_reported(draw, values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"'matplotlib' is not installed; .*\[bench\]"):
        draw(values, tmp_path / "plot.png")


def test_one_module_imports_matplotlib() -> None:
    importing = [
        path.relative_to(BENCHMARKS).as_posix()
        for path in sorted(BENCHMARKS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.partition(".")[0] == "matplotlib"
    ]
    assert set(importing) == {"plots.py"}


def test_latencies_are_marked_where_so_many_percent_were_answered(drawn: list[Any]) -> None:
    latencies([0.001 * number for number in range(1, 201)], Path("a.png"))
    (figure,) = drawn
    assert [text for text in texts(figure) if text.startswith("p")] == ["p50 100 ms", "p95 190 ms", "p99 198 ms"]


def test_no_latencies_are_refused() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="no latencies"):
        latencies([], Path("a.png"))
