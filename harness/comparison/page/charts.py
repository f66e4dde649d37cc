"""Charts as SVG inside a page: drawn by matplotlib, coloured by the page's own variables, so that dark pages work.

A chart is a picture of a table that stands beside it: screen readers get the table.
"""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.errors import MissingExtra
from harness.statistics.estimates import Interval

#: Colours that eyes with any kind of colour vision tell apart (Okabe and Ito 2008), as matplotlib writes them; the
#: page replaces them by variables `--series-N`.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999900", "#882255")
#: Markers that a curve has at most: more would hide it.
_MOST_MARKERS = 8
#: Width of a chart of points: letters of 10 points are still read where a telephone's 350 pixels show all of it.
DOTS_INCHES = 5.0
#: Colours of text and of lines, which become the page's.
_INK, _LINE = "#010203", "#010204"
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: The same as letters, for legends.
MARKERS = ("●", "■", "▲", "◆", "▼", "✚", "✖", "★")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One value of a series, with its interval."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The values of one run, or of one difference: one for each row of the chart, None where there is none."""

    name: str
    bars: Sequence[Bar | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line of one run."""

    name: str
    #: Of the run on the page: its colour.
    number: int
    #: (x, y), by x.
    points: Sequence[tuple[float, float]]
    #: The x of the point that is ringed: what was kept, or is used.
    ringed: float | None = None


def dots(name: str, rows: Sequence[str], series: Sequence[Series], axis: str, *, zero: bool) -> str:
    """Return a chart of points with intervals, one row for each name, one marker for each series.

    Args:
        name: of the chart: a part of the ids inside it.
        rows: names, from top to bottom.
        series: at most `len(SERIES)`.
        axis: what is measured.
        zero: draw a line at 0, for differences.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    package, drawing = _matplotlib()
    with package.rc_context(_settings(name)):
        height = 0.9 + len(rows) * max(0.26, 0.17 * len(series))
        figure = drawing(figsize=(DOTS_INCHES, height), layout="constrained")
        axes = figure.add_subplot()
        if zero:
            axes.axvline(0, color=_LINE, linewidth=1)
        for number, one in enumerate(series):
            shift = (number - (len(series) - 1) / 2) * 0.6 / max(1, len(series))
            _draw(axes, one, number, shift)
        axes.set_yticks(range(len(rows)), labels=list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(axis)
        axes.grid(axis="x", color=_LINE, alpha=0.2, linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return _part(figure, name)


def lines(name: str, curves: Sequence[Curve], across: str, up: str) -> str:
    """Return a small chart of lines; each run has its colour and its marker.

    Args:
        name: of the chart: a part of the ids inside it.
        curves: at least one, with at least one point each.
        across: what the x axis measures.
        up: what the y axis measures.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    package, drawing = _matplotlib()
    with package.rc_context(_settings(name)):
        figure = drawing(figsize=(3.2, 2.1), layout="constrained")
        axes = figure.add_subplot()
        for curve in curves:
            across_, up_ = zip(*curve.points, strict=True)
            colour, marker = SERIES[curve.number % len(SERIES)], _MARKERS[curve.number % len(_MARKERS)]
            every = math.ceil(len(across_) / _MOST_MARKERS)
            # Where curves coincide, the markers of those below stand out, and rings stand around each other.
            size, ring = max(2.5, 5.5 - 1.2 * curve.number), 9 + 3 * curve.number
            axes.plot(across_, up_, color=colour, linewidth=1.4, marker=marker, markersize=size, markevery=every)
            for x, y in curve.points:
                if x == curve.ringed:
                    axes.plot([x], [y], color=colour, marker="o", markersize=ring, fillstyle="none", linestyle="none")
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(color=_LINE, alpha=0.2, linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        return _part(figure, name)


def _matplotlib() -> tuple[Any, Any]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra(package="matplotlib", extra="report") from error
    return mpl, Figure


def _settings(name: str) -> Any:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.edgecolor": _LINE,
        "text.parse_math": False,
    }


def _part(figure: Any, name: str) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return inlined(stream.getvalue(), name)


def _draw(axes: Any, one: Series, number: int, shift: float) -> None:
    colour, marker = SERIES[number % len(SERIES)], _MARKERS[number % len(_MARKERS)]
    for place, bar in enumerate(one.bars):
        if bar is None or not math.isfinite(bar.value):
            continue
        if bar.interval is not None:
            axes.plot([bar.interval.low, bar.interval.high], [place + shift] * 2, color=colour, linewidth=1.6)
        axes.plot([bar.value], [place + shift], color=colour, marker=marker, markersize=5.5, linestyle="none")


#: What inside a page is not wanted, or would be wrong there.
_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>|\s*<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_FONTS = re.compile(r"font-family: [^;\"]*")
_ID = re.compile(r' id="([^"]+)"')
_REFERENCE = re.compile(r'url\(#([^)]+)\)|href="#([^"]+)"')


def inlined(svg: str, name: str) -> str:
    """Return an SVG file as a part of a page: ids unique in it, colours the page's, as wide as there is space."""
    text = _FONTS.sub("font-family: inherit", _METADATA.sub("", _HEAD.sub("", svg)))
    used = {found for pair in _REFERENCE.findall(text) for found in pair if found}
    text = _ID.sub(lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = text.replace(_INK, "currentColor").replace(_LINE, "var(--line)")
    for number, colour in enumerate(SERIES):
        text = text.replace(colour, f"var(--series-{number})")
    text = re.sub(r'<svg ([^>]*?)width="([\d.]+)pt"', r'<svg \1width="\2"', text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="([\d.]+)pt"', r"<svg \1", text, count=1)
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
